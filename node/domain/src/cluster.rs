//! The state of the cluster, as the rest of this crate reads and changes it.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use ncore_control::{Change, Committed, ControlPlane, ProposeError, ReadError};
use ncore_model::{Command, Idempotency, NodeId, Outcome, RequestId, Revision, TableError};
use ncore_replica::View;
use tokio::{task::spawn_blocking, time::Instant};
use uuid::Uuid;

use crate::error::{ChangeError, RevisionError, StateError};

/// Something that was read, and the revision of the view that it was read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    /// The last entry of the log that the view included.
    pub revision: Revision,
    /// What was read.
    pub value: T,
}

/// The control plane, with this node's deadline for changes.
#[derive(Clone)]
pub(crate) struct Cluster {
    plane: Arc<dyn ControlPlane>,
    request_deadline: Duration,
}

impl Cluster {
    pub(crate) fn new(plane: Arc<dyn ControlPlane>, request_deadline: Duration) -> Self {
        Self { plane, request_deadline }
    }

    pub(crate) fn plane(&self) -> &Arc<dyn ControlPlane> {
        &self.plane
    }

    pub(crate) fn request_deadline(&self) -> Duration {
        self.request_deadline
    }

    pub(crate) fn node_id(&self) -> NodeId {
        self.plane.node_id()
    }

    /// What this node has applied.
    pub(crate) fn revision(&self) -> Revision {
        self.plane.replica().revision()
    }

    /// Waits until this node has applied `revision`, unless no node has it.
    ///
    /// A revision that was handed out is in the state that a leader confirms from now on. So if that does not have it, it was made up, or is
    /// of another cluster. The leader is asked only about what takes longer than the lag of a node in touch.
    pub(crate) async fn wait_for(&self, revision: Revision) -> Result<(), RevisionError> {
        let end = Instant::now() + self.request_deadline;
        match self.plane.wait_for(revision, LAG.min(self.request_deadline)).await {
            Err(ReadError::Behind { .. }) => {}
            settled => return Ok(settled?),
        }
        let left = end.saturating_duration_since(Instant::now());
        let mut arrival = self.plane.wait_for(revision, left);
        tokio::select! {
            biased;
            arrived = &mut arrival => return Ok(arrived?),
            Ok(_) = self.plane.read_index(left) => {}
        }
        // With that, this node has all that there was.
        let newest = self.revision();
        if newest < revision {
            return Err(RevisionError::Unknown { wanted: revision, newest });
        }
        Ok(arrival.await?)
    }

    /// Waits until this node has applied everything that was acknowledged before this call.
    pub(crate) async fn catch_up(&self) -> Result<Revision, ReadError> {
        self.plane.read_index(self.request_deadline).await
    }

    /// Reads in one view, on the blocking pool.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&View<'_>) -> Result<T, TableError> + Send + 'static,
    ) -> Result<Seen<T>, StateError> {
        let plane = Arc::clone(&self.plane);
        let job = spawn_blocking(move || {
            plane.replica().read(|view| {
                let value = query(view).map_err(StateError::Table)?;
                Ok(Seen { revision: view.revision(), value })
            })
        });
        job.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(StateError::Stopping),
        })
    }

    /// Asks for a change and waits for what becomes of it. A rejection is an error here.
    pub(crate) async fn change(&self, command: Command, once: Option<Idempotency>) -> Result<Committed, ChangeError> {
        self.change_until(command, once, Instant::now() + self.request_deadline).await
    }

    /// As [`change`](Self::change), with an answer by `until`. If that is over already, nothing is asked for.
    pub(crate) async fn change_until(&self, command: Command, once: Option<Idempotency>, until: Instant) -> Result<Committed, ChangeError> {
        let deadline = until.saturating_duration_since(Instant::now());
        if deadline.is_zero() {
            return Err(ChangeError::Unavailable { reason: "what came before the change took all of its time" });
        }
        let change = Change { request: RequestId(Uuid::now_v7().into_bytes()), idempotency: once, command, deadline };
        let committed = self.plane.propose(change).await.map_err(|error| match error {
            ProposeError::Unavailable { reason } => ChangeError::Unavailable { reason },
            ProposeError::Unknown { reason } => ChangeError::Unknown { reason },
        })?;
        match committed.outcome {
            Outcome::Rejected(rejection) => Err(ChangeError::Rejected { rejection, revision: committed.revision }),
            _ => Ok(committed),
        }
    }
}

/// How long a node in touch with the cluster may take to learn of a change.
const LAG: Duration = Duration::from_millis(100);
