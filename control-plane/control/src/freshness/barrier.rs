//! Has every node applied a revision, or been fenced? Asked at any node, answered by the leader.

use std::time::Duration;

use futures_util::future::join_all;
use ncore_freshness::{Barrier, BarrierState, CompleteBy, Pending};
use ncore_model::{NodeId, Query, Revision};
use ncore_proto::cluster::v1::{self as wire, barrier_reply::Result as Reply, cluster_client::ClusterClient};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::clock::boottime;
use crate::{
    control::Control,
    plane::{ControlPlane, ReadError},
};

/// How often a barrier is looked at although nothing happened: time alone completes it, too.
const LOOK: Duration = Duration::from_millis(100);
/// The wait before another leader is asked.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest that the leader is waited for at once: one that does not answer may not lead any more.
const PART: Duration = Duration::from_secs(2);
/// How long a node that is asked what it has applied may take.
const ASK: Duration = Duration::from_secs(1);
/// The longest that a caller may have this node wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a barrier is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BarrierProgress {
    /// Every node has applied the revision or is fenced; one that becomes fresh again has applied it by then.
    Complete {
        /// How that is known.
        by: CompleteBy,
    },
    /// Some node may be fresh without having applied it.
    Pending {
        /// How many nodes are known to have applied it.
        acked: u32,
        /// How many count: those that may be fresh.
        total: u32,
        /// Nodes that are known not to have applied it, the furthest behind first.
        laggards: Vec<NodeId>,
        /// After how much more time it will be complete in any case.
        complete_within: Duration,
    },
}

/// Nothing can be said of a barrier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BarrierError {
    /// The revision has not been reached where the barrier was asked for, or never will be.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Control {
    /// Waits until every node has applied `revision` or is fenced, but not longer than `deadline`, and says how far that is.
    ///
    /// The leader answers; from any other node the question goes there. While no leader is in reach the answer is by time alone.
    ///
    /// # Errors
    /// [`BarrierError`] if this node does not reach the revision in time.
    pub(crate) async fn barrier_anywhere(&self, revision: Revision, deadline: Duration) -> Result<BarrierProgress, BarrierError> {
        let end = Instant::now() + deadline.min(PATIENCE);
        self.wait_applied(revision, end.saturating_duration_since(Instant::now())).await?;
        let barrier = Barrier::new(revision, boottime());
        loop {
            let leader = self.leader();
            let part = end.min(Instant::now() + PART);
            if leader == Some(self.id().0) && self.raft().is_some() {
                match self.barrier_here(&barrier, end, true).await {
                    // It leads no more.
                    BarrierProgress::Pending { .. } if Instant::now() + BACKOFF < end => continue,
                    progress => return Ok(progress),
                }
            }
            let asked = async {
                match leader {
                    Some(leader) => self.barrier_at(NodeId(leader), revision, part).await,
                    None => None,
                }
            };
            match asked.await {
                Some(BarrierProgress::Pending { .. }) if Instant::now() + BACKOFF < end => continue,
                Some(progress) => return Ok(progress),
                None => {}
            }
            // Whoever leads, time completes it; and if that is not yet, the next try may find a leader.
            let next = end.min(Instant::now() + BACKOFF);
            let progress = self.barrier_here(&barrier, next, false).await;
            if matches!(progress, BarrierProgress::Complete { .. }) || Instant::now() + BACKOFF >= end {
                return Ok(progress);
            }
        }
    }

    /// Asks every member at once. One that says nothing, or that it is behind, is named.
    pub(crate) async fn nodes_without(&self, revision: Revision) -> Vec<NodeId> {
        let members = self.replica().members().unwrap_or_default();
        let asked = members.into_iter().map(|node| node.id).filter(|node| *node != self.id()).map(async |node| {
            let channel = self.peers().channel(node).ok()?;
            let mut client = ClusterClient::new(channel);
            let reply = timeout(ASK, client.inspect(wire::InspectRequest { state_hash: false })).await.ok()?.ok()?.into_inner();
            let applied = Revision { lineage: reply.lineage, index: reply.applied };
            (applied >= revision).then_some(node)
        });
        let asked: Vec<_> = asked.collect();
        let have: Vec<NodeId> = join_all(asked).await.into_iter().flatten().collect();
        let members = self.replica().members().unwrap_or_default().into_iter().map(|node| node.id);
        members.filter(|node| *node != self.id() && !have.contains(node)).collect()
    }

    /// At this node's own hub, until `end`. As long as it leads, if it is to.
    async fn barrier_here(&self, barrier: &Barrier, end: Instant, leading: bool) -> BarrierProgress {
        let pulse = self.pulse();
        let mut progress = pulse.progress();
        // It takes a round that began after the barrier.
        pulse.urged.notify_one();
        loop {
            progress.mark_unchanged();
            match pulse.barrier(barrier) {
                BarrierState::Complete(by) => return BarrierProgress::Complete { by },
                BarrierState::Pending(pending) if Instant::now() >= end => return pending_now(pending),
                BarrierState::Pending(pending) if leading && self.leader() != Some(self.id().0) => return pending_now(pending),
                BarrierState::Pending(_) => {}
            }
            let look = end.min(Instant::now() + LOOK);
            // Either something happened, or it is time to look.
            let _ = timeout_at(look, progress.changed()).await;
        }
    }

    /// One question to the supposed leader; `None` if it gave no answer.
    async fn barrier_at(&self, leader: NodeId, revision: Revision, end: Instant) -> Option<BarrierProgress> {
        let channel = self.peers().channel(leader).ok()?;
        let left = end.saturating_duration_since(Instant::now());
        let deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let request = wire::BarrierRequest { lineage: revision.lineage, index: revision.index, deadline_ms };
        let mut client = ClusterClient::new(channel);
        let reply = timeout_at(end + BACKOFF, client.barrier(request)).await.ok()?.ok()?;
        from_wire(reply.into_inner())
    }

    /// As the leader, for another node.
    pub(crate) async fn barrier_for(&self, request: wire::BarrierRequest) -> wire::BarrierReply {
        let revision = Revision { lineage: request.lineage, index: request.index };
        let end = Instant::now() + Duration::from_millis(request.deadline_ms).min(PATIENCE);
        let leads = self.raft().is_some() && self.leader() == Some(self.id().0);
        let reached = self.wait_applied(revision, end.saturating_duration_since(Instant::now())).await;
        if !leads || reached.is_err() {
            // So that whoever asks does not ask again at once.
            sleep(BACKOFF).await;
            return to_wire(None);
        }
        let barrier = Barrier::new(revision, boottime());
        to_wire(Some(self.barrier_here(&barrier, end, true).await))
    }
}

fn pending_now(pending: Pending) -> BarrierProgress {
    let Pending { acked, total, complete_at_most, laggards } = pending;
    let laggards = laggards.into_iter().map(|laggard| laggard.node).collect();
    BarrierProgress::Pending { acked, total, laggards, complete_within: complete_at_most.since(boottime()) }
}

fn to_wire(progress: Option<BarrierProgress>) -> wire::BarrierReply {
    let result = progress.map(|progress| match progress {
        BarrierProgress::Complete { by } => Reply::Complete(wire::BarrierComplete { by_time: by == CompleteBy::Time }),
        BarrierProgress::Pending { acked, total, laggards, complete_within } => Reply::Pending(wire::BarrierPending {
            acked,
            total,
            laggards: laggards.into_iter().map(|node| node.0).collect(),
            complete_within_ms: u64::try_from(complete_within.as_millis()).unwrap_or(u64::MAX),
        }),
    });
    wire::BarrierReply { result }
}

fn from_wire(reply: wire::BarrierReply) -> Option<BarrierProgress> {
    Some(match reply.result? {
        Reply::Complete(complete) => BarrierProgress::Complete { by: if complete.by_time { CompleteBy::Time } else { CompleteBy::Acks } },
        Reply::Pending(pending) => BarrierProgress::Pending {
            acked: pending.acked,
            total: pending.total,
            laggards: pending.laggards.into_iter().map(NodeId).collect(),
            complete_within: Duration::from_millis(pending.complete_within_ms),
        },
    })
}
