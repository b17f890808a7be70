//! When a node is fresh, and why it is not.

use std::time::Duration;

use ncore_freshness::{Boottime, Fence, FenceReason, Follower, FreshState, MAX_PINGS, PingSeq, Settings, WallTime};
use ncore_model::Revision;
use proptest::prelude::*;

const BOUND: Duration = Duration::from_secs(5);

fn at(millis: u64) -> Boottime {
    Boottime::from_millis(millis)
}

fn wall(millis: u64) -> WallTime {
    WallTime::from_unix_nanos(millis * 1_000_000)
}

const fn revision(lineage: u32, index: u64) -> Revision {
    Revision { lineage, index }
}

fn started(index: u64) -> Follower {
    Follower::new(Settings::default(), revision(1, index), at(0))
}

/// Fresh as of 100 ms, known at 110 ms.
fn fresh() -> Follower {
    let mut follower = started(7);
    let seq = follower.ping(at(100));
    follower.pong(seq, revision(1, 7), at(110));
    assert_eq!(follower.state(at(110)), FreshState::Fresh { as_of: at(100) });
    follower
}

fn fenced(since: Boottime, reason: FenceReason) -> FreshState {
    FreshState::Fenced(Fence { since, reason })
}

#[test]
fn starts_fenced() {
    let follower = started(7);
    assert_eq!(follower.state(at(1)), fenced(at(0), FenceReason::NeverAnswered));
    assert_eq!(follower.staleness(at(1)), None);
}

#[test]
fn fresh_as_of_the_ping_once_the_index_is_applied() {
    let mut follower = started(7);
    let seq = follower.ping(at(100));
    follower.pong(seq, revision(1, 9), at(300));
    assert_eq!(follower.state(at(300)), fenced(at(0), FenceReason::NeverAnswered));
    follower.applied(revision(1, 8), at(310));
    assert_eq!(follower.state(at(310)), fenced(at(0), FenceReason::NeverAnswered));
    follower.applied(revision(1, 9), at(320));
    assert_eq!(follower.state(at(320)), FreshState::Fresh { as_of: at(100) });
    assert_eq!(follower.staleness(at(320)), Some(Duration::from_millis(220)));
}

#[test]
fn fenced_at_the_bound_exactly() {
    let follower = fresh();
    assert_eq!(follower.state(at(5099)), FreshState::Fresh { as_of: at(100) });
    assert_eq!(follower.state(at(5100)), fenced(at(5100), FenceReason::BoundExceeded));
    assert_eq!(follower.state(at(9000)), fenced(at(5100), FenceReason::BoundExceeded));
}

#[test]
fn a_later_answer_does_not_make_it_older() {
    let mut follower = started(7);
    let first = follower.ping(at(100));
    follower.pong(first, revision(1, 9), at(150));
    let second = follower.ping(at(200));
    follower.pong(second, revision(1, 7), at(250));
    assert_eq!(follower.state(at(250)), FreshState::Fresh { as_of: at(200) });
    follower.applied(revision(1, 9), at(260));
    assert_eq!(follower.state(at(260)), FreshState::Fresh { as_of: at(200) });
}

#[test]
fn unknown_and_repeated_answers_change_nothing() {
    let mut follower = started(7);
    let first = follower.ping(at(100));
    let second = follower.ping(at(200));
    follower.pong(PingSeq(99), revision(1, 7), at(210));
    assert_eq!(follower.staleness(at(210)), None);
    follower.pong(second, revision(1, 9), at(220));
    // Superseded by the second, which needs more.
    follower.pong(first, revision(1, 7), at(230));
    follower.pong(second, revision(1, 7), at(240));
    assert_eq!(follower.staleness(at(240)), None);
}

#[test]
fn an_answer_that_comes_after_the_bound_is_worth_nothing() {
    let mut follower = started(7);
    let seq = follower.ping(at(100));
    follower.pong(seq, revision(1, 7), at(5100));
    assert!(matches!(follower.state(at(5100)), FreshState::Fenced(_)));
}

#[test]
fn a_clock_that_jumps_ends_freshness_and_what_was_under_way() {
    for (jumped, ends) in [(1_500, false), (1_501, true), (500, false), (499, true)] {
        let mut follower = started(7);
        follower.clock(at(0), wall(1_000));
        let seq = follower.ping(at(0));
        follower.pong(seq, revision(1, 7), at(10));
        let under_way = follower.ping(at(20));
        follower.clock(at(30), wall(jumped + 30));
        let state = follower.state(at(30));
        assert_eq!(state == fenced(at(30), FenceReason::ClockJumped), ends, "{jumped}: {state:?}");
        follower.pong(under_way, revision(1, 7), at(40));
        assert_eq!(follower.state(at(40)) == FreshState::Fresh { as_of: at(20) }, !ends, "{jumped}");
        // The clock is believed again from there.
        let seq = follower.ping(at(50));
        follower.clock(at(50), wall(jumped + 50));
        follower.pong(seq, revision(1, 7), at(60));
        assert_eq!(follower.state(at(60)), FreshState::Fresh { as_of: at(50) });
    }
}

#[test]
fn small_jumps_add_up() {
    let mut follower = fresh();
    follower.clock(at(100), wall(100));
    follower.clock(at(200), wall(500));
    assert!(matches!(follower.state(at(200)), FreshState::Fresh { .. }));
    follower.clock(at(300), wall(900));
    assert_eq!(follower.state(at(300)), fenced(at(300), FenceReason::ClockJumped));
}

#[test]
fn another_history_ends_freshness_until_the_view_is_of_it() {
    let mut follower = fresh();
    let seq = follower.ping(at(200));
    follower.pong(seq, revision(2, 3), at(210));
    assert_eq!(follower.state(at(210)), fenced(at(210), FenceReason::LineageChanged));
    // More of the old history does not help, nor does an answer from it.
    let old = follower.ping(at(220));
    follower.applied(revision(1, 1_000), at(230));
    follower.pong(old, revision(1, 8), at(240));
    assert_eq!(follower.state(at(240)), fenced(at(210), FenceReason::LineageChanged));
    follower.applied(revision(2, 2), at(250));
    assert_eq!(follower.state(at(250)), fenced(at(210), FenceReason::LineageChanged));
    follower.applied(revision(2, 3), at(260));
    assert_eq!(follower.state(at(260)), FreshState::Fresh { as_of: at(200) });
}

#[test]
fn a_view_that_is_replaced_is_not_as_fresh_as_the_one_before() {
    for replaced in [revision(2, 900), revision(1, 6)] {
        let mut follower = fresh();
        follower.applied(replaced, at(200));
        assert_eq!(follower.state(at(200)), fenced(at(200), FenceReason::LineageChanged), "{replaced}");
    }
}

#[test]
fn the_first_reason_stays() {
    let mut follower = fresh();
    follower.clock(at(100), wall(100));
    follower.clock(at(6_000), wall(9_000));
    assert_eq!(follower.state(at(6_000)), fenced(at(5_100), FenceReason::BoundExceeded));
}

#[test]
fn no_more_pings_wait_than_may() {
    let mut follower = started(7);
    let first = follower.ping(at(1));
    let seqs: Vec<PingSeq> = (0..MAX_PINGS).map(|_| follower.ping(at(2))).collect();
    follower.pong(first, revision(1, 7), at(3));
    assert_eq!(follower.staleness(at(3)), None);
    follower.pong(seqs[0], revision(1, 7), at(3));
    assert_eq!(follower.staleness(at(3)), Some(Duration::from_millis(1)));
}

#[derive(Debug, Clone)]
enum Event {
    Wait(u16),
    Ping,
    /// Answers the ping so many before the newest, with the index committed now.
    Pong(u8),
    Commit,
    /// Applies so many of what is committed.
    Apply(u8),
    Jump(i16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3_000_u16).prop_map(Event::Wait),
        4 => Just(Event::Ping),
        4 => (0..6_u8).prop_map(Event::Pong),
        3 => Just(Event::Commit),
        3 => (0..4_u8).prop_map(Event::Apply),
        1 => (-2_000..2_000_i16).prop_map(Event::Jump),
    ]
}

proptest! {
    /// Against the whole history: fresh as of `t0` means that what was committed before `t0` is applied, that `t0` is a ping,
    /// and that it is younger than the bound.
    #[test]
    fn never_understated(events in prop::collection::vec(event(), 1..200)) {
        let mut follower = Follower::new(Settings::default(), revision(1, 0), at(0));
        let (mut now, mut ahead, mut committed, mut applied) = (0_u64, 10_000_i64, 0_u64, 0_u64);
        let mut pings: Vec<(PingSeq, u64, u64)> = Vec::new();
        for event in events {
            match event {
                Event::Wait(span) => now += u64::from(span),
                Event::Ping => {
                    now += 1;
                    pings.push((follower.ping(at(now)), now, committed));
                }
                Event::Pong(back) => {
                    if let Some((seq, ..)) = pings.iter().rev().nth(usize::from(back)) {
                        follower.pong(*seq, revision(1, committed), at(now));
                    }
                }
                Event::Commit => committed += 1,
                Event::Apply(count) => {
                    applied = committed.min(applied + u64::from(count));
                    follower.applied(revision(1, applied), at(now));
                }
                Event::Jump(by) => ahead += i64::from(by),
            }
            follower.clock(at(now), wall(now.checked_add_signed(ahead.max(0)).unwrap()));
            if let FreshState::Fresh { as_of } = follower.state(at(now)) {
                prop_assert!(at(now).since(as_of) < BOUND);
                let ping = pings.iter().find(|(_, t0, _)| at(*t0) == as_of);
                prop_assert!(ping.is_some_and(|(_, _, before)| applied >= *before), "{ping:?}, applied {applied}");
            }
        }
    }
}
