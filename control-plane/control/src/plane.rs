//! What the rest of a node may ask of the control plane: this, and no more.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use ncore_freshness::FreshState;
use ncore_model::{Command, Idempotency, NodeId, Outcome, RequestId, Revision};
use ncore_replica::Replica;
use tokio::sync::watch;

use crate::freshness::{BarrierError, BarrierProgress};

/// The control plane, as the customer-facing side and the agent of a node see it.
pub trait ControlPlane: Send + Sync + 'static {
    /// This node.
    fn node_id(&self) -> NodeId;

    /// The state as this node has it. Reads are local and may be behind; see [`wait_for`](Self::wait_for) and
    /// [`read_index`](Self::read_index).
    fn replica(&self) -> &Arc<Replica>;

    /// Asks for a change, wherever the leader is, and waits until this node's own state includes it.
    fn propose(&self, change: Change) -> BoxFuture<'_, Result<Committed, ProposeError>>;

    /// A revision that includes every change that was acknowledged before this call (ReadIndex), once this node has applied it.
    fn read_index(&self, deadline: Duration) -> BoxFuture<'_, Result<Revision, ReadError>>;

    /// Waits until this node has applied `revision`.
    fn wait_for(&self, revision: Revision, deadline: Duration) -> BoxFuture<'_, Result<(), ReadError>>;

    /// Whether this node may act on its view, as of now. Whoever acts on the answer reads the view *after* this call. Cheap enough to
    /// be asked for each request.
    fn fresh_state(&self) -> FreshState;

    /// Announces the state of freshness, within a tenth of a second.
    fn freshness(&self) -> watch::Receiver<FreshState>;

    /// Waits until every node has applied `revision` or is fenced, but not longer than `deadline`, and says how far that is.
    fn barrier(&self, revision: Revision, deadline: Duration) -> BoxFuture<'_, Result<BarrierProgress, BarrierError>>;

    /// The members that do not say, when asked, that they have applied `revision`: each gets a short time to answer.
    fn without(&self, revision: Revision) -> BoxFuture<'_, Vec<NodeId>>;
}

/// A change that is asked for.
#[derive(Debug, Clone)]
pub struct Change {
    /// Names the request. Asking again with the same id never does it twice.
    pub request: RequestId,
    /// The caller's own key for "this once".
    pub idempotency: Option<Idempotency>,
    /// What to do.
    pub command: Command,
    /// How long to wait for the answer.
    pub deadline: Duration,
}

/// A change that was committed, and applied here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Where it stands in the log; of the first time, if it was asked for before.
    pub revision: Revision,
    /// What became of it. It may have been rejected.
    pub outcome: Outcome,
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The change did not take place and never will by itself. It may be asked for again.
    #[error("the cluster cannot take changes now: {reason}")]
    Unavailable {
        /// What is in the way.
        reason: &'static str,
    },
    /// The change may have taken place, or may yet. Ask again with the same request id or key to find out.
    #[error("whether the change took place is not known: {reason}")]
    Unknown {
        /// What was in the way of the answer.
        reason: &'static str,
    },
}

/// Why a read at a certain revision is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node did not reach the revision in time. Another node may have it.
    #[error("this node has not reached revision {wanted} yet, it is at {reached}")]
    Behind {
        /// The revision that was asked for.
        wanted: Revision,
        /// The revision that the node has.
        reached: Revision,
    },
    /// The revision is of a history that this cluster does not have.
    #[error("revision {wanted} is not of this cluster's history")]
    Lost {
        /// The revision that was asked for.
        wanted: Revision,
    },
    /// No leader could confirm what the newest revision is.
    #[error("no leader is in reach")]
    NoLeader,
}
