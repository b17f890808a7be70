//! A machine of the cluster.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, command::UpdateNode, id::NodeId, schema::SchemaRange};

/// What the cluster knows of a node. Whether it votes is Raft's to say, not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id, which no other node ever gets.
    pub id: NodeId,
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// `host:port` that other nodes dial.
    pub cluster_address: String,
    /// Public base URL, without a slash at the end.
    pub http_address: String,
    /// Whether it is meant to vote.
    pub voter: bool,
    /// Whether it takes part.
    pub state: NodeState,
    /// The schema levels that it can apply.
    pub schema: SchemaRange,
    /// The version of its software, for people.
    pub software: String,
    /// Rises with each start of the process.
    pub incarnation: u64,
    /// When it joined, in Unix milliseconds of log time.
    pub added_at_ms: u64,
}

impl Node {
    /// The node that a cluster, or a lineage, begins with: it votes.
    pub(crate) fn first(description: &UpdateNode, added_at_ms: u64) -> Self {
        Self {
            id: description.node,
            name: description.name.clone(),
            region: description.region.clone(),
            cluster_address: description.cluster_address.clone(),
            http_address: description.http_address.clone(),
            voter: true,
            state: NodeState::Active,
            schema: description.schema,
            software: description.software.clone(),
            incarnation: description.incarnation,
            added_at_ms,
        }
    }
}

impl Record for Node {
    const KIND: u16 = 0x10;
    const VERSION: u16 = 1;
}

/// Whether a node takes part in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// It holds copies and counts for `replicated`.
    Active,
    /// It still serves and holds, and gets no new work: the operator is about to remove it.
    Draining,
    /// It is cut off for ever. The row stays, so that its id is never trusted again.
    Removed,
}

impl NodeState {
    /// The name in status, logs and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Removed => "removed",
        }
    }
}
