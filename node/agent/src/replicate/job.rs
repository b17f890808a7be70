//! One blob, from peers into the store.

use std::sync::Arc;

use ncore_model::{BlobHash, Query};
use ncore_replica::Replica;
use ncore_store::{BlobStatus, BlobStore, PinId, StoreError};
use ncore_transfer::{FetchBlobError, Transfer};
use uuid::Uuid;

use super::ledger::{Job, Obtained};
use crate::{
    blocking::blocking,
    error::AgentError,
    metrics::{AgentMetrics, add},
    removals::Removals,
};

/// What jobs need.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) replica: Arc<Replica>,
    pub(crate) store: BlobStore,
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) metrics: Arc<AgentMetrics>,
    pub(crate) removals: Removals,
}

/// The end of a job.
pub(super) struct JobEnd {
    pub(super) blob: BlobHash,
    pub(super) obtained: Obtained,
    /// The store had no room: other jobs would meet the same.
    pub(super) is_disk_full: bool,
}

impl Fetcher {
    /// Gets the blob, unless it is here already or nobody refers to it any more.
    pub(super) async fn run(self, job: Job) -> Result<JobEnd, AgentError> {
        let end = |obtained| JobEnd { blob: job.blob, obtained, is_disk_full: false };
        if !self.is_referenced(job.blob).await? {
            return Ok(end(Obtained::Unreferenced));
        }
        if matches!(self.store.status(job.blob.into()), Ok(BlobStatus::Present { size, .. }) if size == job.size) {
            return Ok(end(Obtained::Held));
        }
        match self.fetch(job).await {
            Ok(()) => {
                add(&self.metrics.blobs_obtained, 1);
                Ok(end(Obtained::Held))
            }
            Err(error) => {
                add(&self.metrics.fetches_failed, 1);
                let is_disk_full = matches!(error, FetchBlobError::Store(StoreError::Full));
                if is_disk_full {
                    tracing::error!(blob = %job.blob, "no room on the disk for a blob that this node must hold");
                } else {
                    tracing::debug!(blob = %job.blob, error = &error as &dyn std::error::Error, "a blob could not be fetched yet");
                }
                Ok(JobEnd { is_disk_full, ..end(Obtained::Failed) })
            }
        }
    }

    /// The pin keeps the blob while it comes in; from then on the asset that refers to it does, and the grace after its unpinning.
    async fn fetch(&self, job: Job) -> Result<(), FetchBlobError> {
        let pin = PinId(Uuid::now_v7().as_u128());
        self.transfer.fetch_blob(job.blob.into(), job.size, pin).await?;
        if let Err(error) = self.store.unpin(job.blob.into(), pin).await {
            // Its time will be up, and the collector ends it.
            tracing::warn!(blob = %job.blob, error = &error as &dyn std::error::Error, "could not end the pin of a fetched blob");
        }
        Ok(())
    }

    async fn is_referenced(&self, blob: BlobHash) -> Result<bool, AgentError> {
        let (replica, removals) = (Arc::clone(&self.replica), self.removals.clone());
        let look = move || {
            let is_referenced = replica.blob(blob).map_err(AgentError::Row)?.is_some();
            removals.settle();
            Ok(is_referenced)
        };
        blocking(look).await
    }
}
