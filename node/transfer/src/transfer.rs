//! The client side as its users see it. What each function does is in the module of its name.

use std::sync::Arc;

use bytes::Bytes;
use ncore_model::NodeId;
use ncore_store::{BlobStore, Commit, PinId};
use ncore_throttle::Throttle;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    copy::{CopyFan, ExistingCopy},
    error::{CallError, FetchBlobError, FetchError, TryError},
    fetch,
    metrics::{TransferMetrics, add},
    order,
    peers::Peers,
    settings::TransferSettings,
    stat::{self, BlobStat},
};

/// Fetches from peers, and copies to them.
pub struct Transfer {
    pub(crate) store: BlobStore,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) settings: TransferSettings,
    pub(crate) metrics: Arc<TransferMetrics>,
    pub(crate) throttle: Throttle,
    /// Turns of [`Transfer::fetch_blob`].
    pub(crate) blob_turns: Semaphore,
    /// Turns of [`Transfer::fetch_slice`].
    pub(crate) slice_turns: Semaphore,
}

impl Transfer {
    /// Transfers between `store` and `peers`.
    #[must_use]
    pub fn new(store: BlobStore, peers: Arc<dyn Peers>, settings: TransferSettings, metrics: Arc<TransferMetrics>) -> Self {
        Self {
            store,
            peers,
            metrics,
            throttle: Throttle::new(settings.rate_bytes_s),
            blob_turns: Semaphore::new(settings.concurrency.max(1)),
            slice_turns: Semaphore::new(settings.slices.max(1)),
            settings,
        }
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<TransferMetrics> {
        &self.metrics
    }

    /// A slice from the nearest peer that has it, verified. It is not kept.
    ///
    /// Dropping the future ends the fetch.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_slice(&self, hash: blake3::Hash, size: u64, slice: u64) -> Result<Bytes, FetchError> {
        fetch::fetch_slice(self, hash, size, slice).await
    }

    /// Fetches a blob into the store, verified slice by slice, and pins it there. What came before a break, in this process or an
    /// earlier one, is not fetched again.
    ///
    /// Dropping the future keeps what came.
    ///
    /// # Errors
    /// [`FetchBlobError`].
    pub async fn fetch_blob(&self, hash: blake3::Hash, size: u64, pin: PinId) -> Result<Commit, FetchBlobError> {
        fetch::fetch_blob(self, hash, size, pin).await
    }

    /// Begins to copy an upload to `wanted` peers, of other regions first, while it comes in. Does not wait: peers are connected to
    /// while the first bytes are gathered. `size_hint` lets a peer without that much room refuse at once; another size may come.
    #[must_use = "dropping the copies aborts them"]
    pub fn start_copy(&self, pin: PinId, size_hint: Option<u64>, wanted: usize) -> CopyFan {
        self.start_copy_to(&[], pin, size_hint, wanted)
    }

    /// As [`Transfer::start_copy`], with peers that come before all others, as far as they answer.
    #[must_use = "dropping the copies aborts them"]
    pub fn start_copy_to(&self, prefer: &[NodeId], pin: PinId, size_hint: Option<u64>, wanted: usize) -> CopyFan {
        CopyFan::start(self, prefer, pin, size_hint, wanted)
    }

    /// Copies a blob that the store has to `wanted` peers, none of them in `exclude`, of other regions first. Gives those that made
    /// it durable and pinned it by `until`, which may be fewer. A peer that has the blob already reads its copy in full and pins
    /// that.
    pub async fn copy_existing(
        &self,
        hash: blake3::Hash,
        size: u64,
        pin: PinId,
        exclude: &[NodeId],
        wanted: usize,
        until: Instant,
    ) -> Vec<NodeId> {
        ExistingCopy { transfer: self, hash, size, pin, until }.to_peers(exclude, wanted).await
    }

    /// What a peer holds of these blobs, in their order. At most 1,024 are asked for at a time.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn stat(&self, node: NodeId, hashes: &[blake3::Hash]) -> Result<Vec<BlobStat>, CallError> {
        stat::stat(self, node, hashes).await
    }

    /// Ends a pin on a peer. That it has none is fine.
    ///
    /// # Errors
    /// [`CallError`]. The pin then ends by itself, when its time is up.
    pub async fn unpin(&self, node: NodeId, hash: blake3::Hash, pin: PinId) -> Result<(), CallError> {
        stat::unpin(self, node, hash, pin).await
    }

    /// Writes down that a peer did not give what it was asked for.
    pub(crate) fn note_failed_try(&self, node: NodeId, hash: &blake3::Hash, error: &TryError) {
        error.log(node, hash);
        if matches!(error, TryError::BadFrame(_) | TryError::WrongSlice { .. }) {
            add(&self.metrics.frames_bad, 1);
        }
    }

    /// The peers in the order in which they are asked for a blob.
    pub(crate) fn sources(&self, hash: &blake3::Hash) -> Vec<NodeId> {
        order::for_fetch(self.peers.nearest_first(), &self.peers.holders(hash))
    }

    /// The peers in the order in which they are offered a copy.
    pub(crate) fn copy_targets(&self, taken: &[NodeId], prefer: &[NodeId]) -> Vec<NodeId> {
        order::for_copies(&self.peers.nearest_first(), taken, prefer)
    }
}
