//! Fetching a checkpoint without taking part in Raft.
//!
//! A node that follows the log from outside, and has fallen behind what anybody still has of it, takes over the newest snapshot of
//! a voter: described by the voter, pulled file by file from where the last attempt ended, each file verified, and then handed to
//! whoever installs it. It is the same pull by which a follower takes a snapshot, without the leader that offers it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ncore_proto::raft::v1 as pb;
use tokio::{sync::watch, task, time};

use crate::{
    config::RaftConfig,
    convert,
    error::{OpenError, chain},
    fatal::FatalCell,
    machine::LogPosition,
    network::{Lane, PeerConnector, Peers},
    snapshot::{Description, PullError, PullLimits, Puller, ReceivedSnapshot, SnapshotStore},
};

/// Pulls checkpoints into a directory of its own, one at a time.
pub struct CheckpointPuller {
    peers: Peers,
    snapshots: Arc<SnapshotStore>,
    /// Bytes that this node has of the checkpoint that is being pulled.
    present: watch::Sender<u64>,
    /// Held over a pull: there is one directory for what comes in.
    pulling: tokio::sync::Mutex<()>,
}

/// A checkpoint that is complete and verified, still in the puller's directory.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    reference: String,
    position: LogPosition,
    bytes: u64,
}

/// A checkpoint could not be pulled. What came stays for the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The source has none, or it did not arrive. Another source may do better.
    #[error("no checkpoint from node {source_id}: {reason}")]
    Source {
        /// Who was asked.
        source_id: u64,
        /// What was in the way.
        reason: String,
    },
    /// This machine's disk gave an error.
    #[error("cannot write {}", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl CheckpointPuller {
    /// Opens the directory, creating it if absent. Nobody else may write to it. Blocking.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn open(dir: &Path, cluster_id: [u8; 16], node_id: u64, connector: Arc<dyn PeerConnector>) -> Result<Self, OpenError> {
        // What is pulled here is not sent on, so there is nothing to limit.
        let snapshots = SnapshotStore::open(dir, FatalCell::new(), 0).map_err(OpenError::Data)?;
        let peers = Peers::new(connector, &RaftConfig::new(node_id, cluster_id, String::new(), dir));
        Ok(Self { peers, snapshots: Arc::new(snapshots), present: watch::Sender::new(0), pulling: tokio::sync::Mutex::new(()) })
    }

    /// Pulls the newest snapshot of node `source_id`, which was last known at `address`, if it reaches at least index `at_least`; the
    /// source takes a new one if it has to. Goes on where an earlier attempt at the same snapshot ended. Cancel safe.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn pull(&self, source_id: u64, address: &str, at_least: u64) -> Result<Checkpoint, CheckpointError> {
        let _pulling = self.pulling.lock().await;
        let failed = |reason: String| CheckpointError::Source { source_id, reason };
        let description = self.describe(source_id, address, at_least).await.map_err(failed)?;
        let last = description.meta.last_log_id.ok_or_else(|| failed("it is empty".to_owned()))?;
        if last.index < at_least {
            return Err(failed(format!("it reaches index {}, and {at_least} is needed", last.index)));
        }
        let (reference, bytes) = (description.reference.clone(), description.total());
        let snapshots = Arc::clone(&self.snapshots);
        let received = task::spawn_blocking(move || snapshots.receive(description)).await.expect("file operations do not panic");
        let received = Arc::new(received.map_err(|error| CheckpointError::Disk { path: error.path, source: error.source })?);
        self.present.send_replace(received.present());
        tracing::info!(source_id, reference, present = received.present(), bytes, "pulling a checkpoint");
        self.pull_files(source_id, address, &received).await?;
        Ok(Checkpoint { dir: received.data_dir(), reference, position: convert::position_of(&last), bytes })
    }

    /// Bytes that are here of the checkpoint that is being pulled, or was last.
    #[must_use]
    pub fn present(&self) -> u64 {
        *self.present.borrow()
    }

    /// Drops a checkpoint that was installed, or is not wanted. Blocking.
    ///
    /// # Errors
    /// [`CheckpointError::Disk`]. The next pull, or the next start, tries again.
    pub fn discard(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let discarded = self.snapshots.discard(&checkpoint.reference);
        discarded.map_err(|error| CheckpointError::Disk { path: error.path, source: error.source })
    }

    async fn describe(&self, source_id: u64, address: &str, at_least: u64) -> Result<Description, String> {
        let asked = async {
            let client = self.peers.client(source_id, address, Lane::Bulk).await;
            let mut client = client.map_err(|error| chain(&error))?;
            let request = pb::DescribeRequest { route: Some(self.peers.route_to(source_id)), at_least };
            let reply = client.describe_snapshot(request).await;
            reply.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
        };
        let snapshot = time::timeout(DESCRIBE, asked).await.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
        if snapshot.is_err() {
            self.peers.forget(source_id, address, Lane::Bulk);
        }
        Description::from_proto(snapshot?).map_err(|error| chain(&error))
    }

    async fn pull_files(&self, source_id: u64, address: &str, received: &Arc<ReceivedSnapshot>) -> Result<(), CheckpointError> {
        let source = pb::Member { node: source_id, address: address.to_owned() };
        let limits = PullLimits { idle: IDLE, fruitless: FRUITLESS };
        let puller = Puller { peers: &self.peers, source: &source, limits, present: &self.present };
        match puller.pull(received).await {
            Ok(()) => Ok(()),
            Err(PullError::Disk(error)) => Err(CheckpointError::Disk { path: error.path, source: error.source }),
            Err(error) => {
                self.peers.forget(source_id, address, Lane::Bulk);
                Err(CheckpointError::Source { source_id, reason: chain(&error) })
            }
        }
    }
}

impl Checkpoint {
    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last entry that it includes.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// How long a voter may take to describe a snapshot, which it may have to take first.
const DESCRIBE: Duration = Duration::from_secs(40);
/// The longest wait for the next bytes of a file.
const IDLE: Duration = Duration::from_secs(10);
/// Attempts in a row that bring nothing, before another source is tried.
const FRUITLESS: u32 = 3;
