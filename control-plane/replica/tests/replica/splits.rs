//! However a log reaches a replica, the state is the same: in batches of any sizes, delivered twice, carried to another replica by
//! a checkpoint, with restarts between.

use std::path::PathBuf;

use ncore_replica::Replica;
use proptest::{prelude::*, test_runner::FileFailurePersistence};

use crate::{
    reference::{Reference, directory},
    sequence::{LogEntry, logs},
};

/// A part of the way.
#[derive(Debug, Clone)]
struct Part {
    /// How many entries that were delivered before come first.
    again: usize,
    /// How many entries follow.
    entries: usize,
    then: Then,
}

/// What happens after a batch.
#[derive(Debug, Clone)]
enum Then {
    Nothing,
    Sync,
    Reopen,
    /// The state goes on in another replica, which has got as many entries per cent of the way by itself.
    MoveTo(usize),
    /// The state is replaced by an equal one.
    InstallHere,
}

fn parts() -> impl Strategy<Value = Part> {
    let then = prop_oneof![
        12 => Just(Then::Nothing),
        1 => Just(Then::Sync),
        2 => Just(Then::Reopen),
        2 => (0usize..=100).prop_map(Then::MoveTo),
        1 => Just(Then::InstallHere),
    ];
    let again = prop_oneof![3 => Just(0usize), 1 => 1usize..8];
    let entries = prop_oneof![1 => Just(0usize), 3 => Just(1usize), 6 => 2usize..20];
    (again, entries, then).prop_map(|(again, entries, then)| Part { again, entries, then })
}

/// A replica opens slowly, so there are fewer cases than elsewhere.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_state_does_not_depend_on_the_way(log in logs(80), parts in prop::collection::vec(parts(), 1..16)) {
        walk(&log, &parts);
    }
}

fn walk(log: &[LogEntry], parts: &[Part]) {
    let reference = Reference::new(log);
    let root = directory();
    let mut places = (0..).map(|number: u32| root.path().join(number.to_string()));
    let mut next_place = || -> PathBuf { places.next().expect("is endless") };
    let mut home = next_place();
    let mut replica = Replica::open(&home).expect("opens");
    let mut done: usize = 0;
    // The last part takes what is left.
    let rest = Part { again: 3, entries: reference.len(), then: Then::Reopen };
    for part in parts.iter().chain([&rest]) {
        let from = done.saturating_sub(part.again);
        let to = reference.len().min(done + part.entries);
        let applied = reference.feed(&replica, from, to);
        assert!(applied[..done - from].iter().all(Option::is_none), "applied a second time");
        assert_eq!(applied[done - from..], reference.applied[done..to]);
        done = to;
        match part.then {
            Then::Nothing => {}
            Then::Sync => replica.sync().expect("syncs"),
            Then::Reopen => {
                drop(replica);
                replica = Replica::open(&home).expect("opens");
            }
            Then::MoveTo(percent) => {
                let checkpoint = next_place();
                replica.checkpoint(&checkpoint).expect("writes a checkpoint");
                home = next_place();
                replica = Replica::open(&home).expect("opens");
                reference.feed(&replica, 0, done * percent / 100);
                replica.install(&checkpoint).expect("installs");
            }
            Then::InstallHere => {
                let checkpoint = next_place();
                replica.checkpoint(&checkpoint).expect("writes a checkpoint");
                replica.install(&checkpoint).expect("installs");
            }
        }
        assert_eq!(reference.check(&replica), done);
    }
}
