//! What a node knows of itself, its cluster, and its peers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{Instant, ServerState, async_runtime::watch::WatchReceiver};

use crate::{
    convert,
    error::WaitError,
    machine::LogPosition,
    types::{LeaderId, LogId, Membership, Metrics, MetricsWatch, StoredMembership},
};

/// A node's view at one moment. Followers know less than the leader, and a deposed leader does not know it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftStatus {
    /// This node.
    pub node_id: u64,
    /// What it does in the cluster.
    pub role: Role,
    /// The present term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<u64>,
    /// Index of the last entry in the log, durable or not.
    pub last_log: Option<u64>,
    /// Index up to which this node knows the log to be committed.
    pub committed: Option<u64>,
    /// The last entry applied to the state machine.
    pub applied: Option<LogPosition>,
    /// Index of the newest snapshot.
    pub snapshot: Option<u64>,
    /// Index of the last entry purged from the log.
    pub purged: Option<u64>,
    /// The members, as of the newest membership in the log.
    pub members: Members,
    /// How long ago a quorum last answered. Only a leader knows; `None` before the first answer.
    pub quorum_ack_age: Option<Duration>,
    /// The other members, as a leader sees them; `None` on other nodes.
    pub peers: Option<BTreeMap<u64, PeerStatus>>,
    stamp: MembershipStamp,
}

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives the log and has no vote. Also a node without a cluster.
    Learner,
    /// Votes and follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// Has stopped.
    Stopped,
}

/// Who belongs to the cluster's Raft group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Members with a vote, of both sets while a change is under way.
    pub voters: BTreeSet<u64>,
    /// Members without one.
    pub learners: BTreeSet<u64>,
    /// Where to reach each member.
    pub addresses: BTreeMap<u64, String>,
    /// The old and the new voters while a change is under way. If that stays, the leader that made the change has
    /// failed in the middle of it: change the voters to the wanted set again.
    pub joint: Option<(BTreeSet<u64>, BTreeSet<u64>)>,
    /// Whether this membership is known to be committed.
    pub committed: bool,
}

/// Another member, as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerStatus {
    /// Index up to which its log is known to equal the leader's.
    pub matched: Option<u64>,
    /// Entries of the leader's log that it is not known to have.
    pub lag: u64,
    /// How long ago it last answered; `None` if it never did in this term.
    pub ack_age: Option<Duration>,
}

/// The leadership and the membership on which a decision is based. A change made with a stamp that is not current any more
/// is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipStamp {
    pub(crate) leader: LeaderKey,
    pub(crate) membership: Option<LogPosition>,
}

/// A leadership: term and node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaderKey {
    pub(crate) term: u64,
    pub(crate) node: u64,
}

/// Follows a node's status.
#[derive(Clone)]
pub struct StatusWatch {
    metrics: MetricsWatch,
}

impl RaftStatus {
    /// What a membership change decided on this status must name.
    pub fn stamp(&self) -> MembershipStamp {
        self.stamp
    }

    /// Whether this node leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    pub(crate) fn from_metrics(metrics: &Metrics) -> Self {
        Self {
            node_id: metrics.id,
            role: role(metrics),
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log: metrics.last_log_index,
            committed: index(metrics.local_committed.as_ref()),
            applied: metrics.last_applied.as_ref().map(convert::position_of),
            snapshot: index(metrics.snapshot.as_ref()),
            purged: index(metrics.purged.as_ref()),
            members: Members::from_metrics(metrics),
            quorum_ack_age: metrics.last_quorum_acked.as_ref().map(|at| at.elapsed()),
            peers: peers(metrics),
            stamp: MembershipStamp {
                leader: LeaderKey { term: metrics.vote.leader_id.term, node: metrics.vote.leader_id.node_id },
                membership: metrics.membership_config.log_id().as_ref().map(convert::position_of),
            },
        }
    }
}

impl StatusWatch {
    pub(crate) fn new(metrics: MetricsWatch) -> Self {
        Self { metrics }
    }

    /// The status now.
    pub fn current(&self) -> RaftStatus {
        RaftStatus::from_metrics(&self.metrics.borrow_watched())
    }

    /// Waits until something has changed since the last call. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the node has stopped.
    pub async fn changed(&mut self) -> Result<(), WaitError> {
        self.metrics.changed().await.map_err(|_| WaitError::Stopped)
    }

    /// Waits until `condition` holds and returns the status for which it did. Cancel safe.
    ///
    /// # Errors
    ///
    /// At the deadline, and when the node has stopped.
    pub async fn wait_for(
        &mut self,
        deadline: tokio::time::Instant,
        mut condition: impl FnMut(&RaftStatus) -> bool,
    ) -> Result<RaftStatus, WaitError> {
        loop {
            let status = {
                // Marks the value as seen, so that `changed` waits for a newer one.
                let metrics = self.metrics.borrow_and_update();
                RaftStatus::from_metrics(&metrics)
            };
            if condition(&status) {
                return Ok(status);
            }
            tokio::time::timeout_at(deadline, self.changed()).await.map_err(|_| WaitError::Deadline)??;
        }
    }
}

impl Members {
    fn from_metrics(metrics: &Metrics) -> Self {
        let committed = metrics.membership_config.log_id() == metrics.committed_membership_config.log_id();
        Self::of(metrics.membership_config.membership(), committed)
    }

    /// A membership that the state machine has applied, and that is therefore committed.
    pub(crate) fn from_stored(stored: &StoredMembership) -> Self {
        Self::of(stored.membership(), true)
    }

    fn of(membership: &Membership, committed: bool) -> Self {
        let joint = match membership.get_joint_config().as_slice() {
            [old, new] => Some((old.clone(), new.clone())),
            _ => None,
        };
        Self {
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            addresses: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
            joint,
            committed,
        }
    }
}

impl LeaderKey {
    pub(crate) fn engine(self) -> LeaderId {
        LeaderId { term: self.term, node_id: self.node }
    }
}

fn role(metrics: &Metrics) -> Role {
    match metrics.state {
        _ if metrics.running_state.is_err() => Role::Stopped,
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn peers(metrics: &Metrics) -> Option<BTreeMap<u64, PeerStatus>> {
    let heartbeats = metrics.heartbeat.as_ref();
    let last = metrics.last_log_index.map_or(0, |last| last + 1);
    let peer = |(id, matched): (&u64, &Option<LogId>)| {
        let acked = heartbeats.and_then(|heartbeats| heartbeats.get(id)).and_then(Option::as_ref);
        let matched = index(matched.as_ref());
        let lag = last.saturating_sub(matched.map_or(0, |matched| matched + 1));
        (*id, PeerStatus { matched, lag, ack_age: acked.map(|at| at.elapsed()) })
    };
    let others = metrics.replication.as_ref()?.iter().filter(|(id, _)| **id != metrics.id);
    Some(others.map(peer).collect())
}

fn index(log_id: Option<&LogId>) -> Option<u64> {
    log_id.map(|log_id| log_id.index)
}
