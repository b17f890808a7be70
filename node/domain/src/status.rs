//! What a node says of itself to anybody.

use ncore_model::{NodeState, Query};

use crate::{
    clock::Clock,
    cluster::{Cluster, Seen},
    error::StateError,
    settings::Settings,
};

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// What the operator calls it.
    pub name: String,
    /// Where it stands; empty until it is a member.
    pub region: String,
    /// Whether it takes part.
    pub standing: Standing,
    /// Whether its view is fresh: `fresh`, or `fenced`.
    pub freshness: &'static str,
    /// The version of its software.
    pub software: String,
    /// When this was said, in milliseconds of the Unix epoch.
    pub at_ms: u64,
}

/// Whether a node takes part in the cluster, as its own copy of the state has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is a member.
    Operational,
    /// It is a member that the operator is about to remove.
    Draining,
    /// It was removed.
    Removed,
    /// Its copy of the state does not have it yet.
    Starting,
}

impl Standing {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::Draining => "draining",
            Self::Removed => "removed",
            Self::Starting => "starting",
        }
    }
}

pub(crate) async fn of_this_node(cluster: &Cluster, settings: &Settings, clock: &dyn Clock) -> Result<Seen<NodeStatus>, StateError> {
    let id = cluster.node_id();
    let seen = cluster.read(move |view| view.node(id)).await?;
    let node = seen.value;
    let standing = match node.as_ref().map(|node| node.state) {
        Some(NodeState::Active) => Standing::Operational,
        Some(NodeState::Draining) => Standing::Draining,
        Some(NodeState::Removed) => Standing::Removed,
        None => Standing::Starting,
    };
    let value = NodeStatus {
        name: settings.node_name.clone(),
        region: node.map(|node| node.region).unwrap_or_default(),
        standing,
        freshness: cluster.plane().fresh_state().as_str(),
        software: settings.software.clone(),
        at_ms: clock.now_ms(),
    };
    Ok(Seen { revision: seen.revision, value })
}
