//! A node that others follow: it answers their pings, gathers their acks, and, at the leader, answers barriers.
//!
//! Every node has one, for any node may get children or come to lead. It lives as long as the process.

use ncore_model::Revision;

use crate::ack::{Ack, Child};
use crate::barrier::{Barrier, BarrierState, CompleteBy, Pending};
use crate::children::{Children, JoinError};
use crate::clock::Boottime;
use crate::follower::PingSeq;
use crate::ledger::{Answer, PingLedger, RoundId};
use crate::settings::Settings;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoundOutcome {
    /// This node led when ReadIndex was confirmed.
    Led {
        /// The Raft term in which it led: that of the log id which ReadIndex returned, not one that was looked up at
        /// another moment.
        term: u64,
        /// What ReadIndex returned.
        read: Revision,
    },
    /// The parent answered the ping that was sent when the round began.
    Upstream {
        /// What the parent said.
        read: Revision,
    },
    /// There will be no answer: this node does not lead, or the connection to the parent broke.
    Failed,
}

/// The hub of this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hub {
    settings: Settings,
    applied: Revision,
    children: Children,
    ledger: PingLedger,
    lead: Option<Lead>,
    /// All nodes have applied this or are fenced, and how that is known.
    settled: Option<(Revision, CompleteBy)>,
}

/// What this node knows of its leading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lead {
    term: u64,
    /// When it first knew: what other nodes granted before this term was asked for before this time.
    since: Boottime,
    /// When the last round began that was confirmed in this term: until then no other node led after this one.
    confirmed: Boottime,
}

impl Hub {
    /// The hub of a process that has just started, with `applied` in its replica.
    #[must_use]
    pub fn new(settings: Settings, applied: Revision) -> Self {
        Self { settings, applied, children: Children::new(settings.hold()), ledger: PingLedger::new(), lead: None, settled: None }
    }

    /// A child connects and says how far it is. The same start of a node may join again.
    ///
    /// # Errors
    /// If there are [`MAX_CHILDREN`](crate::MAX_CHILDREN), or a later start of the same node was here.
    pub fn join(&mut self, child: Child, ack: Ack, now: Boottime) -> Result<(), JoinError> {
        self.children.expire(now);
        self.children.join(child, ack, self.applied)?;
        self.forget_gone();
        Ok(())
    }

    /// The connection to a child ended, for whatever reason. It counts until it cannot be fresh any more.
    pub fn leave(&mut self, child: Child) {
        self.children.leave(child);
        self.forget_gone();
    }

    /// A ping of a child arrived. It will be answered from a round that begins after this call, once the child has caught
    /// up with what this node had when it joined. Ignored if the child is not here.
    pub fn ping(&mut self, child: Child, seq: PingSeq) {
        if self.children.is_here(child) {
            self.ledger.arrived(child, seq);
        }
    }

    /// Whether a round that begins now would take up a ping.
    #[must_use]
    pub fn has_waiting_pings(&self) -> bool {
        self.ledger.waiting().any(|child| self.children.has_caught_up(child))
    }

    /// A round begins. ReadIndex must be started, or the ping to the parent sent, after this call. With
    /// [`MAX_ROUNDS`](crate::MAX_ROUNDS) under way the oldest is given up.
    pub fn begin_round(&mut self, now: Boottime) -> RoundId {
        let children = &mut self.children;
        children.expire(now);
        let round = self.ledger.round_begins(now, |child| children.admit(child, now));
        self.forget_gone();
        round
    }

    /// A round ended: the pongs to send, each to its child if it is still there. None for a round that failed (its pings
    /// wait for the next one), ended before, or was given up.
    pub fn end_round(&mut self, round: RoundId, outcome: RoundOutcome, now: Boottime) -> Vec<Answer> {
        let read = match outcome {
            RoundOutcome::Led { read, .. } | RoundOutcome::Upstream { read } => read,
            RoundOutcome::Failed => {
                self.ledger.round_failed(round);
                self.forget_gone();
                return Vec::new();
            }
        };
        let Some((begun, answers)) = self.ledger.round_ended(round, read) else { return Vec::new() };
        if let RoundOutcome::Led { term, .. } = outcome {
            self.confirm_lead(term, begun, now);
        }
        answers
    }

    /// A child says how far it and its subtree are. Ignored if it is not here.
    pub fn ack(&mut self, child: Child, ack: Ack) {
        self.children.ack(child, ack);
    }

    /// Requests to this node are answered from a view that has `applied` in it, from before this call on.
    pub const fn applied(&mut self, applied: Revision) {
        self.applied = applied;
    }

    /// What to tell the parent: how far this node is, and all that may be fresh through it.
    #[must_use]
    pub fn report(&self, now: Boottime) -> Ack {
        Ack {
            applied: self.applied,
            subtree_min_applied: self.min_applied(now),
            subtree_count: self.children.count(now).saturating_add(1),
            laggards: self.children.behind(self.applied, now),
        }
    }

    /// Whether every node has applied the barrier's position, or is fenced. Once complete it stays so, and so does every
    /// barrier at an earlier position.
    ///
    /// It completes by acks only at a node that leads, has led for `bound * (1 + drift)`, and has had a round confirmed
    /// that began after the barrier was seen committed (so begin one when somebody starts to wait); by time at any node.
    pub fn barrier(&mut self, barrier: &Barrier, now: Boottime) -> BarrierState {
        let position = barrier.position();
        if let Some((settled, by)) = self.settled
            && settled >= position
        {
            return BarrierState::Complete(by);
        }
        let complete_at_most = barrier.seen_committed().after(self.settings.hold());
        if self.knows_all(barrier.seen_committed(), now) && self.min_applied(now) >= position {
            return self.settle(position, CompleteBy::Acks);
        }
        if now >= complete_at_most {
            return self.settle(position, CompleteBy::Time);
        }
        BarrierState::Pending(Pending {
            acked: self.children.count_with(position, now).saturating_add(u32::from(self.applied >= position)),
            total: self.children.count(now).saturating_add(1),
            complete_at_most,
            laggards: self.children.behind(position, now),
        })
    }

    /// Whether all that was granted before `moment` and may still be fresh was granted through this hub.
    fn knows_all(&self, moment: Boottime, now: Boottime) -> bool {
        self.lead.is_some_and(|lead| lead.confirmed >= moment && now.since(lead.since) >= self.settings.hold())
    }

    fn min_applied(&self, now: Boottime) -> Revision {
        self.children.min_applied(now).map_or(self.applied, |below| below.min(self.applied))
    }

    /// Nobody waits for an answer to who is gone.
    fn forget_gone(&mut self) {
        let children = &self.children;
        self.ledger.retain(|child| children.is_here(child));
    }

    fn settle(&mut self, position: Revision, by: CompleteBy) -> BarrierState {
        self.settled = Some((position, by));
        BarrierState::Complete(by)
    }

    fn confirm_lead(&mut self, term: u64, begun: Boottime, now: Boottime) {
        match &mut self.lead {
            Some(lead) if lead.term > term => {}
            Some(lead) if lead.term == term => lead.confirmed = lead.confirmed.max(begun),
            // Others may have led, and granted, until just before this term began: until now at the latest.
            _ => self.lead = Some(Lead { term, since: now, confirmed: begun }),
        }
    }
}
