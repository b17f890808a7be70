//! Read indices, waits, and the log for those who follow it.
//!
//! Only ReadIndex: the leader asks a quorum after the request came. openraft's lease read trusts a lease that a restarted
//! follower does not remember having given, so an old leader could answer from the past.

use ncore_proto::raft::v1 as pb;
use openraft::{
    ReadPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{LinearizableReadError, RaftError},
    metrics::WaitError as EngineWaitError,
};
use tokio::time::{self, Instant};

use super::retry::{Deflected, Pauses, deflected};
use crate::{
    convert,
    error::{EntriesError, ReadError, WaitError},
    leaders::Leaders,
    log::LogStore,
    machine::{CommittedEntry, LogPosition, committed},
    network::{Lane, Peers},
    types::Raft,
};

pub(crate) struct Reader<'a> {
    pub(crate) raft: &'a Raft,
}

impl Reader<'_> {
    pub(crate) async fn read_index(&self, deadline: Instant) -> Result<u64, ReadError> {
        self.read_position(deadline).await.map(|position| position.index)
    }

    pub(crate) async fn read_position(&self, deadline: Instant) -> Result<LogPosition, ReadError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            let attempt = time::timeout_at(deadline, self.raft.get_read_log_id(ReadPolicy::ReadIndex)).await;
            match attempt.map_err(|_| ReadError::Unavailable)? {
                Ok((read, _)) => return Ok(convert::position_of(read.log_id())),
                Err(RaftError::Fatal(_)) => return Err(ReadError::Stopped),
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                    if let Deflected::To(leader) = deflected(&forward, *self.raft.node_id()) {
                        return Err(ReadError::NotLeader { leader });
                    }
                }
                Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {}
            }
            if !pauses.pause().await {
                return Err(ReadError::Unavailable);
            }
        }
    }

    pub(crate) async fn read_index_anywhere(&self, peers: &Peers, deadline: Instant) -> Result<u64, ReadError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            match self.read_index(deadline).await {
                Err(ReadError::NotLeader { leader: Some(leader) }) => {
                    if let Some(index) = self.ask(peers, leader, deadline).await {
                        return Ok(index);
                    }
                }
                Err(ReadError::NotLeader { leader: None }) => {}
                settled => return settled,
            }
            if !pauses.pause().await {
                return Err(ReadError::Unavailable);
            }
        }
    }

    /// One question to the supposed leader; `None` if it gave no index, for whatever reason. The question ends when somebody else
    /// leads.
    async fn ask(&self, peers: &Peers, leader: u64, deadline: Instant) -> Option<u64> {
        let address = self.raft.metrics().borrow_watched().membership_config.get_node(&leader)?.addr.clone();
        // A little less than all that is left, so that the leader's own answer arrives before the deadline does.
        let left = deadline.saturating_duration_since(Instant::now()).mul_f32(0.9);
        let question = async {
            let mut client = peers.client(leader, &address, Lane::Control).await.ok()?;
            let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            let request = pb::ReadIndexRequest { route: Some(peers.route_to(leader)), deadline_ms };
            match client.read_index(request).await {
                Ok(reply) => reply.into_inner().outcome,
                Err(status) => {
                    tracing::debug!(leader, code = ?status.code(), "the leader gave no read index");
                    peers.forget(leader, &address, Lane::Control);
                    None
                }
            }
        };
        let mut leaders = Leaders::new(self.raft.server_metrics());
        let answer = tokio::select! {
            biased;
            answer = time::timeout_at(deadline, question) => answer.ok()??,
            _ = leaders.another_than(Some(leader)) => return None,
        };
        match answer {
            pb::read_index_reply::Outcome::Index(index) => Some(index),
            pb::read_index_reply::Outcome::NotLeader(_) | pb::read_index_reply::Outcome::Unavailable(_) => None,
        }
    }

    pub(crate) async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), WaitError> {
        let mut progress = self.raft.watch_apply_progress();
        let applied = progress.wait_until(|applied| applied.is_some_and(|applied| applied.index >= index));
        let applied = time::timeout_at(deadline, applied).await.map_err(|_| WaitError::Deadline)?;
        applied.map(|_| ()).map_err(|_| WaitError::Stopped)
    }

    pub(crate) async fn wait_recovered(&self, deadline: Instant) -> Result<(), WaitError> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.raft.wait_for_recovery(Some(left)).await {
            Ok(_) => Ok(()),
            Err(EngineWaitError::Timeout(..)) => Err(WaitError::Deadline),
            Err(EngineWaitError::ShuttingDown) => Err(WaitError::Stopped),
        }
    }

    pub(crate) async fn committed_entries(&self, log: &LogStore, from: u64, max_bytes: usize) -> Result<Vec<CommittedEntry>, EntriesError> {
        let end = self.raft.metrics().borrow_watched().local_committed.map_or(0, |last| last.index + 1);
        let purged = || log.ends().1.map_or(0, |purged| purged.index + 1);
        if from < purged() {
            return Err(EntriesError::Purged { first: purged() });
        }
        let entries = log.read(from, end, max_bytes).await.map_err(|_| EntriesError::Stopped)?;
        // They may have been purged while they were read.
        if entries.first().is_some_and(|entry| entry.log_id.index != from) || (entries.is_empty() && from < end) {
            return Err(EntriesError::Purged { first: purged() });
        }
        Ok(entries.into_iter().map(committed).collect())
    }
}
