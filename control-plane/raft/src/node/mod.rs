//! One node of the Raft group, as the rest of the product sees it.
//!
//! A thin front: it opens and closes what belongs together, and hands each kind of request to the part that knows it.

mod changes;
mod opening;
mod proposer;
mod reader;
mod retry;
mod transfer;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    async_runtime::watch::WatchReceiver,
    errors::{InitializeError as EngineInitializeError, RaftError},
};
use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{self, Instant},
};

use self::{changes::Changes, proposer::Proposer, reader::Reader};
use crate::{
    closing::Closed,
    config::RaftConfig,
    error::{ChangeError, EntriesError, InitializeError, OpenError, ProposeError, ReadError, TransferError, WaitError},
    fatal::{FatalCell, FatalReason},
    leaders::Leaders,
    log::LogStore,
    machine::{CommittedEntry, LogPosition, StateMachine},
    network::{PeerConnector, Peers},
    receive::Reception,
    snapshot::{SnapshotStore, StoredSnapshot},
    status::{MembershipStamp, RaftStatus, StatusWatch},
    types::{Node, Raft},
};

/// A node of the Raft group. Cheap to clone; the clones are the same node.
///
/// The node runs on the tokio runtime it was opened on, which should not be the one that serves content: a busy data plane
/// must not delay heartbeats. Its fsyncs run on a thread of their own, its file operations on blocking threads. It runs until
/// [`Self::shutdown`], which must come before the process ends, or until that runtime ends.
#[derive(Clone)]
pub struct RaftNode {
    inner: Arc<Inner>,
}

/// An entry that is committed and applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Where it stands in the log.
    pub position: LogPosition,
    /// What the state machine answered.
    pub outcome: Bytes,
}

struct Inner {
    config: RaftConfig,
    raft: Raft,
    peers: Arc<Peers>,
    snapshots: Arc<SnapshotStore>,
    reception: Reception,
    fatal: FatalCell,
    /// Taken by the shutdown.
    resources: Mutex<Option<Resources>>,
}

/// What a running node holds and a closed one has given back.
struct Resources {
    log: LogStore,
    tasks: Vec<JoinHandle<()>>,
    closed: [Closed; 2],
}

impl RaftNode {
    /// Opens the node in its directory and starts it. A new node waits to be initialized or to be added by a leader.
    ///
    /// Entries known to be committed and missing in the state are applied before this returns. That may still be less than
    /// the node had applied before a crash: see [`Self::wait_recovered`].
    ///
    /// # Errors
    ///
    /// If the settings, the directory or the data in it cannot be used. Nothing runs then.
    pub async fn open(config: RaftConfig, machine: Arc<dyn StateMachine>, connector: Arc<dyn PeerConnector>) -> Result<Self, OpenError> {
        opening::open(config, machine, connector, |db| Box::new(db)).await
    }

    /// Starts a new cluster of which this node is the only member and voter. Once in the life of a cluster.
    ///
    /// # Errors
    ///
    /// If the node belongs to a cluster already.
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        let config = &self.inner.config;
        let members = std::collections::BTreeMap::from([(config.node_id, Node::new(&config.address))]);
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(EngineInitializeError::NotAllowed(_) | EngineInitializeError::NotInMembers(_))) => {
                Err(InitializeError::AlreadyInitialized)
            }
            Err(RaftError::Fatal(_)) => Err(InitializeError::Stopped),
        }
    }

    /// Proposes a command and waits until it is committed and applied here. For the leader.
    ///
    /// Retries inside, until the deadline, what passes by itself: a leader just elected has no lease yet.
    ///
    /// # Errors
    ///
    /// See [`ProposeError`]: except for `Unknown`, the command was certainly not written. Dropping the future makes the
    /// outcome unknown too.
    pub async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Proposed, ProposeError> {
        let mut results = self.proposer().propose(vec![command], deadline).await?;
        results.pop().unwrap_or(Err(ProposeError::Unknown))
    }

    /// Proposes commands together, in this order, as one write. Returns one result for each.
    ///
    /// # Errors
    ///
    /// As [`Self::propose`]; an outer error means that none of them was written.
    pub async fn propose_many(&self, commands: Vec<Bytes>, deadline: Instant) -> Result<Vec<Result<Proposed, ProposeError>>, ProposeError> {
        self.proposer().propose(commands, deadline).await
    }

    /// An index such that a state which has applied it holds everything that was acknowledged before this call. For the
    /// leader, which confirms with a quorum that it is one. Costs one round of heartbeats, shared by concurrent callers.
    ///
    /// # Errors
    ///
    /// If this node does not lead, or no quorum answers before the deadline.
    pub async fn read_index(&self, deadline: Instant) -> Result<u64, ReadError> {
        self.reader().read_index(deadline).await
    }

    /// As [`Self::read_index`], with the term in which this node was confirmed to lead: a leader's read index is never of an entry
    /// before its own first one.
    ///
    /// # Errors
    ///
    /// See [`Self::read_index`].
    pub async fn read_position(&self, deadline: Instant) -> Result<LogPosition, ReadError> {
        self.reader().read_position(deadline).await
    }

    /// As [`Self::read_index`], on any node: asks the leader over the network if that is another one, and follows changes of
    /// leadership until the deadline.
    ///
    /// # Errors
    ///
    /// If there is no answer from a leader before the deadline.
    pub async fn read_index_anywhere(&self, deadline: Instant) -> Result<u64, ReadError> {
        self.reader().read_index_anywhere(&self.inner.peers, deadline).await
    }

    /// Waits until the state machine of this node has applied `index`. Cancel safe.
    ///
    /// # Errors
    ///
    /// At the deadline, or when the node stops.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), WaitError> {
        self.reader().wait_applied(index, deadline).await
    }

    /// After a start: waits until the state is at least what it was before, as far as the log on this disk can tell. Local
    /// reads should not be served before. Needs a leader that has committed something.
    ///
    /// # Errors
    ///
    /// At the deadline, or when the node stops.
    pub async fn wait_recovered(&self, deadline: Instant) -> Result<(), WaitError> {
        self.reader().wait_recovered(deadline).await
    }

    /// Committed entries from index `from` on, in order: as many as fit `max_bytes`, but at least one if there is one.
    ///
    /// # Errors
    ///
    /// If they have been purged; then a snapshot has to take their place.
    pub async fn committed_entries(&self, from: u64, max_bytes: usize) -> Result<Vec<CommittedEntry>, EntriesError> {
        let log = self.inner.resources.lock().as_ref().map(|resources| resources.log.clone());
        self.reader().committed_entries(&log.ok_or(EntriesError::Stopped)?, from, max_bytes).await
    }

    /// What the node knows now.
    pub fn status(&self) -> RaftStatus {
        self.watch().current()
    }

    /// Follows who leads.
    pub fn leaders(&self) -> Leaders {
        Leaders::new(self.inner.raft.server_metrics())
    }

    /// The members with a vote, of both sets while a change is under way. As in [`Self::status`], for those who ask often.
    pub fn voters(&self) -> BTreeSet<u64> {
        self.inner.raft.server_metrics().borrow_watched().membership_config.membership().voter_ids().collect()
    }

    /// Follows what the node knows.
    pub fn watch(&self) -> StatusWatch {
        StatusWatch::new(self.inner.raft.metrics())
    }

    /// Adds a node that receives the log and does not vote. For the leader. Adding a member again changes nothing.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`], as for all changes. Changes are made one at a time: each waits, until the deadline, for the one
    /// before to commit.
    pub async fn add_learner(&self, node_id: u64, address: &str, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        self.changes().add_learner(node_id, address, stamp, deadline).await
    }

    /// Gives a learner a vote.
    ///
    /// # Errors
    ///
    /// See [`Self::add_learner`].
    pub async fn promote(&self, node_id: u64, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        self.changes().promote(node_id, stamp, deadline).await
    }

    /// Makes exactly these members the voters; those who lose their vote stay as learners. In two steps, the first of which
    /// needs a quorum of the old and of the new voters. A leader that is not among them hands over when it is done.
    ///
    /// # Errors
    ///
    /// See [`Self::add_learner`].
    pub async fn change_voters(&self, voters: BTreeSet<u64>, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        self.changes().change_voters(voters, stamp, deadline).await
    }

    /// Removes a member, voter or not. Its id must never come back with an empty log.
    ///
    /// # Errors
    ///
    /// See [`Self::add_learner`].
    pub async fn remove(&self, node_id: u64, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        self.changes().remove(node_id, stamp, deadline).await
    }

    /// Records that a member has moved to another address. It must be the same node with the same log.
    ///
    /// # Errors
    ///
    /// See [`Self::add_learner`].
    pub async fn set_address(&self, node_id: u64, address: &str, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        self.changes().set_address(node_id, address, stamp, deadline).await
    }

    /// Hands the leadership to a voter and waits until it leads. For the leader, which takes no commands meanwhile.
    ///
    /// # Errors
    ///
    /// See [`TransferError`]. Unless the node was found unfit at once, there is an election in any case.
    pub async fn transfer_leader(&self, to: u64, deadline: Instant) -> Result<(), TransferError> {
        transfer::transfer(&self.inner.raft, self.inner.config.election_max, to, deadline).await
    }

    /// Has a snapshot taken soon, if anything was applied since the last one.
    ///
    /// # Errors
    ///
    /// When the node has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), WaitError> {
        self.inner.raft.trigger().snapshot().await.map_err(|_| WaitError::Stopped)
    }

    /// A snapshot that reaches at least `index`; a new one is taken if it has to be. `None` if there is none before the deadline.
    pub(crate) async fn snapshot_reaching(&self, index: u64, deadline: Instant) -> Option<Arc<StoredSnapshot>> {
        let reaches = |stored: &Arc<StoredSnapshot>| stored.meta().last_log_id.is_some_and(|last| last.index >= index);
        loop {
            if let Some(stored) = self.inner.snapshots.current().filter(reaches) {
                return Some(stored);
            }
            // Asked for again each time: what is being built may not reach that far yet.
            self.trigger_snapshot().await.ok()?;
            if Instant::now() >= deadline {
                return None;
            }
            time::sleep(SNAPSHOT_LOOK).await;
        }
    }

    /// Bytes of the newest snapshot; 0 before the first.
    pub fn snapshot_bytes(&self) -> u64 {
        self.inner.snapshots.current().map_or(0, |stored| stored.description().total())
    }

    /// Bytes of snapshot files sent to other nodes since the start.
    pub fn snapshot_bytes_sent(&self) -> u64 {
        self.inner.snapshots.sent()
    }

    /// Index of the first entry that the log still has, or will have: whoever is to continue before it needs a snapshot. 0 after the
    /// shutdown.
    pub fn log_first(&self) -> u64 {
        let purged = self.inner.resources.lock().as_ref().and_then(|resources| resources.log.ends().1);
        purged.map_or(0, |purged| purged.index + 1)
    }

    /// How often the log was synced to disk since the start; 0 after the shutdown.
    pub fn log_syncs(&self) -> u64 {
        self.inner.resources.lock().as_ref().map_or(0, |resources| resources.log.syncs())
    }

    /// Bytes of memory that the log's database takes, for entries that are in no file yet and for parts of files; zeros after the
    /// shutdown.
    pub fn log_memory(&self) -> (u64, u64) {
        self.inner.resources.lock().as_ref().map_or((0, 0), |resources| resources.log.memory())
    }

    /// Resolves with the reason when the node must stop: the process should end then. Never resolves after a clean
    /// shutdown. Cancel safe.
    pub async fn fatal(&self) -> FatalReason {
        self.inner.fatal.raised().await
    }

    /// Stops the node, makes its log durable, and waits until its directory can be opened again. Calling it again does
    /// nothing. A leader does not hand over by itself.
    pub async fn shutdown(&self) {
        let Some(resources) = self.inner.resources.lock().take() else { return };
        for task in &resources.tasks {
            task.abort();
        }
        for task in resources.tasks {
            // Aborted, or ended by itself.
            let _ = task.await;
        }
        // Only fails if the engine has died before; then there is a reason in `fatal`.
        let _ = self.inner.raft.shutdown().await;
        if resources.log.flush().await.is_err() {
            tracing::error!("the log could not be made durable at shutdown");
        }
        drop(resources.log);
        for closed in resources.closed {
            if !closed.wait(CLOSE).await {
                tracing::warn!("the node's data is still in use after its shutdown");
            }
        }
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.inner.peers
    }

    pub(crate) fn snapshots(&self) -> &Arc<SnapshotStore> {
        &self.inner.snapshots
    }

    pub(crate) fn reception(&self) -> &Reception {
        &self.inner.reception
    }

    fn proposer(&self) -> Proposer<'_> {
        Proposer { raft: &self.inner.raft, command_bytes: self.inner.config.command_bytes }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { raft: &self.inner.raft }
    }

    fn changes(&self) -> Changes<'_> {
        Changes { raft: &self.inner.raft }
    }
}

/// How often a snapshot that is being taken is looked for.
const SNAPSHOT_LOOK: Duration = Duration::from_millis(50);
/// The directory of the log, below the node's.
pub(crate) const LOG: &str = "log";
/// How long a shutdown waits for calls that are still under way.
const CLOSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
