//! When a barrier is complete, by what, and who holds it back.

mod tree;

use ncore_freshness::{Ack, Barrier, BarrierState, Boottime, CompleteBy, Hub, Laggard, MAX_LAGGARDS, Pending, RoundOutcome};
use ncore_model::NodeId;

use crate::tree::{HOLD_MS, at, child, grant, hub, revision};

/// When the hub of [`leading`] has led for long enough.
const SETTLED_MS: u64 = 1_000 + HOLD_MS;

/// A hub that leads since 1 s.
fn leading(applied: u64) -> Hub {
    let mut hub = hub(applied);
    confirm(&mut hub, 1, at(1_000));
    hub
}

const fn led(term: u64, read: u64) -> RoundOutcome {
    RoundOutcome::Led { term, read: revision(read) }
}

fn confirm(hub: &mut Hub, term: u64, now: Boottime) {
    let round = hub.begin_round(now);
    hub.end_round(round, led(term, 0), now);
}

fn pending(state: BarrierState) -> Pending {
    match state {
        BarrierState::Pending(pending) => pending,
        BarrierState::Complete(by) => panic!("complete by {}", by.as_str()),
    }
}

#[test]
fn complete_by_acks_once_all_that_count_have_it() {
    let mut hub = leading(9);
    let now = at(SETTLED_MS);
    hub.join(child(2, 1), Ack::leaf(revision(9)), now).unwrap();
    grant(&mut hub, child(2, 1), 1, now);
    hub.applied(revision(10));
    let barrier = Barrier::new(revision(10), now);
    confirm(&mut hub, 1, now);
    let state = pending(hub.barrier(&barrier, now));
    let laggards = vec![Laggard { applied: revision(9), node: NodeId(2) }];
    assert_eq!(state, Pending { acked: 1, total: 2, complete_at_most: at(SETTLED_MS + HOLD_MS), laggards });
    hub.ack(child(2, 1), Ack::leaf(revision(10)));
    assert_eq!(hub.barrier(&barrier, now), BarrierState::Complete(CompleteBy::Acks));
    // It stays so, for what came before too, although somebody who is behind comes.
    hub.join(child(3, 1), Ack::leaf(revision(10)), now).unwrap();
    grant(&mut hub, child(3, 1), 1, now);
    assert_eq!(hub.barrier(&Barrier::new(revision(8), now), now), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn complete_by_time_at_any_node() {
    let mut hub = hub(10);
    hub.join(child(2, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut hub, child(2, 1), 1, at(0));
    let barrier = Barrier::new(revision(11), at(100));
    pending(hub.barrier(&barrier, at(99 + HOLD_MS)));
    assert_eq!(hub.barrier(&barrier, at(100 + HOLD_MS)), BarrierState::Complete(CompleteBy::Time));
}

#[test]
fn a_node_that_does_not_lead_does_not_go_by_acks() {
    let mut hub = hub(10);
    let barrier = Barrier::new(revision(10), at(HOLD_MS));
    pending(hub.barrier(&barrier, at(2 * HOLD_MS - 1)));
}

#[test]
fn a_new_leader_waits() {
    let mut hub = leading(10);
    let confirmed_at = |hub: &mut Hub, millis: u64| {
        confirm(hub, 1, at(millis));
        hub.barrier(&Barrier::new(revision(10), at(millis)), at(millis))
    };
    pending(confirmed_at(&mut hub, SETTLED_MS - 1));
    assert_eq!(confirmed_at(&mut hub, SETTLED_MS), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn who_led_before_waits_again_in_a_new_term() {
    let mut hub = leading(10);
    confirm(&mut hub, 3, at(SETTLED_MS));
    // A confirmation of the first term that comes late does not count.
    confirm(&mut hub, 1, at(SETTLED_MS + 1));
    let again = SETTLED_MS + HOLD_MS;
    let barrier = Barrier::new(revision(10), at(again - 1));
    confirm(&mut hub, 3, at(again - 1));
    pending(hub.barrier(&barrier, at(again - 1)));
    assert_eq!(hub.barrier(&barrier, at(again)), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn the_wait_of_a_new_leader_begins_when_it_knows() {
    let mut hub = hub(10);
    let slow = hub.begin_round(at(1_000));
    hub.end_round(slow, led(1, 10), at(1_500));
    confirm(&mut hub, 1, at(1_400 + HOLD_MS));
    let barrier = Barrier::new(revision(10), at(1_400 + HOLD_MS));
    pending(hub.barrier(&barrier, at(1_499 + HOLD_MS)));
    assert_eq!(hub.barrier(&barrier, at(1_500 + HOLD_MS)), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn the_leader_itself_must_have_it() {
    let mut hub = leading(9);
    let now = at(SETTLED_MS);
    hub.join(child(2, 1), Ack::leaf(revision(10)), now).unwrap();
    grant(&mut hub, child(2, 1), 1, now);
    let barrier = Barrier::new(revision(10), now);
    confirm(&mut hub, 1, now);
    assert_eq!(pending(hub.barrier(&barrier, now)).acked, 1);
    hub.applied(revision(10));
    assert_eq!(hub.barrier(&barrier, now), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn leading_is_confirmed_by_a_round_that_began_after_the_commit() {
    let mut hub = leading(10);
    let under_way = hub.begin_round(at(SETTLED_MS));
    let barrier = Barrier::new(revision(10), at(SETTLED_MS + 1));
    hub.end_round(under_way, led(1, 10), at(SETTLED_MS + 2));
    pending(hub.barrier(&barrier, at(SETTLED_MS + 2)));
    let failed = hub.begin_round(at(SETTLED_MS + 3));
    hub.end_round(failed, RoundOutcome::Failed, at(SETTLED_MS + 3));
    pending(hub.barrier(&barrier, at(SETTLED_MS + 3)));
    confirm(&mut hub, 1, at(SETTLED_MS + 4));
    assert_eq!(hub.barrier(&barrier, at(SETTLED_MS + 4)), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn who_left_holds_it_back_until_fenced() {
    let mut hub = leading(9);
    hub.join(child(2, 1), Ack::leaf(revision(9)), at(2_000)).unwrap();
    grant(&mut hub, child(2, 1), 1, at(SETTLED_MS));
    hub.leave(child(2, 1));
    hub.applied(revision(10));
    let barrier = Barrier::new(revision(10), at(SETTLED_MS + 1_000));
    let almost = SETTLED_MS + HOLD_MS - 1;
    confirm(&mut hub, 1, at(almost));
    assert_eq!(pending(hub.barrier(&barrier, at(almost))).laggards, [Laggard { applied: revision(9), node: NodeId(2) }]);
    assert_eq!(hub.barrier(&barrier, at(almost + 1)), BarrierState::Complete(CompleteBy::Acks));
}

#[test]
fn laggards_are_named_through_the_tree() {
    let mut relay = hub(10);
    relay.join(child(3, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    relay.join(child(4, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut relay, child(3, 1), 1, at(1));
    grant(&mut relay, child(4, 1), 1, at(1));
    relay.applied(revision(12));
    relay.ack(child(4, 1), Ack::leaf(revision(12)));
    let ack = relay.report(at(1));
    assert_eq!(ack.laggards, [Laggard { applied: revision(10), node: NodeId(3) }]);
    assert_eq!((ack.subtree_count, ack.subtree_min_applied), (3, revision(10)));

    let mut hub = leading(12);
    hub.join(child(2, 1), ack, at(1_000)).unwrap();
    grant(&mut hub, child(2, 1), 1, at(1_000));
    for (position, acked, behind) in [(10, 4, vec![]), (11, 3, vec![3]), (12, 3, vec![3]), (13, 0, vec![3, 2])] {
        let state = pending(hub.barrier(&Barrier::new(revision(position), at(1_000)), at(1_000)));
        let names: Vec<u64> = state.laggards.iter().map(|laggard| laggard.node.0).collect();
        assert_eq!((state.acked, state.total, names), (acked, 4, behind), "{position}");
    }
}

#[test]
fn no_more_laggards_than_may_be() {
    let mut hub = leading(100);
    for node in 1..=20 {
        hub.join(child(node, 1), Ack::leaf(revision(100)), at(1_000)).unwrap();
        grant(&mut hub, child(node, 1), 1, at(1_000));
    }
    let state = pending(hub.barrier(&Barrier::new(revision(101), at(1_000)), at(1_000)));
    assert_eq!((state.laggards.len(), state.acked, state.total), (MAX_LAGGARDS, 0, 21));
}
