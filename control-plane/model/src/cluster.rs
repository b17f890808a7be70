//! What is true of the cluster as a whole.

use serde::{Deserialize, Serialize};

use crate::codec::Record;

/// The row of the table `Cluster` that is always there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// The cluster's name for machines.
    pub cluster_id: [u8; 16],
    /// Which history this is. The first is 1.
    pub lineage: u32,
    /// Which commands may be used.
    pub schema_level: u32,
    /// The latest time that a leader stamped on an entry, in Unix milliseconds. It never goes back.
    pub log_time_ms: u64,
    /// Every answer that was to be forgotten before this log time is, in Unix milliseconds. Where to look for the next ones.
    pub forgotten_until_ms: u64,
}

impl Record for ClusterState {
    const KIND: u16 = 0x15;
    const VERSION: u16 = 1;
}
