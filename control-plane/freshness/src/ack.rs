//! What a node tells its parent: how far it is, and how far everything is that may be fresh through it.

use ncore_model::{NodeId, Revision};

/// The most laggards that an ack or the state of a barrier names.
pub const MAX_LAGGARDS: usize = 16;

/// A node below a hub, as one process: a node that restarts is another child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Child {
    /// Which node.
    pub node: NodeId,
    /// Which start of it; a later start has a higher one.
    pub incarnation: u64,
}

/// How far a node and all that count below it are. Sent with the hello and whenever it changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ack {
    /// What the node itself has applied, in the sense that requests are answered from it.
    pub applied: Revision,
    /// What the node has applied and all that may be fresh through it, also those that left and may still be.
    pub subtree_min_applied: Revision,
    /// How many nodes that is, the node itself included.
    pub subtree_count: u32,
    /// The nodes below that are behind the node itself, the furthest behind first; at most [`MAX_LAGGARDS`].
    pub laggards: Vec<Laggard>,
}

impl Ack {
    /// The ack of a node that has nobody below it.
    #[must_use]
    pub const fn leaf(applied: Revision) -> Self {
        Self { applied, subtree_min_applied: applied, subtree_count: 1, laggards: Vec::new() }
    }
}

/// A node that holds others back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Laggard {
    /// The last thing that it is known to have applied.
    pub applied: Revision,
    /// Which node.
    pub node: NodeId,
}
