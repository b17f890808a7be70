//! Every number of a Raft node, with the reason for its default.

use std::{path::PathBuf, time::Duration};

use openraft::{Config, SnapshotPolicy};

/// Settings of one node. Set the fields that should differ from the defaults.
///
/// Within a cluster `heartbeat` and `election_max` should be the same on all nodes.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    /// This node's id. Never reused for another log: a wiped node comes back under a new id.
    pub node_id: u64,
    /// The cluster's id. Messages of other clusters are refused.
    pub cluster_id: [u8; 16],
    /// Where other nodes reach this one (host:port).
    pub address: String,
    /// Directory of the log and the snapshots. Created if absent; nobody else may write to it.
    pub dir: PathBuf,

    /// Time between heartbeats, and the longest wait for the answer to one. Must exceed the longest round trip between
    /// voters. Default 100 ms, which suits one continent; 250 ms for voters around the world.
    pub heartbeat: Duration,
    /// Shortest silence after which a node stands for election. Default 300 ms (500 ms around the world).
    pub election_min: Duration,
    /// Longest silence of that kind, and the leader's lease. A failed leader is replaced after about this and a random
    /// time between the two: one second with the default of 600 ms (800 ms around the world).
    pub election_max: Duration,

    /// Longest wait for a follower's answer to entries, including its fsync. Default 2 s.
    pub append_timeout: Duration,
    /// Largest command in bytes. Default 4 MiB; a batch of entries and one command must fit a message of 16 MiB.
    pub command_bytes: usize,
    /// Entries sent in one message at most. Default 1024.
    pub batch_entries: u64,
    /// Bytes of entries read and sent in one message at most, unless a single entry is larger. Default 2 MiB.
    pub batch_bytes: usize,
    /// Bytes of the newest entries kept in memory. Default 4 MiB: two batches for followers that are a little behind.
    pub ring_bytes: usize,

    /// Entries after which a snapshot is taken. Default 65 536.
    pub snapshot_entries: u64,
    /// Bytes of log after which a snapshot is taken. Default 256 MiB.
    pub snapshot_bytes: u64,
    /// Time after which a snapshot is taken if there was any entry. Default 15 minutes.
    pub snapshot_interval: Duration,
    /// Entries kept although a snapshot covers them, for followers and subscribers that are behind. Default 100 000.
    pub keep_entries: u64,
    /// Bytes of such entries kept at most. Default 1 GiB.
    pub keep_bytes: u64,
    /// Entries purged at once. Default 4096, so that purging costs one deletion mark per so many entries.
    pub purge_batch: u64,
    /// Bytes of snapshot files sent a second, to all receivers together; 0 for no limit. Default 64 MiB: half of 1 Gbit/s. So
    /// that every receiver sees progress within `snapshot_idle`, it should not be below 1 MiB.
    pub snapshot_rate: u64,
    /// Longest time without progress in a snapshot's transfer, on both sides. Default 30 s.
    pub snapshot_idle: Duration,
    /// Longest time for installing a received snapshot. Default 10 minutes.
    pub snapshot_install: Duration,
}

impl RaftConfig {
    /// The defaults for a node.
    pub fn new(node_id: u64, cluster_id: [u8; 16], address: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self {
            node_id,
            cluster_id,
            address: address.into(),
            dir: dir.into(),
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            append_timeout: Duration::from_secs(2),
            command_bytes: 4 << 20,
            batch_entries: 1024,
            batch_bytes: 2 << 20,
            ring_bytes: 4 << 20,
            snapshot_entries: 65_536,
            snapshot_bytes: 256 << 20,
            snapshot_interval: Duration::from_secs(15 * 60),
            keep_entries: 100_000,
            keep_bytes: 1 << 30,
            purge_batch: 4096,
            snapshot_rate: 64 << 20,
            snapshot_idle: Duration::from_secs(30),
            snapshot_install: Duration::from_secs(10 * 60),
        }
    }

    /// The same settings in openraft's terms.
    pub(crate) fn engine(&self) -> Result<Config, ConfigError> {
        if self.batch_bytes + self.command_bytes > MAX_BATCH {
            return Err(ConfigError::MessageTooLarge);
        }
        if self.address.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        Config {
            cluster_name: "ncore".to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            max_payload_entries: self.batch_entries,
            // Taken by `snapshot::Schedule`.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.keep_entries,
            replication_lag_threshold: self.keep_entries,
            purge_batch_size: self.purge_batch,
            // When so many requests wait, callers do too, and give up at their deadlines with nothing written.
            api_channel_size: Some(4096),
            enable_pre_vote: Some(true),
            // The state is not fsynced per apply, so a restarted leader has to win an election first.
            enable_leader_restore: Some(false),
            // Between attempts at a peer that is out of reach.
            backoff: "50ms 100ms 200ms ..500ms".to_owned(),
            ..Config::default()
        }
        .validate()
        .map_err(|_| ConfigError::Timing)
    }
}

/// Settings that cannot work. The operator's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The times do not go together.
    #[error("heartbeat < election_min < election_max must hold, and no batch may be empty")]
    Timing,
    /// A batch and a command do not fit a message.
    #[error("a batch and a command together must stay below 15 MiB")]
    MessageTooLarge,
    /// Other nodes could not reach this one.
    #[error("the node needs an address")]
    NoAddress,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is left of a message after the fields around the entries.
const MAX_BATCH: usize = 15 << 20;
