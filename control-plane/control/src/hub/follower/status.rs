//! What a follower shows of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use ncore_model::NodeId;
use parking_lot::Mutex;

use crate::hub::parents::Candidate;

/// The hub that a node follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Which node.
    pub node: NodeId,
    /// How far it is from the log: 0 for a voter.
    pub depth: u32,
}

/// Written by the follower, read by whoever asks how this node is.
#[derive(Debug, Default)]
pub(crate) struct FollowerStatus {
    seen: Mutex<Seen>,
    checkpoints: AtomicU64,
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    parent: Option<Parent>,
    /// The last parent, whether it is one still or not.
    last: Option<NodeId>,
    warm: Option<NodeId>,
    heard: Option<u64>,
}

impl FollowerStatus {
    /// The hub that is followed now.
    pub(crate) fn parent(&self) -> Option<Parent> {
        self.seen.lock().parent.clone()
    }

    /// The hub that is kept warm.
    pub(crate) fn standby(&self) -> Option<NodeId> {
        self.seen.lock().warm
    }

    /// Index of the last entry that is known to be committed: what a hub had when it welcomed this node, and what came since and was
    /// applied. `None` before the first welcome.
    pub(crate) fn committed(&self) -> Option<u64> {
        self.seen.lock().heard.map(|next| next.saturating_sub(1))
    }

    /// Checkpoints that were taken over.
    pub(crate) fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Ordering::Relaxed)
    }

    /// How often a hub was followed that was not the one before.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    pub(super) fn took_checkpoint(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn follows(&self, hub: &Candidate, depth: u32, next: u64) {
        let mut seen = self.seen.lock();
        if seen.last != Some(hub.node) {
            seen.last = Some(hub.node);
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        seen.parent = Some(Parent { node: hub.node, depth });
        seen.heard = seen.heard.max(Some(next));
    }

    pub(super) fn left(&self) {
        self.seen.lock().parent = None;
    }

    pub(super) fn warm(&self, hub: Option<NodeId>) {
        self.seen.lock().warm = hub;
    }

    pub(super) fn applied(&self, next: u64) {
        let mut seen = self.seen.lock();
        seen.heard = seen.heard.max(Some(next));
    }
}
