//! How the control plane of a node is, whether the node takes part in Raft or follows from outside.

use std::collections::BTreeSet;

use ncore_raft::{AppliedMark, Members, RaftNode, Role, members_of};
use ncore_replica::Replica;

use crate::{control::Control, hub::Parent, machine::mark_of, plane::ControlPlane};

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRole {
    /// Leads.
    Leader,
    /// Votes and follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Gets the log from the leader and has no vote: on its way to one, or once a voter.
    Learner,
    /// Takes no part in Raft and follows a hub.
    Edge,
    /// Takes no part in Raft any more, because it is stopping.
    Stopped,
}

impl NodeRole {
    /// The name in status and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Edge => "edge",
            Self::Stopped => "stopped",
        }
    }
}

impl From<Role> for NodeRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Learner => Self::Learner,
            Role::Follower => Self::Follower,
            Role::Candidate => Self::Candidate,
            Role::Leader => Self::Leader,
            Role::Stopped => Self::Stopped,
        }
    }
}

/// A node's view of the cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlStatus {
    /// What this node does.
    pub role: NodeRole,
    /// The present term, as far as this node knows.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<u64>,
    /// Index up to which this node knows the log to be committed.
    pub committed: Option<u64>,
    /// Index of the last entry in this node's log; `None` without a log.
    pub last_log: Option<u64>,
    /// Who takes part in Raft.
    pub members: Members,
    /// The hub that this node follows; `None` on nodes that take part in Raft, and while there is none.
    pub parent: Option<Parent>,
    /// The hub that it keeps warm.
    pub standby: Option<u64>,
    /// How often it followed a hub that was not the one before.
    pub parent_changes: u64,
    /// Checkpoints that it took over from a hub.
    pub checkpoints: u64,
}

impl Control {
    /// How the control plane of this node is.
    #[must_use]
    pub fn status(&self) -> ControlStatus {
        if let Some(raft) = self.raft() {
            let status = raft.status();
            return ControlStatus {
                role: status.role.into(),
                term: status.term,
                leader: status.leader,
                committed: status.committed,
                last_log: status.last_log,
                members: status.members,
                parent: None,
                standby: None,
                parent_changes: self.follower_status().changes(),
                checkpoints: self.follower_status().checkpoints(),
            };
        }
        let (leader, follower) = (self.leadership().current(), self.follower_status());
        ControlStatus {
            role: NodeRole::Edge,
            term: leader.term,
            leader: leader.node,
            committed: follower.committed(),
            last_log: None,
            members: members(self.replica()),
            parent: follower.parent(),
            standby: follower.standby().map(|node| node.0),
            parent_changes: follower.changes(),
            checkpoints: follower.checkpoints(),
        }
    }
}

/// The voters, as Raft knows them, or as the state that this node has applied tells.
pub(crate) fn voters(raft: Option<&RaftNode>, replica: &Replica) -> BTreeSet<u64> {
    raft.map_or_else(|| members(replica).voters, RaftNode::voters)
}

/// Who takes part in Raft, according to the mark of the state. A mark that cannot be read stops the node when the next entry is
/// applied; until then it tells nothing.
pub(crate) fn members(replica: &Replica) -> Members {
    let mark: AppliedMark = mark_of(replica).unwrap_or_default();
    members_of(&mark).unwrap_or_default()
}
