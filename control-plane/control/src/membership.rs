//! Who votes, changed by hand: asked for at any node, done by the leader.
//!
//! The replicated state says which nodes there are and which are meant to vote; Raft's membership says which of them do. A node that
//! is to vote is a learner first and is promoted when it has caught up. Edges are no members of Raft at all. Removal takes it out of the state before it takes it out of
//! Raft, so that it is cut off even if the second step has to be repeated.

use std::time::Duration;

use ncore_model::NodeId;
use ncore_proto::cluster::v1::{
    self as wire, cluster_client::ClusterClient, membership_reply::Result as Reply, membership_request::Change as WireChange,
};
use ncore_raft::{ChangeError, RaftNode, TransferError};
use tokio::time::{Instant, sleep, timeout};

use crate::{control::Control, peers::ConnectFailed};

const BACKOFF: Duration = Duration::from_millis(100);

/// A change of Raft's membership, or of its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipChange {
    /// The node gets the log.
    AddLearner {
        /// Which node.
        node: NodeId,
        /// Where it is: `host:port`.
        address: String,
    },
    /// The node votes from now on.
    Promote(NodeId),
    /// The node votes no more, and still gets the log.
    Demote(NodeId),
    /// The node gets the log no more.
    Remove(NodeId),
    /// The node leads from now on.
    TransferLeader(NodeId),
}

/// Why the membership did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// No leader with a quorum could be reached in time. Try again.
    #[error("no leader with a quorum is in reach; try again")]
    Unavailable,
    /// The leader refuses. Trying again does not help unless something else changes.
    #[error("{0}")]
    Refused(String),
}

impl Control {
    /// Asks the leader for a change of the membership, until `deadline` is over. Every change may be asked for twice.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn change_membership(&self, change: MembershipChange, deadline: Duration) -> Result<(), MembershipError> {
        let end = Instant::now() + deadline;
        loop {
            let remaining = end.saturating_duration_since(Instant::now());
            let result = match self.leader() {
                Some(leader) if leader == self.id().0 => self.change_membership_here(&change, remaining).await,
                Some(leader) => self.change_membership_at(NodeId(leader), &change, remaining).await,
                None => Err(MembershipError::Unavailable),
            };
            match result {
                Err(MembershipError::Unavailable) if Instant::now() + BACKOFF < end => sleep(BACKOFF).await,
                result => return result,
            }
        }
    }

    /// Hands the leadership to another voter, if this node has it, so that changes do not wait for an election when it stops. Returns who
    /// leads then; `None` if there was nothing to hand over, or nobody who could take it.
    pub async fn hand_over(&self, deadline: Duration) -> Option<NodeId> {
        let raft = self.raft()?;
        let end = Instant::now() + deadline;
        for heir in self.status().members.voters {
            if self.leader() != Some(self.id().0) {
                return None;
            }
            // Those that do not answer, or lag behind, are refused at once.
            if heir != self.id().0 && raft.transfer_leader(heir, end).await.is_ok() {
                return Some(NodeId(heir));
            }
        }
        None
    }

    pub(crate) async fn change_membership_here(&self, change: &MembershipChange, deadline: Duration) -> Result<(), MembershipError> {
        let raft = self.raft().ok_or(MembershipError::Unavailable)?;
        let end = Instant::now() + deadline;
        match change {
            MembershipChange::Promote(node) => self.wait_to_change_vote(*node, true, end).await?,
            MembershipChange::Demote(node) => self.wait_to_change_vote(*node, false, end).await?,
            _ => {}
        }
        let status = raft.status();
        let stamp = status.stamp();
        let result = match change {
            MembershipChange::AddLearner { node, address } => raft.add_learner(node.0, address, stamp, end).await,
            MembershipChange::Promote(node) => raft.promote(node.0, stamp, end).await,
            MembershipChange::Demote(node) => {
                let voters = status.members.voters.iter().copied().filter(|voter| *voter != node.0).collect();
                raft.change_voters(voters, stamp, end).await
            }
            // An edge, or one that was removed before.
            MembershipChange::Remove(node) if !status.members.addresses.contains_key(&node.0) => return confirmed(raft, end).await,
            MembershipChange::Remove(node) => raft.remove(node.0, stamp, end).await,
            MembershipChange::TransferLeader(node) => return raft.transfer_leader(node.0, end).await.map_err(not_transferred),
        };
        result.map_err(not_changed)
    }

    async fn change_membership_at(&self, leader: NodeId, change: &MembershipChange, deadline: Duration) -> Result<(), MembershipError> {
        let channel = self.peers().channel(leader).map_err(|_| MembershipError::Unavailable)?;
        let mut client = ClusterClient::new(channel);
        match timeout(deadline, client.change_membership(to_wire(change))).await {
            Err(_) => Err(MembershipError::Unavailable),
            Ok(Err(status)) => {
                let sent = !ConnectFailed::is_cause_of(&status);
                tracing::debug!(%leader, sent, message = status.message(), "asking the leader for a change of membership failed");
                Err(MembershipError::Unavailable)
            }
            Ok(Ok(reply)) => match reply.into_inner().result {
                Some(Reply::Done(_)) => Ok(()),
                Some(Reply::Refused(refused)) => Err(MembershipError::Refused(refused.reason)),
                Some(Reply::NotLeader(_) | Reply::Unavailable(_)) | None => Err(MembershipError::Unavailable),
            },
        }
    }
}

/// That there is nothing to change is as good as a change, if this node still leads.
async fn confirmed(raft: &RaftNode, end: Instant) -> Result<(), MembershipError> {
    raft.read_index(end).await.map(drop).map_err(|_| MembershipError::Unavailable)
}

fn not_changed(error: ChangeError) -> MembershipError {
    match error {
        ChangeError::UnknownNode { .. } | ChangeError::NoVoters => MembershipError::Refused(error.to_string()),
        // A change of unknown outcome is looked at again: each may be asked for twice.
        ChangeError::NotLeader { .. } | ChangeError::Stale | ChangeError::Unavailable | ChangeError::Unknown | ChangeError::Stopped => {
            MembershipError::Unavailable
        }
    }
}

fn not_transferred(error: TransferError) -> MembershipError {
    match error {
        TransferError::NotVoter { .. } | TransferError::Behind { .. } | TransferError::Other { .. } => {
            MembershipError::Refused(error.to_string())
        }
        TransferError::NotLeader { .. } | TransferError::Deadline | TransferError::Stopped => MembershipError::Unavailable,
    }
}

fn to_wire(change: &MembershipChange) -> wire::MembershipRequest {
    let (change, node, address) = match change {
        MembershipChange::AddLearner { node, address } => (WireChange::AddLearner, node, address.clone()),
        MembershipChange::Promote(node) => (WireChange::Promote, node, String::new()),
        MembershipChange::Demote(node) => (WireChange::Demote, node, String::new()),
        MembershipChange::Remove(node) => (WireChange::Remove, node, String::new()),
        MembershipChange::TransferLeader(node) => (WireChange::TransferLeader, node, String::new()),
    };
    wire::MembershipRequest { change: change.into(), node_id: node.0, cluster_address: address }
}

/// `None` if the request names no change that this build knows.
pub(crate) fn from_wire(request: wire::MembershipRequest) -> Option<MembershipChange> {
    let node = NodeId(request.node_id);
    match request.change() {
        WireChange::Unspecified => None,
        WireChange::AddLearner => Some(MembershipChange::AddLearner { node, address: request.cluster_address }),
        WireChange::Promote => Some(MembershipChange::Promote(node)),
        WireChange::Demote => Some(MembershipChange::Demote(node)),
        WireChange::Remove => Some(MembershipChange::Remove(node)),
        WireChange::TransferLeader => Some(MembershipChange::TransferLeader(node)),
    }
}

pub(crate) fn reply(result: Result<(), MembershipError>) -> wire::MembershipReply {
    let result = match result {
        Ok(()) => Reply::Done(wire::Done {}),
        Err(MembershipError::Unavailable) => Reply::Unavailable(wire::Unavailable { reason: String::new() }),
        Err(MembershipError::Refused(reason)) => Reply::Refused(wire::Refused { reason }),
    };
    wire::MembershipReply { result: Some(result) }
}
