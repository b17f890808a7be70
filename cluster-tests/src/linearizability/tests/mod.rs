//! The checker against histories that are known to be good or bad, and against a checker too simple to be wrong.

mod asset_paths;
mod generated;

use super::{Checker, Register, RegisterOp, RegisterOutcome, Verdict};
use crate::history::{History, Moment, Operation};

type RegisterHistory = History<RegisterOp, RegisterOutcome>;

/// One operation in the notation of these tests; `to` is `None` if there was no answer.
fn timed<O, R>(client: u64, from: u64, to: Option<u64>, op: O, outcome: R) -> Operation<O, R> {
    let moment = |event| Moment { event, at_us: event };
    Operation { client, op, outcome: to.map(|_| outcome), invoked: moment(from), returned: to.map(moment) }
}

fn history<O, R>(mut operations: Vec<Operation<O, R>>) -> History<O, R> {
    operations.sort_by_key(|operation| operation.invoked.event);
    History { operations }
}

fn write(client: u64, from: u64, to: impl Into<Option<u64>>, value: u32) -> Operation<RegisterOp, RegisterOutcome> {
    timed(client, from, to.into(), RegisterOp::Write { key: 0, value }, RegisterOutcome::Written)
}

fn read(client: u64, from: u64, to: impl Into<Option<u64>>, value: impl Into<Option<u32>>) -> Operation<RegisterOp, RegisterOutcome> {
    timed(client, from, to.into(), RegisterOp::Read { key: 0 }, RegisterOutcome::Value(value.into()))
}

fn is_linearizable(history: &RegisterHistory) -> bool {
    match Checker::default().check::<Register>(history) {
        Verdict::Linearizable => true,
        Verdict::Violated(_) => false,
        Verdict::Undecided(key) => panic!("undecided for {key}"),
    }
}

#[test]
fn good_histories_pass() {
    let cases = [
        ("empty", vec![]),
        ("one after another", vec![write(0, 1, 2, 7), read(1, 3, 4, 7)]),
        ("initially nothing", vec![read(0, 1, 2, None), write(0, 3, 4, 1)]),
        ("a read during a write sees the old value", vec![write(0, 1, 4, 7), read(1, 2, 3, None)]),
        ("or the new one", vec![write(0, 1, 4, 7), read(1, 2, 3, 7)]),
        ("two reads during a write see old, then new", vec![write(0, 1, 8, 7), read(1, 2, 3, None), read(1, 4, 5, 7)]),
        ("concurrent writes in either order", vec![write(0, 1, 4, 1), write(1, 2, 3, 2), read(2, 5, 6, 1)]),
        ("a lost answer took effect, much later", vec![write(0, 1, None, 1), write(1, 2, 3, 2), read(1, 4, 5, 2), read(1, 6, 7, 1)]),
        ("a lost answer had no effect", vec![write(0, 1, None, 1), write(1, 2, 3, 2), read(1, 4, 5, 2)]),
        ("a read without an answer", vec![write(0, 1, 2, 1), read(1, 3, None, 9), read(0, 4, 5, 1)]),
    ];
    for (name, operations) in cases {
        assert!(is_linearizable(&history(operations)), "{name}");
    }
}

#[test]
fn bad_histories_fail() {
    let cases = [
        ("stale read", vec![write(0, 1, 2, 1), write(0, 3, 4, 2), read(1, 5, 6, 1)]),
        ("lost write", vec![write(0, 1, 2, 1), read(1, 3, 4, None)]),
        ("a value from nowhere", vec![write(0, 1, 2, 1), read(1, 3, 4, 9)]),
        ("new, then old again", vec![write(0, 1, 8, 7), read(1, 2, 3, 7), read(1, 4, 5, None)]),
        ("two readers disagree on the order", vec![write(0, 1, 2, 1), write(1, 3, 8, 2), read(2, 4, 5, 2), read(3, 6, 7, 1)]),
        (
            "applied twice",
            vec![
                write(0, 1, 2, 1),
                write(1, 3, 4, 2),
                read(2, 5, 6, 2),
                // Only a second application of the first write explains this.
                read(2, 7, 8, 1),
            ],
        ),
        (
            "a lost answer took effect twice",
            vec![write(0, 1, None, 1), read(1, 2, 3, 1), write(1, 4, 5, 2), read(1, 6, 7, 2), read(1, 8, 9, 1)],
        ),
        ("seen before it was sent", vec![read(1, 1, 2, 5), write(0, 3, 4, 5)]),
    ];
    for (name, operations) in cases {
        assert!(!is_linearizable(&history(operations)), "{name}");
    }
}

#[test]
fn keys_are_checked_apart() {
    let other = |from, to, value| timed(9, from, Some(to), RegisterOp::Write { key: 1, value }, RegisterOutcome::Written);
    let bad = timed(9, 20, Some(21), RegisterOp::Read { key: 1 }, RegisterOutcome::Value(Some(3)));
    let good = vec![write(0, 1, 2, 1), other(3, 4, 3), other(5, 6, 4), read(0, 7, 8, 1)];
    assert!(is_linearizable(&history(good.clone())));
    let with_bad = history([good, vec![bad]].concat());
    match Checker::default().check::<Register>(&with_bad) {
        Verdict::Violated(violation) => assert_eq!(violation.key, 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_violation_is_small_and_readable() {
    let mut operations = vec![];
    for step in 0..40 {
        operations.push(write(0, step * 4 + 1, step * 4 + 2, u32::try_from(step).expect("small")));
        operations.push(read(1, step * 4 + 3, step * 4 + 4, u32::try_from(step).expect("small")));
    }
    // The culprit, and after it things that have nothing to do with it.
    operations.push(read(2, 200, 201, 38));
    operations.push(write(0, 202, 203, 99));
    operations.push(read(1, 204, 205, 99));
    match Checker::default().check::<Register>(&history(operations)) {
        Verdict::Violated(violation) => {
            let reads = violation.operations.iter().filter(|op| matches!(op.op, RegisterOp::Read { .. })).count();
            assert_eq!(reads, 1, "{violation}");
            let text = violation.to_string();
            assert!(text.contains("leaves no place for"), "{text}");
            assert!(!text.contains("99"), "what came later is left out: {text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn running_out_of_budget_is_not_a_pass() {
    // Nobody can tell in which of 12! orders they happened, and the read at the end fits none.
    let mut operations: Vec<_> = (0..12).map(|n| write(n, n + 1, 100 + n, u32::try_from(n).expect("small"))).collect();
    operations.push(read(0, 200, 201, 77));
    let verdict = Checker { budget: 100 }.check::<Register>(&history(operations));
    assert!(matches!(verdict, Verdict::Undecided(0)), "{verdict:?}");
    assert!(verdict.ok().is_err());
}

#[test]
fn long_histories_are_quick() {
    // Four clients at a time for 4 000 operations: seconds if memory fails, an instant if it works.
    let mut operations = vec![];
    let mut last = 0;
    for round in 0..1000_u64 {
        let at = round * 10 + 1;
        let value = u32::try_from(round).expect("small") + 1;
        operations.push(read(1, at, at + 6, last));
        operations.push(write(0, at + 1, at + 8, value));
        operations.push(read(2, at + 2, at + 7, value));
        operations.push(read(3, at + 3, at + 5, last));
        last = value;
    }
    // The read of "nothing" at the beginning.
    operations[0] = read(1, 1, 7, None);
    operations[3] = read(3, 4, 6, None);
    let before = processor_time();
    assert!(is_linearizable(&history(operations)));
    let took = processor_time() - before;
    assert!(took < std::time::Duration::from_secs(5), "took {took:?}");
}

/// What this thread had of the processor so far. A machine that has much to do makes it no more.
fn processor_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("of this thread");
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    std::time::Duration::from_nanos(nanos.expect("a number"))
}
