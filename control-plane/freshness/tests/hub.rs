//! Pings are answered from rounds that began after them; children count while they may be fresh.

mod tree;

use ncore_freshness::{Ack, Answer, JoinError, MAX_CHILDREN, MAX_ROUNDS, PingSeq, RoundId, RoundOutcome};

use crate::tree::{HOLD_MS, at, child, grant, hub, revision, upstream};

fn answers(answers: &[Answer]) -> Vec<(u64, u64, u64)> {
    answers.iter().map(|answer| (answer.child.node.0, answer.seq.0, answer.read.index)).collect()
}

#[test]
fn a_round_answers_what_arrived_before_it_began() {
    let mut hub = hub(10);
    for node in [1, 2] {
        hub.join(child(node, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    }
    assert!(!hub.has_waiting_pings());
    hub.ping(child(1, 1), PingSeq(5));
    assert!(hub.has_waiting_pings());
    let first = hub.begin_round(at(1));
    hub.ping(child(2, 1), PingSeq(8));
    hub.ping(child(1, 1), PingSeq(6));
    assert_eq!(answers(&hub.end_round(first, upstream(11), at(2))), [(1, 5, 11)]);
    let second = hub.begin_round(at(3));
    assert_eq!(answers(&hub.end_round(second, RoundOutcome::Led { term: 1, read: revision(12) }, at(4))), [(1, 6, 12), (2, 8, 12)]);
    assert_eq!(answers(&hub.end_round(second, upstream(13), at(5))), []);
}

#[test]
fn rounds_may_end_in_any_order() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    hub.ping(child(1, 1), PingSeq(1));
    let first = hub.begin_round(at(1));
    hub.ping(child(1, 1), PingSeq(2));
    let second = hub.begin_round(at(2));
    assert_eq!(answers(&hub.end_round(second, upstream(12), at(3))), [(1, 2, 12)]);
    assert_eq!(answers(&hub.end_round(first, upstream(11), at(4))), [(1, 1, 11)]);
}

#[test]
fn the_newest_ping_of_a_child_is_answered() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    for seq in [3, 4, 2] {
        hub.ping(child(1, 1), PingSeq(seq));
    }
    let round = hub.begin_round(at(1));
    assert_eq!(answers(&hub.end_round(round, upstream(10), at(2))), [(1, 4, 10)]);
}

#[test]
fn pings_of_a_failed_round_wait_for_the_next() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    hub.join(child(2, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    hub.ping(child(1, 1), PingSeq(1));
    hub.ping(child(2, 1), PingSeq(1));
    let round = hub.begin_round(at(1));
    hub.ping(child(2, 1), PingSeq(2));
    assert_eq!(answers(&hub.end_round(round, RoundOutcome::Failed, at(2))), []);
    assert_eq!(answers(&hub.end_round(round, upstream(10), at(2))), []);
    let round = hub.begin_round(at(3));
    assert_eq!(answers(&hub.end_round(round, upstream(11), at(4))), [(1, 1, 11), (2, 2, 11)]);
}

#[test]
fn the_oldest_of_too_many_rounds_is_given_up() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    hub.ping(child(1, 1), PingSeq(1));
    let rounds: Vec<RoundId> = (0..=MAX_ROUNDS).map(|_| hub.begin_round(at(1))).collect();
    assert_eq!(answers(&hub.end_round(rounds[0], upstream(10), at(2))), []);
    // Its ping was taken up by the round that took its place.
    assert_eq!(answers(&hub.end_round(rounds[MAX_ROUNDS], upstream(10), at(2))), [(1, 1, 10)]);
}

#[test]
fn a_newcomer_waits_until_it_has_caught_up_and_holds_nobody_up() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(3)), at(0)).unwrap();
    hub.ping(child(1, 1), PingSeq(1));
    assert!(!hub.has_waiting_pings());
    let round = hub.begin_round(at(1));
    assert_eq!(answers(&hub.end_round(round, upstream(10), at(2))), []);
    hub.applied(revision(12));
    assert_eq!(hub.report(at(2)), Ack::leaf(revision(12)));
    // What the hub had when it joined is enough.
    hub.ack(child(1, 1), Ack::leaf(revision(10)));
    assert!(hub.has_waiting_pings());
    let round = hub.begin_round(at(3));
    assert_eq!(hub.report(at(3)).subtree_min_applied, revision(10));
    assert_eq!(answers(&hub.end_round(round, upstream(12), at(4))), [(1, 1, 12)]);
}

#[test]
fn a_child_that_left_counts_for_a_hold_after_its_round_began() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut hub, child(1, 1), 1, at(100));
    hub.leave(child(1, 1));
    hub.ping(child(1, 1), PingSeq(2));
    assert!(!hub.has_waiting_pings());
    hub.applied(revision(20));
    assert_eq!(hub.report(at(99 + HOLD_MS)).subtree_min_applied, revision(10));
    assert_eq!(hub.report(at(99 + HOLD_MS)).subtree_count, 2);
    assert_eq!(hub.report(at(100 + HOLD_MS)), Ack::leaf(revision(20)));
}

#[test]
fn a_child_that_is_silent_does_not_count_for_longer() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut hub, child(1, 1), 1, at(100));
    hub.applied(revision(20));
    assert_eq!(hub.report(at(99 + HOLD_MS)).subtree_min_applied, revision(10));
    assert_eq!(hub.report(at(100 + HOLD_MS)).subtree_min_applied, revision(20));
    // It counts again as soon as a round takes up its ping, whatever becomes of the round.
    hub.ping(child(1, 1), PingSeq(2));
    let round = hub.begin_round(at(200 + HOLD_MS));
    hub.end_round(round, RoundOutcome::Failed, at(200 + HOLD_MS));
    assert_eq!(hub.report(at(200 + HOLD_MS)).subtree_min_applied, revision(10));
}

#[test]
fn a_child_that_comes_back_is_known() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut hub, child(1, 1), 1, at(100));
    hub.leave(child(1, 1));
    hub.join(child(1, 1), Ack::leaf(revision(9)), at(200)).unwrap();
    hub.applied(revision(20));
    // An ack that was true stays true.
    assert_eq!(hub.report(at(200)).subtree_min_applied, revision(10));
    assert_eq!(hub.report(at(100 + HOLD_MS)).subtree_min_applied, revision(20));
}

#[test]
fn a_restarted_child_is_another_and_the_one_before_counts_on() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut hub, child(1, 1), 1, at(100));
    hub.applied(revision(20));
    hub.join(child(1, 2), Ack::leaf(revision(20)), at(200)).unwrap();
    grant(&mut hub, child(1, 2), 1, at(200));
    assert_eq!(hub.report(at(200)).subtree_min_applied, revision(10));
    hub.ack(child(1, 1), Ack::leaf(revision(20)));
    assert_eq!(hub.report(at(200)).subtree_min_applied, revision(10));
    assert_eq!(hub.report(at(100 + HOLD_MS)).subtree_min_applied, revision(20));
    assert_eq!(hub.join(child(1, 1), Ack::leaf(revision(20)), at(300)), Err(JoinError::Superseded));
}

#[test]
fn acks_never_go_back() {
    let mut hub = hub(10);
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    grant(&mut hub, child(1, 1), 1, at(1));
    hub.applied(revision(20));
    for (acked, known) in [(15, 15), (12, 15), (20, 20), (0, 20)] {
        hub.ack(child(1, 1), Ack::leaf(revision(acked)));
        assert_eq!(hub.report(at(1)).subtree_min_applied, revision(known));
    }
}

#[test]
fn no_more_children_than_may_be() {
    let mut hub = hub(10);
    let all = u64::try_from(MAX_CHILDREN).unwrap();
    for node in 1..=all {
        hub.join(child(node, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    }
    assert_eq!(hub.join(child(all + 1, 1), Ack::leaf(revision(10)), at(0)), Err(JoinError::Full));
    // Who is here may come again, also as a later start of itself.
    hub.join(child(1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
    hub.join(child(2, 2), Ack::leaf(revision(10)), at(0)).unwrap();
    hub.leave(child(3, 1));
    hub.join(child(all + 1, 1), Ack::leaf(revision(10)), at(0)).unwrap();
}
