//! How far a change has got when it is answered.
//!
//! A change that ends something (a token, a client, an asset, what is cached) can be answered when it is committed, or when no node
//! acts on what was before any more: each has applied it, or is fenced and refuses. The second is the barrier of the control plane.

use ncore_control::BarrierProgress;
use ncore_freshness::FencePolicy;
use ncore_model::{NodeId, Revision};

use crate::cluster::Cluster;

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckLevel {
    /// The change has its place in the log, and this node has applied it.
    Committed,
    /// No node acts on what was before it.
    All,
}

/// What was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// The change is committed. Of other nodes nothing is said: it was not asked for, or they did not answer in time.
    Committed,
    /// Every node has applied the change, or is fenced and does not act on what was before. One that is back has applied it.
    All,
    /// As [`All`](Self::All), but for these: they are fenced, and by their policy they go on sending what they had, marked as stale.
    AllExceptServing(Vec<NodeId>),
}

impl Acknowledged {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::All => "all",
            Self::AllExceptServing(_) => "all_except_serving",
        }
    }
}

impl Cluster {
    /// Waits, not longer than a request may, until `level` is reached. `policy` is what fenced nodes do with what the change ends.
    pub(crate) async fn acknowledge(&self, revision: Revision, level: AckLevel, policy: FencePolicy) -> Acknowledged {
        if level == AckLevel::Committed {
            return Acknowledged::Committed;
        }
        match self.plane().barrier(revision, self.request_deadline()).await {
            Ok(BarrierProgress::Complete { .. }) if policy.ends_old_content() => Acknowledged::All,
            Ok(BarrierProgress::Complete { .. }) => {
                // Whoever has not applied it is fenced by now, and sends the old content on.
                let without = self.plane().without(revision).await;
                if without.is_empty() { Acknowledged::All } else { Acknowledged::AllExceptServing(without) }
            }
            Ok(BarrierProgress::Pending { acked, total, laggards, .. }) => {
                tracing::warn!(%revision, acked, total, ?laggards, "not every node has a change, or is fenced, within the deadline");
                Acknowledged::Committed
            }
            Err(error) => {
                tracing::warn!(%revision, %error, "nothing can be said of the other nodes");
                Acknowledged::Committed
            }
        }
    }
}
