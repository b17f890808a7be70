//! Which pings wait for an answer, and from which round each is answered: one that began after it arrived.
//!
//! A round is whatever tells this node what was committed at some moment after it began: ReadIndex at the leader, a ping to
//! the parent at every other hub. All pings that arrived before a round began share it. Of several pings of one child the
//! newest is answered.

use std::collections::{BTreeMap, VecDeque};

use ncore_model::Revision;

use crate::ack::Child;
use crate::clock::Boottime;
use crate::follower::PingSeq;

/// The most rounds under way. When one more begins, the oldest is given up.
pub const MAX_ROUNDS: usize = 16;

/// One round of one hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundId(u64);

/// The pong for a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Answer {
    /// To whom.
    pub child: Child,
    /// The ping that it answers.
    pub seq: PingSeq,
    /// What the child has to apply to be fresh as of that ping.
    pub read: Revision,
}

/// The pings of a hub's children. The hub bounds how many children there are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PingLedger {
    next_round: u64,
    /// The newest ping of each child that no round has taken up.
    waiting: BTreeMap<Child, PingSeq>,
    /// In the order in which they began.
    rounds: VecDeque<Round>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Round {
    id: RoundId,
    begun: Boottime,
    pings: BTreeMap<Child, PingSeq>,
}

impl PingLedger {
    pub(crate) const fn new() -> Self {
        Self { next_round: 0, waiting: BTreeMap::new(), rounds: VecDeque::new() }
    }

    /// A ping came in.
    pub(crate) fn arrived(&mut self, child: Child, seq: PingSeq) {
        let newest = self.waiting.entry(child).or_insert(seq);
        *newest = seq.max(*newest);
    }

    /// Drops the waiting pings of those that `keep` does not accept.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Child) -> bool) {
        self.waiting.retain(|child, _| keep(*child));
    }

    /// A round begins, and takes up the waiting pings of the children that `admit` accepts.
    pub(crate) fn round_begins(&mut self, now: Boottime, mut admit: impl FnMut(Child) -> bool) -> RoundId {
        if self.rounds.len() == MAX_ROUNDS {
            self.give_up_oldest();
        }
        let id = RoundId(self.next_round);
        self.next_round += 1;
        let mut pings = std::mem::take(&mut self.waiting);
        self.waiting = pings.extract_if(.., |child, _| !admit(*child)).collect();
        self.rounds.push_back(Round { id, begun: now, pings });
        id
    }

    /// A round ended well: when it began, and the answers. `None` for a round that ended or was given up before.
    pub(crate) fn round_ended(&mut self, id: RoundId, read: Revision) -> Option<(Boottime, Vec<Answer>)> {
        let round = self.take(id)?;
        let answers = round.pings.into_iter().map(|(child, seq)| Answer { child, seq, read }).collect();
        Some((round.begun, answers))
    }

    /// A round failed: its pings wait for the next.
    pub(crate) fn round_failed(&mut self, id: RoundId) {
        if let Some(round) = self.take(id) {
            self.wait_again(round);
        }
    }

    /// Whose pings wait for a round to begin.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Child> {
        self.waiting.keys().copied()
    }

    fn take(&mut self, id: RoundId) -> Option<Round> {
        let at = self.rounds.iter().position(|round| round.id == id)?;
        self.rounds.remove(at)
    }

    fn give_up_oldest(&mut self) {
        if let Some(round) = self.rounds.pop_front() {
            self.wait_again(round);
        }
    }

    fn wait_again(&mut self, round: Round) {
        for (child, seq) in round.pings {
            self.arrived(child, seq);
        }
    }
}
