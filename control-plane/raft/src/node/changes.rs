//! Changes of the membership, one at a time, each tied to what its decision was based on.
//!
//! openraft makes a change of voters in two steps. An error of the second one comes when the first has committed, so
//! every error is held against the membership that is there afterwards: if it is still the one of the stamp, nothing was
//! changed; if not, the caller has to look.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{
    ChangeMembers, Precondition,
    async_runtime::watch::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, PreconditionFailed, RaftError},
};
use tokio::time::{self, Instant};

use super::retry::{Deflected, Pauses, deflected};
use crate::{
    convert,
    error::ChangeError,
    status::{MembershipStamp, RaftStatus},
    types::{LogId, Node, Raft, TypeConfig},
};

pub(crate) struct Changes<'a> {
    pub(crate) raft: &'a Raft,
}

type Change = ChangeMembers<u64, Node>;

/// Why an attempt did not succeed.
enum Refusal {
    /// It may in a moment.
    Transient,
    Definite(ChangeError),
}

impl Changes<'_> {
    pub(crate) async fn add_learner(
        &self,
        node_id: u64,
        address: &str,
        stamp: MembershipStamp,
        deadline: Instant,
    ) -> Result<(), ChangeError> {
        let change = ChangeMembers::AddNodes(BTreeMap::from([(node_id, Node::new(address))]));
        self.change(change, Leavers::Stay, stamp, deadline).await
    }

    pub(crate) async fn promote(&self, node_id: u64, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node_id])), Leavers::Stay, stamp, deadline).await
    }

    pub(crate) async fn change_voters(&self, voters: BTreeSet<u64>, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        self.change(ChangeMembers::ReplaceAllVoters(voters), Leavers::Stay, stamp, deadline).await
    }

    pub(crate) async fn remove(&self, node_id: u64, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        let members = RaftStatus::from_metrics(&self.raft.metrics().borrow_watched()).members;
        if members.learners.contains(&node_id) {
            let change = ChangeMembers::RemoveNodes(BTreeSet::from([node_id]));
            return self.change(change, Leavers::Go, stamp, deadline).await;
        }
        let mut voters = members.joint.as_ref().map_or_else(|| members.voters.clone(), |(_, new)| new.clone());
        if !voters.remove(&node_id) {
            // One that is about to lose its vote stays a member until that is over, and is to be looked at again then.
            let leaves = members.voters.contains(&node_id);
            return Err(if leaves { ChangeError::Stale } else { ChangeError::UnknownNode { node_id } });
        }
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        self.change(ChangeMembers::ReplaceAllVoters(voters), Leavers::Go, stamp, deadline).await
    }

    pub(crate) async fn set_address(
        &self,
        node_id: u64,
        address: &str,
        stamp: MembershipStamp,
        deadline: Instant,
    ) -> Result<(), ChangeError> {
        if self.raft.metrics().borrow_watched().membership_config.get_node(&node_id).is_none() {
            return Err(ChangeError::UnknownNode { node_id });
        }
        let change = ChangeMembers::SetNodes(BTreeMap::from([(node_id, Node::new(address))]));
        self.change(change, Leavers::Stay, stamp, deadline).await
    }

    async fn change(&self, change: Change, leavers: Leavers, stamp: MembershipStamp, deadline: Instant) -> Result<(), ChangeError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            let preconditions = [
                Precondition::CommittedLeaderId { committed_leader_id: stamp.leader.engine() },
                Precondition::LastMembershipLogId { last_membership_log_id: stamp.membership.map(convert::log_id_at) },
            ];
            let attempt = self.raft.change_membership_if(change.clone(), leavers == Leavers::Stay, preconditions);
            let error = match time::timeout_at(deadline, attempt).await {
                Err(_) => return Err(ChangeError::Unknown),
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(RaftError::Fatal(_))) => return Err(ChangeError::Unknown),
                Ok(Err(RaftError::APIError(error))) => error,
            };
            match self.refusal(error, stamp) {
                Refusal::Definite(error) => return Err(error),
                Refusal::Transient if pauses.pause().await => {}
                Refusal::Transient => return Err(ChangeError::Unavailable),
            }
        }
    }

    fn refusal(&self, error: ClientWriteError<TypeConfig>, stamp: MembershipStamp) -> Refusal {
        let based_on = stamp.membership.map(convert::log_id_at);
        if matches!(&error, ClientWriteError::PreconditionFailed(PreconditionFailed::LastMembershipLogIdMismatch { expected, .. }) if *expected == based_on)
        {
            return Refusal::Definite(ChangeError::Stale);
        }
        if self.membership() != based_on {
            return Refusal::Definite(ChangeError::Unknown);
        }
        Refusal::Definite(match error {
            ClientWriteError::ForwardToLeader(forward) => match deflected(&forward, *self.raft.node_id()) {
                Deflected::Transient => return Refusal::Transient,
                Deflected::To(leader) => ChangeError::NotLeader { leader },
            },
            ClientWriteError::LogEntryDiscarded(_) => ChangeError::Unknown,
            ClientWriteError::PreconditionFailed(_) => ChangeError::Stale,
            ClientWriteError::ChangeMembershipError(error) => match error {
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => return Refusal::Transient,
                ChangeMembershipError::EmptyMembership(_) => ChangeError::NoVoters,
                ChangeMembershipError::LearnerNotFound(missing) => ChangeError::UnknownNode { node_id: missing.node_id },
                // Said of memberships appended directly, which is not done here.
                ChangeMembershipError::UnsupportedMembershipTransition(_) | ChangeMembershipError::NodeMetadataChanged(_) => {
                    ChangeError::Stale
                }
            },
        })
    }

    /// Position of the newest membership in the log.
    fn membership(&self) -> Option<LogId> {
        *self.raft.metrics().borrow_watched().membership_config.log_id()
    }
}

/// What becomes of voters that lose their vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leavers {
    /// They stay as learners.
    Stay,
    /// They leave the cluster.
    Go,
}
