//! What the control plane of a node is made from, and why it may not start.

use std::{collections::HashMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ncore_model::SchemaRange;
use ncore_raft::{Fatal, OpenError, RaftConfig};

use crate::{
    autopilot::AutopilotSettings,
    clock::Clock,
    hub::{FirstHubs, HubSettings},
};

/// What the control plane of a node is made from.
pub struct ControlConfig {
    /// The node's data directory. The log and its snapshots are below it, and what comes in of checkpoints.
    pub data_dir: PathBuf,
    /// Whether this node is to make a cluster, by [`Control::found_cluster`].
    pub founding: bool,
    /// Entries of the log that are kept although a snapshot covers them, for nodes that are behind.
    pub log_keep: u64,
    /// How old its view may be before it is fenced. The same on every node.
    pub freshness_bound: Duration,
    /// How it passes the log on, and how it follows.
    pub hub: HubSettings,
    /// Whom it may follow while its own state is empty.
    pub first_hubs: FirstHubs,
    /// What the node says of itself.
    pub description: SelfDescription,
    /// Where the cluster port listens.
    pub listen: SocketAddr,
    /// What to dial in place of an advertised address.
    pub dial: HashMap<String, String>,
    /// Time between two heartbeats of the leader.
    pub heartbeat: Duration,
    /// The shortest and the longest silence after which a follower stands for election.
    pub election: (Duration, Duration),
    /// Bytes a second of checkpoints that this node sends to others; 0 for no limit.
    pub snapshot_rate: u64,
    /// How this node looks after the voters when it leads.
    pub autopilot: AutopilotSettings,
    /// What stamps entries when this node leads.
    pub clock: Arc<dyn Clock>,
}

/// What a node says of itself, to the cluster.
#[derive(Debug, Clone)]
pub struct SelfDescription {
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// `host:port` that other nodes dial.
    pub cluster_address: String,
    /// Public base URL.
    pub http_address: String,
    /// The schema levels that it can apply.
    pub schema: SchemaRange,
    /// The version of its software.
    pub software: String,
    /// Higher at each start: Unix milliseconds serve well.
    pub incarnation: u64,
}

/// Why the control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cluster port cannot be had.
    #[error("cannot listen on {address} for other nodes")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log, or the directory for checkpoints, cannot be opened.
    #[error("the log cannot be opened")]
    Raft(#[source] OpenError),
    /// The state cannot be read, or made durable.
    #[error("the state cannot be used")]
    State(#[source] Fatal),
    /// The cluster could not be initialised.
    #[error("the cluster cannot be initialised: {0}")]
    Init(String),
}

/// Bounds the log. Snapshots are taken, and entries dropped, often enough for the bound to mean something.
pub(super) fn keep_log(config: &mut RaftConfig, entries: u64) {
    config.keep_entries = entries;
    config.snapshot_entries = config.snapshot_entries.min(entries.max(1));
    config.purge_batch = config.purge_batch.min(entries / 8 + 1);
}
