//! Handing over the leadership.
//!
//! openraft starts a transfer to anybody it is told, stops taking commands, and never takes it back: if the chosen node
//! cannot win, the cluster is without a leader until the next election. So the choice is checked first.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use crate::{
    error::{TransferError, WaitError},
    status::{RaftStatus, StatusWatch},
    types::Raft,
};

pub(crate) async fn transfer(raft: &Raft, election_max: Duration, to: u64, deadline: Instant) -> Result<(), TransferError> {
    let before = RaftStatus::from_metrics(&raft.metrics().borrow_watched());
    if !before.is_leader() {
        return Err(TransferError::NotLeader { leader: before.leader });
    }
    if to == before.node_id {
        return Ok(());
    }
    check(&before, to, election_max)?;
    raft.trigger().transfer_leader(to).await.map_err(|_| TransferError::Stopped)?;
    let taken_over = |status: &RaftStatus| status.leader.is_some_and(|leader| (leader, status.term) != (before.node_id, before.term));
    let after = StatusWatch::new(raft.metrics()).wait_for(deadline, taken_over).await.map_err(|error| match error {
        WaitError::Deadline => TransferError::Deadline,
        WaitError::Stopped => TransferError::Stopped,
    })?;
    match after.leader {
        Some(leader) if leader != to => Err(TransferError::Other { leader }),
        _ => Ok(()),
    }
}

/// Whether the node is a voter that answers and has nearly all of the log; it waits for the rest itself.
fn check(status: &RaftStatus, to: u64, election_max: Duration) -> Result<(), TransferError> {
    if !status.members.voters.contains(&to) {
        return Err(TransferError::NotVoter { node_id: to });
    }
    let peer = status.peers.as_ref().and_then(|peers| peers.get(&to));
    match peer {
        Some(peer) if peer.lag <= LAG && peer.ack_age.is_some_and(|age| age < election_max) => Ok(()),
        peer => Err(TransferError::Behind { node_id: to, lag: peer.map_or(u64::MAX, |peer| peer.lag) }),
    }
}

/// Entries the chosen node may lack. It receives them in a few milliseconds.
const LAG: u64 = 1000;
