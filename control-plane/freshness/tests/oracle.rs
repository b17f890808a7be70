//! The hub beside a ledger that forgets nothing and bounds nothing: it never says more than that one, and says the same while
//! nothing had to be given up.

mod tree;

use std::collections::BTreeMap;

use ncore_freshness::{Ack, Child, Hub, PingSeq, RoundId, RoundOutcome};
use ncore_model::Revision;
use proptest::prelude::*;

use crate::tree::{HOLD_MS, at, child, hub, revision, upstream};

#[derive(Debug, Clone)]
enum Event {
    Wait(u16),
    Join { node: u8, restarted: bool, behind: u8 },
    Leave(u8),
    Ping(u8),
    Begin,
    End { round: u8, failed: bool },
    Ack { node: u8, by: u8 },
    Apply(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let node = || 1..6_u8;
    prop_oneof![
        2 => (0..2_500_u16).prop_map(Event::Wait),
        3 => (node(), any::<bool>(), 0..3_u8).prop_map(|(node, restarted, behind)| Event::Join { node, restarted, behind }),
        2 => node().prop_map(Event::Leave),
        6 => node().prop_map(Event::Ping),
        4 => Just(Event::Begin),
        3 => (0..20_u8, any::<bool>()).prop_map(|(round, failed)| Event::End { round, failed }),
        3 => (node(), 0..3_u8).prop_map(|(node, by)| Event::Ack { node, by }),
        2 => (1..3_u8).prop_map(Event::Apply),
    ]
}

/// What is known of a child, here or not.
#[derive(Debug, Clone, Default)]
struct Known {
    here: bool,
    acked: u64,
    catch_up_to: u64,
    waiting: Option<(PingSeq, u64)>,
    granted: Option<u64>,
}

/// A round under way: when it began, and the pings that it may answer with the moment at which each arrived.
type Rounds = Vec<(RoundId, u64, BTreeMap<Child, (PingSeq, u64)>)>;

struct Oracle {
    hub: Hub,
    now: u64,
    step: u64,
    seq: u64,
    applied: u64,
    incarnations: BTreeMap<u8, u64>,
    children: BTreeMap<Child, Known>,
    rounds: Rounds,
}

impl Oracle {
    fn new() -> Self {
        let (children, incarnations) = (BTreeMap::new(), BTreeMap::new());
        Self { hub: hub(10), now: 0, step: 0, seq: 0, applied: 10, incarnations, children, rounds: Vec::new() }
    }

    fn current(&self, node: u8) -> Child {
        child(u64::from(node), self.incarnations.get(&node).copied().unwrap_or(1))
    }

    fn join(&mut self, node: u8, restarted: bool, behind: u8) {
        *self.incarnations.entry(node).or_insert(1) += u64::from(restarted);
        let who = self.current(node);
        let ack = self.applied.saturating_sub(u64::from(behind));
        self.hub.join(who, Ack::leaf(revision(ack)), at(self.now)).unwrap();
        for (other, known) in &mut self.children {
            if other.node == who.node && *other != who {
                known.here = false;
                known.waiting = None;
            }
        }
        let known = self.children.entry(who).or_default();
        // What was never granted anything is not remembered, and need not be.
        let remembered = known.granted.is_some_and(|granted| known.here || self.now - granted < HOLD_MS);
        known.acked = if remembered { known.acked.max(ack) } else { ack };
        known.granted = known.granted.filter(|_| remembered);
        known.here = true;
        known.catch_up_to = self.applied;
    }

    fn begin(&mut self) {
        let id = self.hub.begin_round(at(self.now));
        let mut pings = BTreeMap::new();
        for (who, known) in &mut self.children {
            if known.here
                && known.acked >= known.catch_up_to
                && let Some(ping) = known.waiting.take()
            {
                known.granted = Some(self.now);
                pings.insert(*who, ping);
            }
        }
        self.rounds.push((id, self.step, pings));
    }

    fn end(&mut self, round: u8, failed: bool) -> Result<(), TestCaseError> {
        if self.rounds.is_empty() {
            return Ok(());
        }
        let (id, begun, pings) = self.rounds.remove(usize::from(round) % self.rounds.len());
        let outcome = if failed { RoundOutcome::Failed } else { upstream(self.applied) };
        let answers = self.hub.end_round(id, outcome, at(self.now));
        prop_assert!(answers.is_empty() || !failed);
        for answer in answers {
            let ping = pings.get(&answer.child);
            prop_assert!(ping.is_some_and(|(seq, arrived)| *seq == answer.seq && *arrived < begun), "{answer:?} {ping:?} {begun}");
        }
        for (who, (seq, arrived)) in pings.into_iter().filter(|_| failed) {
            if let Some(known) = self.children.get_mut(&who).filter(|known| known.here) {
                known.waiting = known.waiting.max(Some((seq, arrived)));
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        self.step += 1;
        match *event {
            Event::Wait(span) => self.now += u64::from(span),
            Event::Join { node, restarted, behind } => self.join(node, restarted, behind),
            Event::Leave(node) => {
                let who = self.current(node);
                self.hub.leave(who);
                if let Some(known) = self.children.get_mut(&who) {
                    known.here = false;
                    known.waiting = None;
                }
            }
            Event::Ping(node) => {
                let (who, seq, step) = (self.current(node), PingSeq(self.seq), self.step);
                self.seq += 1;
                self.hub.ping(who, seq);
                if let Some(known) = self.children.get_mut(&who).filter(|known| known.here) {
                    known.waiting = Some((seq, step));
                }
            }
            // The oracle gives up no rounds.
            Event::Begin if self.rounds.len() < ncore_freshness::MAX_ROUNDS => self.begin(),
            Event::Begin => {}
            Event::End { round, failed } => self.end(round, failed)?,
            Event::Ack { node, by } => {
                let who = self.current(node);
                let acked = self.children.get(&who).map_or(0, |known| self.applied.min(known.acked + u64::from(by)));
                self.hub.ack(who, Ack::leaf(revision(acked)));
                if let Some(known) = self.children.get_mut(&who).filter(|known| known.here) {
                    known.acked = known.acked.max(acked);
                }
            }
            Event::Apply(by) => {
                self.applied += u64::from(by);
                self.hub.applied(revision(self.applied));
            }
        }
        Ok(())
    }

    fn expected(&self) -> (Revision, u32) {
        let counts = |known: &&Known| known.granted.is_some_and(|granted| self.now - granted < HOLD_MS);
        let counted: Vec<u64> = self.children.values().filter(counts).map(|known| known.acked).collect();
        let least = counted.iter().copied().chain([self.applied]).min();
        (revision(least.unwrap_or(0)), u32::try_from(counted.len()).unwrap() + 1)
    }
}

proptest! {
    #[test]
    fn a_hub_says_what_is_true(events in prop::collection::vec(event(), 1..300)) {
        let mut oracle = Oracle::new();
        for event in &events {
            oracle.happen(event)?;
            let report = oracle.hub.report(at(oracle.now));
            prop_assert_eq!((report.subtree_min_applied, report.subtree_count), oracle.expected(), "after {:?}", event);
        }
    }
}

/// More children left than are kept each by itself: what is reported is no more than is true, and the room comes back.
#[test]
fn many_that_left_hold_up_no_less() {
    let mut hub = hub(10);
    for node in 1..=1_000_u64 {
        let (who, now) = (child(node, 1), at(node));
        hub.join(who, Ack::leaf(revision(10 + node % 7)), now).unwrap();
        tree::grant(&mut hub, who, node, now);
        hub.leave(who);
    }
    hub.applied(revision(20));
    let report = hub.report(at(1_000));
    assert_eq!((report.subtree_min_applied, report.subtree_count), (revision(10), 1_001));
    // 744 is the last of those that are kept as one, which count while any of them may.
    assert_eq!(hub.report(at(743 + HOLD_MS)).subtree_count, 1 + 744 + 256);
    assert_eq!(hub.report(at(744 + HOLD_MS)).subtree_count, 1 + 256);
    // 994 is the last that acked 10 and 995 the next: those that are kept each by itself.
    assert_eq!(hub.report(at(993 + HOLD_MS)).subtree_min_applied, revision(10));
    assert_eq!(hub.report(at(994 + HOLD_MS)).subtree_min_applied, revision(11));
    assert_eq!(hub.report(at(1_000 + HOLD_MS)), Ack::leaf(revision(20)));
}
