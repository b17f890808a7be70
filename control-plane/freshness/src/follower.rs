//! How old this node's view can be: the side of freshness that every node has, the leader too.
//!
//! ```text
//!   ping(now) = seq     its t0 is noted here and goes nowhere
//!   pong(seq, read)     a read index from a round that began after the ping arrived
//!   applied(>= read)    fresh as of t0: what was committed before t0 is in
//!   now - t0 >= bound   fenced, until the next one
//! ```
//!
//! Nothing of it is kept on disk: a process starts fenced.

use std::collections::VecDeque;
use std::time::Duration;

use ncore_model::Revision;

use crate::clock::{Boottime, WallTime};
use crate::settings::Settings;

/// The most pings that wait for their pong, and the most pongs that wait for their index to be applied.
pub const MAX_PINGS: usize = 64;

/// The number of a ping. Never used twice by a process, whichever parents it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PingSeq(pub u64);

/// Whether this node may act on its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FreshState {
    /// Everything that was committed before `as_of` is in the view, and that is less than the bound ago.
    Fresh {
        /// The time, by this node's clock.
        as_of: Boottime,
    },
    /// Nothing is known of how old the view is, or that it may be too old.
    Fenced(Fence),
}

impl FreshState {
    /// The name of the state in logs, metrics and answers.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Fresh { .. } => "fresh",
            Self::Fenced(_) => "fenced",
        }
    }
}

/// Since when a node is fenced, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// By this node's clock.
    pub since: Boottime,
    /// What ended freshness first.
    pub reason: FenceReason,
}

/// Why a node is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceReason {
    /// No ping was answered, and its index applied, since the process started.
    NeverAnswered,
    /// The last one is too long ago.
    BoundExceeded,
    /// A clock jumped: this machine was stopped for an unknown time, or somebody set a clock.
    ClockJumped,
    /// The history that the view belongs to was given up for another, or the view was replaced by an earlier one.
    LineageChanged,
}

impl FenceReason {
    /// The name of the reason in logs, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverAnswered => "never-answered",
            Self::BoundExceeded => "bound-exceeded",
            Self::ClockJumped => "clock-jumped",
            Self::LineageChanged => "lineage-changed",
        }
    }
}

/// The freshness of this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Follower {
    settings: Settings,
    applied: Revision,
    /// The newest history that was heard of. Answers from an earlier one mean nothing.
    lineage: u32,
    next_seq: u64,
    /// Pings without a pong, in the order in which they were sent.
    pings: VecDeque<(PingSeq, Boottime)>,
    /// Pongs whose index is not applied yet: when their ping was sent, and the index.
    pongs: Vec<(Boottime, Revision)>,
    fresh_as_of: Option<Boottime>,
    /// Holds while `fresh_as_of` is `None`.
    fence: Fence,
    /// How far the wall clock was ahead of the other when it was last believed, in nanoseconds.
    wall_ahead: Option<i128>,
}

impl Follower {
    /// A process that has just started: fenced, with `applied` in its replica.
    #[must_use]
    pub const fn new(settings: Settings, applied: Revision, now: Boottime) -> Self {
        Self {
            settings,
            applied,
            lineage: applied.lineage,
            next_seq: 1,
            pings: VecDeque::new(),
            pongs: Vec::new(),
            fresh_as_of: None,
            fence: Fence { since: now, reason: FenceReason::NeverAnswered },
            wall_ahead: None,
        }
    }

    /// Notes the time, and gives the number of a ping that must be sent after this call. Of more than [`MAX_PINGS`] without
    /// a pong the oldest is given up.
    pub fn ping(&mut self, now: Boottime) -> PingSeq {
        let bound = self.settings.bound;
        self.pings.retain(|(_, t0)| now.since(*t0) < bound);
        if self.pings.len() == MAX_PINGS {
            self.pings.pop_front();
        }
        let seq = PingSeq(self.next_seq);
        self.next_seq += 1;
        self.pings.push_back((seq, now));
        seq
    }

    /// The parent, or this node's own ReadIndex round, answered ping `seq`: whoever has applied `read` has everything that
    /// was committed before the ping was sent. An unknown number, or an older one than was answered already, is ignored.
    pub fn pong(&mut self, seq: PingSeq, read: Revision, now: Boottime) {
        let Some(at) = self.pings.iter().position(|(known, _)| *known == seq) else { return };
        let (_, t0) = self.pings[at];
        // Parents answer the newest ping of several; the older ones will have no answer.
        self.pings.drain(..=at);
        self.heard_of(read.lineage, now);
        let bound = self.settings.bound;
        self.pongs.retain(|(sent, _)| now.since(*sent) < bound);
        // When full the newest is dropped, for the oldest is applied first.
        if read.lineage == self.lineage && self.pongs.len() < MAX_PINGS {
            self.pongs.push((t0, read));
        }
        self.settle();
    }

    /// Requests are answered from a view that has `applied` in it, from before this call on.
    pub fn applied(&mut self, applied: Revision, now: Boottime) {
        self.heard_of(applied.lineage, now);
        if applied < self.applied {
            self.fence(FenceReason::LineageChanged, now);
        }
        self.applied = applied;
        self.settle();
    }

    /// The two clocks, read together. To be called often (before each ping at least): if they moved against each other,
    /// the time that passed is not known, and freshness ends.
    pub fn clock(&mut self, now: Boottime, wall: WallTime) {
        let ahead = wall.ahead_of(now);
        let moved = self.wall_ahead.map_or(0, |known| known.abs_diff(ahead));
        if self.wall_ahead.is_some() && moved <= self.settings.clock_jump.as_nanos() {
            return;
        }
        if self.wall_ahead.replace(ahead).is_some() {
            // What is under way was timed by the clock before the jump.
            self.pings.clear();
            self.pongs.clear();
            self.fence(FenceReason::ClockJumped, now);
        }
    }

    /// How old this node's view can be at most; `None` if nothing is known.
    #[must_use]
    pub fn staleness(&self, now: Boottime) -> Option<Duration> {
        self.fresh_as_of.map(|as_of| now.since(as_of))
    }

    /// Whether this node may act on its view at `now`.
    #[must_use]
    pub fn state(&self, now: Boottime) -> FreshState {
        match self.fresh_as_of {
            None => FreshState::Fenced(self.fence),
            Some(as_of) if now.since(as_of) < self.settings.bound => FreshState::Fresh { as_of },
            Some(as_of) => FreshState::Fenced(Fence { since: as_of.after(self.settings.bound), reason: FenceReason::BoundExceeded }),
        }
    }

    /// A lineage was named: if it is a newer one, nothing of what is known of an earlier one is worth anything.
    fn heard_of(&mut self, lineage: u32, now: Boottime) {
        if lineage > self.lineage {
            self.lineage = lineage;
            self.pongs.clear();
            self.fence(FenceReason::LineageChanged, now);
        }
    }

    /// Takes the pongs whose index is applied.
    fn settle(&mut self) {
        let applied = self.applied;
        let is_in = |read: &Revision| read.lineage == applied.lineage && read.index <= applied.index;
        let newest = self.pongs.iter().filter(|(_, read)| is_in(read)).map(|(t0, _)| *t0).max();
        self.pongs.retain(|(_, read)| !is_in(read));
        self.fresh_as_of = self.fresh_as_of.max(newest);
    }

    fn fence(&mut self, reason: FenceReason, now: Boottime) {
        self.fence = match self.state(now) {
            FreshState::Fresh { .. } => Fence { since: now, reason },
            FreshState::Fenced(fence) => fence,
        };
        self.fresh_as_of = None;
    }
}
