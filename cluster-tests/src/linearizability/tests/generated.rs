//! Histories made by machine: real executions pass, executions with a planted fault fail, and on small histories of any
//! kind the search agrees with trying every order.

use super::{RegisterHistory, history, is_linearizable, read, timed, write};
use crate::history::Operation;
use crate::linearizability::{Model as _, Register, RegisterOp, RegisterOutcome};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

/// One operation of a real execution: it takes effect at its turn, and its ends lie around that.
#[derive(Debug, Clone)]
struct Plan {
    key: u32,
    write: bool,
    before: u64,
    after: u64,
    answered: bool,
    takes_effect: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (0..2_u32, any::<bool>(), 0..35_u64, 0..35_u64, 0..10_u32, any::<bool>())
        .prop_map(|(key, write, before, after, luck, takes_effect)| Plan { key, write, before, after, answered: luck > 0, takes_effect });
    vec(plan, 0..40)
}

/// Executes the plans one after another on real registers, and notes what clients would have seen.
fn execute(plans: &[Plan]) -> RegisterHistory {
    let mut registers = [None; 2];
    let mut events = Vec::new();
    for (turn, plan) in plans.iter().enumerate() {
        let turn = turn as u64;
        let value = u32::try_from(turn).expect("small");
        let key = plan.key;
        let register = &mut registers[usize::try_from(key).expect("small")];
        let (op, outcome) = if plan.write {
            if plan.answered || plan.takes_effect {
                *register = Some(value);
            }
            (RegisterOp::Write { key, value }, RegisterOutcome::Written)
        } else {
            (RegisterOp::Read { key }, RegisterOutcome::Value(*register))
        };
        let instant = turn * 10 + 100;
        let end = plan.answered.then_some(instant + 1 + plan.after);
        events.push(timed(turn, instant - 1 - plan.before, end, op, outcome));
    }
    with_distinct_events(events)
}

/// Gives each end of each operation a number of its own, keeping the order: ends before beginnings at the same time
/// would claim more than is known, so beginnings come first.
fn with_distinct_events(mut operations: Vec<Operation<RegisterOp, RegisterOutcome>>) -> RegisterHistory {
    let mut ends = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        ends.push((operation.invoked.event, 0, index));
        ends.extend(operation.returned.map(|at| (at.event, 1, index)));
    }
    ends.sort_unstable();
    for (number, (_, kind, index)) in ends.into_iter().enumerate() {
        let moment = crate::history::Moment { event: number as u64 + 1, at_us: number as u64 + 1 };
        match kind {
            0 => operations[index].invoked = moment,
            _ => operations[index].returned = Some(moment),
        }
    }
    history(operations)
}

/// Tries every order of every choice of open operations.
fn by_trying_everything(history: &RegisterHistory, done: &mut Vec<usize>, state: Option<u32>) -> bool {
    let operations = &history.operations;
    let left = |index: &usize| !done.contains(index);
    let open: Vec<usize> = (0..operations.len()).filter(left).collect();
    if open.iter().all(|index| operations[*index].returned.is_none()) {
        return true;
    }
    let precedes = |a: usize, b: usize| operations[a].returned.is_some_and(|at| at < operations[b].invoked);
    open.iter().any(|next| {
        let operation = &operations[*next];
        if open.iter().any(|other| precedes(*other, *next)) {
            return false;
        }
        let Some(after) = Register::step(&state, &operation.op, operation.outcome.as_ref()) else { return false };
        done.push(*next);
        let found = by_trying_everything(history, done, after);
        done.pop();
        found
    })
}

/// Small histories without any sense in them; many of them are linearizable by chance.
fn nonsense() -> impl Strategy<Value = RegisterHistory> {
    let operation = (any::<bool>(), 0..3_u32, 1..12_u64, 1..6_u64, 0..5_u32).prop_map(|(is_write, value, from, length, luck)| {
        let to = (luck > 0).then_some(from + length);
        if is_write { write(from, from, to, value) } else { read(from, from, to, (value > 0).then_some(value)) }
    });
    vec(operation, 0..7).prop_map(with_distinct_events)
}

/// The first event number after all of a history.
fn end(history: &RegisterHistory) -> u64 {
    let ends = history.operations.iter().map(|op| op.returned.unwrap_or(op.invoked).event);
    ends.max().unwrap_or(0) + 1
}

fn followed_by(mut history: RegisterHistory, more: Vec<Operation<RegisterOp, RegisterOutcome>>) -> RegisterHistory {
    history.operations.extend(more);
    history
}

proptest! {
    #[test]
    fn a_real_execution_passes(plans in plans()) {
        prop_assert!(is_linearizable(&execute(&plans)));
    }

    #[test]
    fn the_search_agrees_with_trying_everything(history in nonsense()) {
        prop_assert_eq!(is_linearizable(&history), by_trying_everything(&history, &mut Vec::new(), None));
    }

    #[test]
    fn a_stale_read_fails(plans in plans()) {
        let history = execute(&plans);
        let t = end(&history);
        let stale = vec![write(1, t, t + 1, 901), write(1, t + 2, t + 3, 902), read(2, t + 4, t + 5, 901)];
        prop_assert!(!is_linearizable(&followed_by(history, stale)));
    }

    #[test]
    fn a_lost_write_fails(plans in plans()) {
        let history = execute(&plans);
        let t = end(&history);
        // Not even an open write of the past explains a read of nothing.
        let lost = vec![write(1, t, t + 1, 901), read(2, t + 2, t + 3, None)];
        prop_assert!(!is_linearizable(&followed_by(history, lost)));
    }

    #[test]
    fn a_write_applied_twice_fails(plans in plans()) {
        let history = execute(&plans);
        let t = end(&history);
        let twice = vec![
            write(1, t, None, 901),
            read(2, t + 1, t + 2, 901),
            write(2, t + 3, t + 4, 902),
            read(2, t + 5, t + 6, 902),
            read(2, t + 7, t + 8, 901),
        ];
        prop_assert!(!is_linearizable(&followed_by(history, twice)));
    }

    #[test]
    fn any_read_changed_to_a_value_never_written_fails(plans in plans(), choice in any::<usize>()) {
        let mut history = execute(&plans);
        let answered = |index: &usize| {
            let operation = &history.operations[*index];
            Register::is_read(&operation.op, None) && operation.outcome.is_some()
        };
        let reads: Vec<usize> = (0..history.operations.len()).filter(answered).collect();
        if !reads.is_empty() {
            let victim = reads[choice % reads.len()];
            history.operations[victim].outcome = Some(RegisterOutcome::Value(Some(999)));
            prop_assert!(!is_linearizable(&history));
        }
    }
}
