//! Takes reports of damage and sees whether they are true: a copy that is bad is set aside, and the replicator has it fetched again.
//!
//! The copy is set aside first. From then on the index of the store says that it does not count, so whatever the replicator looks
//! up afterwards is right.

use std::sync::Arc;

use ncore_store::{BlobStore, Quarantine};
use ncore_transfer::{Repair, RepairQueue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    error::AgentError,
    metrics::{AgentMetrics, add},
};

/// Checks reports of damage, one at a time.
pub(crate) struct Repairer {
    store: BlobStore,
    queue: RepairQueue,
    damage: mpsc::Sender<Repair>,
    metrics: Arc<AgentMetrics>,
}

impl Repairer {
    pub(crate) fn new(store: BlobStore, queue: RepairQueue, damage: mpsc::Sender<Repair>, metrics: Arc<AgentMetrics>) -> Self {
        Self { store, queue, damage, metrics }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        stop.run_until_cancelled(async {
            while let Some(repair) = self.queue.next().await {
                self.take(repair).await;
            }
            // Nobody is left to report damage. The task stays, because its end would count as a failure.
            std::future::pending::<()>().await;
        })
        .await;
        Ok(())
    }

    async fn take(&self, repair: Repair) {
        let hash = repair.hash();
        match self.store.quarantine(hash).await {
            Ok(Quarantine::SetAside) => {
                add(&self.metrics.quarantined, 1);
                tracing::warn!(%hash, "a damaged blob was set aside and is fetched again");
            }
            Ok(Quarantine::AlreadySetAside) => {}
            Ok(Quarantine::Good) => {
                tracing::info!(%hash, "a blob that was reported damaged is good");
                return;
            }
            Ok(Quarantine::Absent) => return,
            Err(error) => {
                // The next reader reports it again.
                tracing::error!(%hash, error = &error as &dyn std::error::Error, "a damaged blob could not be set aside");
                return;
            }
        }
        // The replicator takes them as they come; if it has ended, the node is about to.
        let _ = self.damage.send(repair).await;
    }
}
