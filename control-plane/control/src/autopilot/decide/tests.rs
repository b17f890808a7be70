//! What is decided in each situation, and that no decision breaks the rules.

use std::{collections::BTreeSet, time::Duration};

use ncore_model::{NodeId, NodeState};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof, proptest};

use super::{Decision, Hold, Leaving, decide};
use crate::autopilot::view::{Health, Part, Seen, UnderWay, View};

const DEAD_AFTER: Duration = Duration::from_secs(60);

/// A node in words: `1 eu voter`, followed by what is unusual: `dead`, `ill`, `draining`, `removed`, `unmeant`, `relay`, `behind`.
fn seen(words: &str) -> Seen {
    let mut words = words.split(' ');
    let id = words.next().and_then(|id| id.parse().ok()).expect("an id");
    let region = words.next().expect("a region").to_owned();
    let part = match words.next().expect("a part") {
        "voter" => Part::Voter,
        "learner" => Part::Learner,
        "edge" => Part::Outside,
        other => panic!("{other} is no part"),
    };
    let mut node = Seen {
        id: NodeId(id),
        region,
        state: NodeState::Active,
        meant: true,
        relay: false,
        part,
        health: Health::Healthy,
        caught_up: part != Part::Outside,
    };
    for word in words {
        match word {
            "dead" => node.health = Health::Silent(DEAD_AFTER),
            "ill" => node.health = Health::Silent(DEAD_AFTER / 2),
            "draining" => node.state = NodeState::Draining,
            "removed" => node.state = NodeState::Removed,
            "unmeant" => node.meant = false,
            "relay" => node.relay = true,
            "behind" => node.caught_up = false,
            other => panic!("{other} is not known"),
        }
    }
    node
}

fn view(wanted: usize, nodes: &[&str]) -> View {
    let nodes = nodes.iter().map(|words| seen(words)).collect();
    View { own: NodeId(1), wanted, dead_after: DEAD_AFTER, change: UnderWay::Nothing, nodes }
}

fn hold(hold: Hold) -> Decision {
    Decision::Hold(hold)
}

fn promote(node: u64) -> Decision {
    Decision::Promote(NodeId(node))
}

fn replace(leaver: u64, because: Leaving, by: u64) -> Decision {
    Decision::Replace { leaver: NodeId(leaver), because, by: NodeId(by) }
}

fn demote(node: u64, because: Leaving) -> Decision {
    Decision::Demote { node: NodeId(node), because }
}

fn check(cases: &[(usize, &[&str], Decision)]) {
    for (wanted, nodes, expected) in cases {
        assert_eq!(decide(&view(*wanted, nodes)), *expected, "{wanted} of {nodes:?}");
    }
}

#[test]
fn voters_are_made_up_to_the_wanted_number() {
    check(&[
        (3, &["1 eu voter"], hold(Hold::NoCandidate)),
        (3, &["1 eu voter", "2 us edge"], promote(2)),
        (3, &["1 eu voter", "2 us voter", "3 ap edge"], promote(3)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter"], hold(Hold::AsWanted)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa edge"], hold(Hold::AsWanted)),
        (1, &["1 eu voter", "2 us edge"], hold(Hold::AsWanted)),
        // Not without being meant to, nor while it is silent, leaves, or has left.
        (3, &["1 eu voter", "2 us edge unmeant"], hold(Hold::NoCandidate)),
        (3, &["1 eu voter", "2 us edge ill", "3 us edge draining", "4 us learner removed"], hold(Hold::NoCandidate)),
        // Four are no better than three, unless they are on the way to five.
        (5, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa edge"], hold(Hold::EvenNumber)),
        (5, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa edge", "5 af edge"], promote(4)),
        (5, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa voter", "5 af edge"], promote(5)),
        // Four of which one is silent: five would be two silent ones from a standstill as well, and four are one.
        (5, &["1 eu voter", "2 us voter", "3 ap voter ill", "4 sa voter", "5 af edge"], promote(5)),
        // More than wanted were made by hand, and stay.
        (3, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa voter"], hold(Hold::Surplus)),
    ]);
}

#[test]
fn a_new_voter_comes_from_where_there_are_few() {
    check(&[
        (3, &["1 eu voter", "2 us voter", "3 eu edge", "4 us edge", "5 ap edge"], promote(5)),
        (3, &["1 eu voter", "2 eu voter", "3 eu edge", "4 us edge relay"], promote(4)),
        (3, &["1 eu voter", "2 us voter", "3 ap edge relay", "4 ap edge"], promote(4)),
        // Of equals the one that is on its way, then the older one.
        (3, &["1 eu voter", "2 us voter", "3 ap edge", "4 ap learner behind"], promote(4)),
        (3, &["1 eu voter", "2 us voter", "3 ap learner behind", "4 ap learner"], promote(4)),
        (3, &["1 eu voter", "2 us voter", "4 ap edge", "3 ap edge"], promote(3)),
        // The one that goes leaves its region to another.
        (3, &["1 eu voter", "2 us voter dead", "3 ap voter", "4 eu edge", "5 us edge"], replace(2, Leaving::Dead, 5)),
    ]);
}

#[test]
fn the_dead_are_replaced_and_nothing_else_is_done_in_haste() {
    check(&[
        (3, &["1 eu voter", "2 us voter", "3 ap voter ill", "4 ap edge"], hold(Hold::AsWanted)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter dead", "4 ap edge"], replace(3, Leaving::Dead, 4)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter dead"], hold(Hold::NoCandidate)),
        (3, &["1 eu voter", "2 us voter dead", "3 ap voter dead", "4 ap edge"], hold(Hold::NoQuorum)),
        (3, &["1 eu voter", "2 us voter ill", "3 ap voter dead", "4 ap edge"], hold(Hold::NoQuorum)),
        (3, &["1 eu voter", "2 us voter dead", "3 ap edge"], hold(Hold::NoQuorum)),
        // It comes back, and does not flap: it is not meant to vote any more.
        (3, &["1 eu voter", "2 us voter", "3 ap learner unmeant", "4 ap voter"], hold(Hold::AsWanted)),
        (5, &["1 eu voter", "2 us voter dead", "3 ap voter dead", "4 sa voter", "5 af voter", "6 us edge"], replace(2, Leaving::Dead, 6)),
        // What was made by hand beyond the wanted number goes first.
        (3, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa voter dead", "5 sa edge"], demote(4, Leaving::Dead)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa voter", "5 af voter dead"], hold(Hold::EvenNumber)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa voter dead", "5 af voter dead"], demote(4, Leaving::Dead)),
    ]);
}

#[test]
fn who_is_not_to_vote_does_not() {
    check(&[
        (3, &["1 eu voter", "2 us voter", "3 ap voter draining", "4 ap edge"], replace(3, Leaving::Draining, 4)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter draining"], hold(Hold::NoCandidate)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter unmeant", "4 ap edge"], replace(3, Leaving::NotMeant, 4)),
        // An operator may leave an even number, but not one that cannot agree.
        (3, &["1 eu voter", "2 us voter", "3 ap voter unmeant"], demote(3, Leaving::NotMeant)),
        (3, &["1 eu voter", "2 us voter ill", "3 ap voter unmeant"], hold(Hold::TooFew)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter removed dead"], demote(3, Leaving::Removed)),
        (3, &["1 eu voter", "2 us voter", "3 ap voter", "4 sa voter draining"], demote(4, Leaving::Draining)),
        (3, &["1 eu voter", "2 us voter unmeant", "3 ap voter dead", "4 us edge"], replace(2, Leaving::NotMeant, 4)),
        // The leader hands over first.
        (3, &["1 eu voter draining", "2 us voter", "3 ap voter", "4 ap edge"], hold(Hold::Leads)),
        (3, &["1 eu voter unmeant", "2 us voter", "3 ap voter"], hold(Hold::Leads)),
        (3, &["1 eu voter unmeant"], hold(Hold::Leads)),
    ]);
}

#[test]
fn one_change_at_a_time_and_what_stopped_half_way_is_ended() {
    let nodes = ["1 eu voter", "2 us voter", "3 ap voter dead", "4 ap voter"];
    let end: BTreeSet<_> = [1, 2, 4].map(NodeId).into();
    let change = |change| View { change, ..view(3, &nodes) };
    assert_eq!(decide(&change(UnderWay::Change)), hold(Hold::ChangeUnderWay));
    assert_eq!(decide(&change(UnderWay::Stalled(end.clone()))), Decision::Finish(end));
    let lost = UnderWay::Stalled([3].map(NodeId).into());
    assert_eq!(decide(&change(lost)), hold(Hold::TooFew));
}

fn any_seen(id: u64) -> impl Strategy<Value = Seen> {
    let part = prop_oneof![3 => Just(Part::Voter), 1 => Just(Part::Learner), 2 => Just(Part::Outside)];
    let state = prop_oneof![6 => Just(NodeState::Active), 1 => Just(NodeState::Draining), 1 => Just(NodeState::Removed)];
    let health = prop_oneof![4 => Just(Health::Healthy), 1 => Just(Health::Silent(DEAD_AFTER / 2)), 1 => Just(Health::Silent(DEAD_AFTER))];
    let region = prop_oneof![Just("eu"), Just("us"), Just("ap")];
    (part, state, health, region, prop_oneof![4 => Just(true), 1 => Just(false)], any::<bool>(), any::<bool>()).prop_map(
        move |(part, state, health, region, meant, relay, caught_up)| Seen {
            id: NodeId(id),
            region: region.to_owned(),
            state,
            meant,
            relay,
            part,
            health,
            caught_up,
        },
    )
}

/// A cluster whose leader is node 1.
fn any_view() -> impl Strategy<Value = View> {
    let nodes = (2..8).map(any_seen).collect::<Vec<_>>();
    (any_seen(1), nodes, prop_oneof![Just(1), Just(3), Just(5)], 0..7_usize).prop_map(|(first, mut nodes, wanted, known)| {
        nodes.truncate(known);
        nodes.insert(0, Seen { part: Part::Voter, health: Health::Healthy, ..first });
        View { own: NodeId(1), wanted, dead_after: DEAD_AFTER, change: UnderWay::Nothing, nodes }
    })
}

/// The cluster after the decision was carried out: whoever lost the vote is a learner and not meant to vote.
fn after(view: &View, decision: &Decision) -> View {
    let mut after = view.clone();
    let mut set = |id: NodeId, part: Part| {
        let node = after.nodes.iter_mut().find(|node| node.id == id).expect("a known node");
        node.part = part;
        node.meant &= part == Part::Voter;
    };
    match decision {
        Decision::Promote(node) => set(*node, Part::Voter),
        Decision::Replace { leaver, by, .. } => {
            set(*leaver, Part::Learner);
            set(*by, Part::Voter);
        }
        Decision::Demote { node, .. } => set(*node, Part::Learner),
        Decision::Finish(_) | Decision::Hold(_) => {}
    }
    after
}

fn healthy(view: &View, is: impl Fn(&Seen) -> bool) -> usize {
    view.nodes.iter().filter(|node| node.part == Part::Voter && node.health == Health::Healthy && is(node)).count()
}

proptest! {
    #[test]
    fn no_decision_breaks_a_rule(view in any_view()) {
        let decision = decide(&view);
        let after = after(&view, &decision);
        let (old, new) = (view.voters(), after.voters());
        prop_assert_eq!(old != new, !matches!(decision, Decision::Hold(_)));
        if old == new {
            return Ok(());
        }
        prop_assert!(2 * healthy(&view, |_| true) > old.len(), "no quorum of the old");
        prop_assert!(2 * healthy(&after, |_| true) > new.len(), "no quorum of the new");
        let to_stay = |node: &Seen| view.node(node.id).is_some_and(|node| node.meant && node.state == NodeState::Active);
        prop_assert!(healthy(&after, to_stay) >= healthy(&view, to_stay), "fewer that are healthy and are to stay");
        prop_assert!(old.difference(&new).count() <= 1 && new.difference(&old).count() <= 1, "more than one change");
        prop_assert!(new.contains(&view.own), "the leader takes its own vote");
        for node in new.difference(&old).filter_map(|node| view.node(*node)) {
            prop_assert!(node.meant && node.state == NodeState::Active && node.health == Health::Healthy, "{:?} votes", node);
        }
        for node in old.difference(&new).filter_map(|node| view.node(*node)) {
            let dead = matches!(node.health, Health::Silent(silent) if silent >= DEAD_AFTER);
            prop_assert!(dead || !node.meant || node.state != NodeState::Active, "{:?} loses its vote", node);
        }
    }

    #[test]
    fn it_comes_to_rest(view in any_view()) {
        let mut now = view;
        for _ in 0..20 {
            let decision = decide(&now);
            if let Decision::Hold(hold) = decision {
                // What was not wanted, or was made by hand, may be left even; what it made itself is not.
                prop_assert_ne!(hold, Hold::ChangeUnderWay);
                return Ok(());
            }
            now = after(&now, &decision);
        }
        prop_assert!(false, "it never comes to rest: {:?}", now);
    }

    #[test]
    fn healthy_nodes_that_are_meant_to_vote_come_to_an_odd_number(regions in proptest::collection::vec(0..3_u8, 1..8), wanted in prop_oneof![Just(1_usize), Just(3), Just(5)]) {
        let nodes = regions.iter().zip(1..).map(|(region, id)| {
            let part = if id == 1 { "voter" } else { "edge" };
            seen(&format!("{id} r{region} {part}"))
        });
        let mut now = View { nodes: nodes.collect(), ..view(wanted, &[]) };
        while !matches!(decide(&now), Decision::Hold(_)) {
            now = after(&now, &decide(&now));
        }
        let (voters, nodes) = (now.voters().len(), now.nodes.len());
        let odd = [5, 3, 1].into_iter().find(|odd| *odd <= nodes.min(wanted)).expect("at least one");
        prop_assert_eq!(voters, if nodes == 2 && wanted > 1 { 2 } else { odd });
        let spread = |nodes: &mut dyn Iterator<Item = &Seen>| nodes.map(|node| node.region.clone()).collect::<BTreeSet<_>>().len();
        let reached = spread(&mut now.nodes.iter().filter(|node| node.part == Part::Voter));
        prop_assert_eq!(reached, spread(&mut now.nodes.iter()).min(voters), "regions without need left out");
    }
}
