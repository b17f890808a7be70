//! Where one history of the cluster ends and the next begins.
//!
//! A cluster that is rebuilt after it lost its quorum, or restored from a backup, may lack what it acknowledged last. From then
//! on it is another history, a lineage with a number of its own, and it says up to where it shares the one before: its base.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Record,
    command::UpdateNode,
    id::NodeId,
    node::Node,
    schema::{SCHEMA_MAX, SCHEMA_MIN},
};

/// A row of the table `Cluster`, under the lineage's number. The first lineage has none: it shares nothing with one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Which history.
    pub number: u32,
    /// The last index of the lineage before it that belongs to it too.
    pub base: u64,
    /// The only node that it began with.
    pub node: NodeId,
    /// When it began, in Unix milliseconds of log time.
    pub began_at_ms: u64,
}

impl Record for Lineage {
    const KIND: u16 = 0x19;
    const VERSION: u16 = 1;
}

/// How a lineage begins. See [`begin_lineage`](crate::begin_lineage).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginLineage {
    /// Its number: higher than that of the state.
    pub number: u32,
    /// The last index of the state before it.
    pub base: u64,
    /// The time on the clock of whoever begins it, in Unix milliseconds.
    pub at_ms: u64,
    /// The node that it begins with.
    pub founder: Founder,
}

/// The only node of a lineage that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Founder {
    /// A node of the lineage before, which keeps its id, and the cluster its name.
    Survivor(NodeId),
    /// A new node, of what becomes another cluster with the same content: its nodes and those of the old one, which may be alive,
    /// are strangers to each other. Nothing that was sealed under the old cluster's key can be opened, so its signing keys go.
    Stranger {
        /// The name of the new cluster for machines.
        cluster_id: [u8; 16],
        /// What the node is. Its id is the index at which the lineage begins.
        node: UpdateNode,
    },
}

/// A lineage that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its row.
    pub lineage: Lineage,
    /// The nodes that were of the lineage before, as they were, and are cut off now.
    pub removed: Vec<Node>,
}

/// Why a lineage cannot begin. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// There is no cluster in the state.
    #[error("the state is that of no cluster")]
    NotInitialised,
    /// The state has this lineage, or a later one.
    #[error("the state is of lineage {lineage}, and lineages only grow")]
    NotLater {
        /// The lineage of the state.
        lineage: u32,
    },
    /// The lineage would begin within the one before.
    #[error("the lineage would begin at index {index}, and the one before ends at {base}")]
    NotAfter {
        /// Where it would begin.
        index: u64,
        /// Where the one before ends.
        base: u64,
    },
    /// The node is not one of the state, or was removed from the cluster.
    #[error("node {0} is not of this cluster")]
    NotMember(NodeId),
    /// This build, or the node, cannot apply the commands of the state's level.
    #[error("the state is at schema level {level}, and this build reaches from {SCHEMA_MIN} to {SCHEMA_MAX}")]
    Schema {
        /// The level of the state.
        level: u32,
    },
    /// A text of the node is longer than a row may hold, or its id is not the index.
    #[error("the description of the new node cannot be used")]
    Description,
}
