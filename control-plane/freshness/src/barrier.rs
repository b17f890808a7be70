//! The question "has every node applied this, or been fenced?" and its answers.

use ncore_model::Revision;

use crate::ack::Laggard;
use crate::clock::Boottime;

/// One position that somebody waits for. It is a value: a hub keeps nothing per barrier, so there may be any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Barrier {
    position: Revision,
    seen_committed: Boottime,
}

impl Barrier {
    /// A barrier at `position`, which is known at `now`, by the clock of the node that asks its own hub, to be committed
    /// (to have applied it is to know).
    #[must_use]
    pub const fn new(position: Revision, now: Boottime) -> Self {
        Self { position, seen_committed: now }
    }

    /// What must have been applied.
    #[must_use]
    pub const fn position(&self) -> Revision {
        self.position
    }

    /// When this node knew it to be committed.
    #[must_use]
    pub const fn seen_committed(&self) -> Boottime {
        self.seen_committed
    }
}

/// How far a barrier is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BarrierState {
    /// A node may be fresh without having applied it.
    Pending(Pending),
    /// Every node has applied it or is fenced, and a node that becomes fresh again has applied it by then.
    Complete(CompleteBy),
}

impl BarrierState {
    /// The name of the state in logs, metrics and answers.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Complete(_) => "complete",
        }
    }
}

/// What is known of a barrier that is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pending {
    /// How many nodes are known to have applied it; there may be more.
    pub acked: u32,
    /// How many nodes count, this one included: those in its tree that may be fresh.
    pub total: u32,
    /// When it will be complete at the latest, by this node's clock.
    pub complete_at_most: Boottime,
    /// Nodes that are known not to have applied it, the furthest behind first; at most [`MAX_LAGGARDS`](crate::MAX_LAGGARDS).
    pub laggards: Vec<Laggard>,
}

/// Why a barrier is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompleteBy {
    /// All that may be fresh said so.
    Acks,
    /// So much time passed that whoever has not applied it is fenced.
    Time,
}

impl CompleteBy {
    /// The name of the reason in logs, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acks => "acks",
            Self::Time => "time",
        }
    }
}
