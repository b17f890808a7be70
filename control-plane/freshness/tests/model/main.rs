//! The rules of freshness and of the barrier, proved on the real machines by exploring all that can happen in small clusters,
//! and what can happen in larger ones by chance. Each rule is shown to be needed: without it, something wrong is found.
//!
//! With `NCORE_PROVE=1` the clusters are larger; use the nextest profile `prove`, which waits for them.

mod bounds;
mod cluster;
mod explore;
mod steps;
mod walk;

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::bounds::{Acks, Bounds, Flaw};
use crate::explore::{BY_ACKS, BY_TIME, COMPLETE_IS_TRUE, Explore, FRESH_BELOW_RELAY, NEVER_UNDERSTATED};
use crate::walk::walk;

/// One voter that leads, and an edge that is its child. Nothing happens but one write.
const BASE: Bounds = Bounds {
    voters: 1,
    relays: 0,
    edges: 1,
    writes: 1,
    ticks: 0,
    hub_pings: 2,
    edge_pings: 1,
    joins: 0,
    restarts: 0,
    elections: 0,
    failures: 0,
    acks: Acks::AtOnce,
    slow_reads: false,
};

/// Three levels, and everything at once.
const LARGE: Bounds = Bounds {
    voters: 2,
    relays: 2,
    edges: 3,
    writes: 2,
    ticks: 5,
    hub_pings: 30,
    edge_pings: 15,
    joins: 4,
    restarts: 2,
    elections: 3,
    failures: 6,
    acks: Acks::AtOnce,
    slow_reads: true,
};

#[test]
fn an_edge_leaves_a_relay_while_time_passes() {
    let short = Bounds { relays: 1, ticks: 2, joins: 1, ..BASE };
    prove("leave", short, Bounds { hub_pings: 3, ..short });
}

#[test]
fn the_leader_changes_while_time_passes() {
    let short = Bounds { voters: 2, ticks: 2, elections: 1, ..BASE };
    prove("leader", short, Bounds { hub_pings: 3, ..short });
}

#[test]
fn a_voter_leads_again() {
    let short = Bounds { voters: 2, hub_pings: 3, elections: 2, ..BASE };
    prove("again", short, Bounds { ticks: 1, ..short });
}

#[test]
fn nodes_restart() {
    let short = Bounds { relays: 1, joins: 1, restarts: 1, ..BASE };
    prove("restart", short, Bounds { ticks: 1, ..short });
}

#[test]
fn an_edge_below_two_relays() {
    let short = Bounds { relays: 2, hub_pings: 3, ..BASE };
    prove("two relays", short, Bounds { joins: 1, ..short });
}

#[test]
fn two_edges() {
    let short = Bounds { relays: 1, edges: 2, edge_pings: 2, ..BASE };
    prove("two edges", short, Bounds { joins: 1, ..short });
}

#[test]
fn acks_overtake_pings_and_each_other() {
    let short = Bounds { relays: 1, acks: Acks::Travel, slow_reads: true, failures: 1, ..BASE };
    prove("acks", short, Bounds { joins: 1, ..short });
}

#[test]
fn two_writes() {
    let short = Bounds { writes: 2, ticks: 1, ..BASE };
    prove("two writes", short, Bounds { relays: 1, joins: 1, ticks: 0, ..short });
}

/// What is too much to be explored completely: three levels, everything at once. By chance, but the same every time.
#[test]
fn large_clusters_by_chance() {
    let steps = if proving() { 20 * WALKED } else { WALKED };
    for acks in [Acks::AtOnce, Acks::AtAnyTime, Acks::Travel] {
        let model = Explore { bounds: Bounds { acks, ..LARGE }, flaw: Flaw::None };
        let expected = BTreeSet::from([BY_ACKS, BY_TIME, FRESH_BELOW_RELAY]);
        assert_eq!(walk(&model, SEED, steps), expected, "{acks:?}");
    }
}

/// The walks are long enough to meet what is wrong: most flaws, at least.
#[test]
fn flaws_are_met_by_chance() {
    let flaws = [
        (Flaw::ReadBeforePing, NEVER_UNDERSTATED),
        (Flaw::RelayAnswersAlone, NEVER_UNDERSTATED),
        (Flaw::LeaderDoesNotWait, COMPLETE_IS_TRUE),
        (Flaw::NoDrift, COMPLETE_IS_TRUE),
        (Flaw::LeadNotConfirmed, COMPLETE_IS_TRUE),
    ];
    for (flaw, expected) in flaws {
        let found = walk(&Explore { bounds: LARGE, flaw }, SEED, WALKED);
        assert!(found.contains(expected), "{flaw:?}: {found:?}");
    }
}

/// How many steps the walks make together.
const WALKED: usize = 500_000;

const SEED: u64 = 0x6672_6573_686e_6573;

#[test]
fn caught_read_index_from_before_the_ping() {
    caught(Flaw::ReadBeforePing, BASE, &WRONG);
}

#[test]
fn caught_relay_without_a_ping_of_its_own() {
    caught(Flaw::RelayAnswersAlone, Bounds { relays: 1, hub_pings: 1, ..BASE }, &WRONG);
}

#[test]
fn caught_departed_children_forgotten() {
    caught(Flaw::DepartedForgotten, Bounds { relays: 1, hub_pings: 3, joins: 1, ..BASE }, &[COMPLETE_IS_TRUE]);
}

#[test]
fn caught_new_leader_that_does_not_wait() {
    caught(Flaw::LeaderDoesNotWait, Bounds { voters: 2, elections: 1, ..BASE }, &[COMPLETE_IS_TRUE]);
}

#[test]
fn caught_fresh_after_a_restart() {
    caught(Flaw::FreshAfterRestart, Bounds { restarts: 1, ..BASE }, &WRONG);
}

#[test]
fn caught_clocks_taken_to_run_alike() {
    caught(Flaw::NoDrift, Bounds { ticks: 1, hub_pings: 3, ..BASE }, &[COMPLETE_IS_TRUE]);
}

#[test]
fn caught_child_counted_from_the_answer_only() {
    caught(Flaw::CountedWhenAnswered, Bounds { slow_reads: true, ..BASE }, &[COMPLETE_IS_TRUE]);
}

#[test]
fn caught_voter_that_reads_past_the_leader() {
    caught(Flaw::ReadPastLeader, Bounds { voters: 2, slow_reads: true, ..BASE }, &[COMPLETE_IS_TRUE]);
}

#[test]
fn caught_leader_that_does_not_ask_whether_it_leads() {
    caught(Flaw::LeadNotConfirmed, Bounds { voters: 2, elections: 1, ..BASE }, &[COMPLETE_IS_TRUE]);
}

/// Everything that can happen within the bounds is right, and what should be possible is.
fn prove(name: &str, short: Bounds, long: Bounds) {
    let started = Instant::now();
    let bounds = if proving() { long } else { short };
    let checker = Explore { bounds, flaw: Flaw::None }.checker().spawn_dfs().join();
    tell(name, &checker, started);
    checker.assert_properties();
}

/// With the flaw something wrong is found, of this kind; without it nothing is, in the same cluster.
fn caught(flaw: Flaw, bounds: Bounds, expected: &[&str]) {
    let started = Instant::now();
    let checker = Explore { bounds, flaw }.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    tell(&format!("{flaw:?}"), &checker, started);
    let found: BTreeSet<&str> = checker.discoveries().into_keys().filter(|name| WRONG.contains(name)).collect();
    assert!(!found.is_empty(), "the flaw {flaw:?} was not noticed");
    assert!(found.iter().all(|name| expected.contains(name)), "the flaw {flaw:?} was noticed by {found:?}");
    let sound = Explore { bounds, flaw: Flaw::None }.checker().spawn_dfs().join();
    let found: BTreeSet<&str> = sound.discoveries().into_keys().filter(|name| WRONG.contains(name)).collect();
    assert!(found.is_empty(), "without a flaw: {found:?}");
}

/// The properties of which an example is a fault.
const WRONG: [&str; 2] = [NEVER_UNDERSTATED, COMPLETE_IS_TRUE];

fn proving() -> bool {
    std::env::var_os("NCORE_PROVE").is_some_and(|value| value == "1")
}

#[expect(clippy::print_stderr, reason = "the figures of a proof belong to its result")]
fn tell(name: &str, checker: &impl Checker<Explore>, started: Instant) {
    let (unique, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    eprintln!("[{name}] {unique} unique states, {steps} steps, depth {depth}, {:.1} s", started.elapsed().as_secs_f64());
}
