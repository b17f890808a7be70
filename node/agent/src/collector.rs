//! Removes what nobody refers to: blobs, pins whose time is up, and cut transfers; and has surplus copies let go.
//!
//! # Why nothing is removed that somebody needs
//!
//! * Every step first asks for a state that includes all that was acknowledged before (a read index). A node that is cut off
//!   removes nothing.
//! * Whoever is about to refer to a blob pins it first, on each copy that counts, and keeps the pin until the outcome of the command
//!   is known. So a blob without pins, in a state that is new enough, has every reference that it will have from acknowledged
//!   commands. That is checked once more under the lock of the blob.
//! * Then there is the grace: since the blob was last stored, pinned or unpinned (by the store's own clock), and since this process
//!   first saw it without a reference, so that downloads that are under way when an asset is deleted end in peace.
//! * A pin ends when the time of the log has passed its creation by more than any command may take: a command that named it would
//!   be refused as too late.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ncore_control::ControlPlane;
use ncore_model::Query;
use ncore_replica::Replica;
use ncore_store::{BlobEntry, BlobStore, Collection, PartialEntry, PinEntry, StoreError, Unpinning};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    blocking::blocking,
    error::AgentError,
    metrics::{AgentMetrics, add},
    removals::Removals,
    settings::CollectionSettings,
    surplus::Surplus,
};

/// The most blobs without a reference whose age is kept in mind. Those beyond it have to wait for the next pass.
const CANDIDATES_MAX: usize = 1 << 16;

/// Walks over the store, step by step.
pub(crate) struct Collector {
    control: Arc<dyn ControlPlane>,
    store: BlobStore,
    settings: CollectionSettings,
    metrics: Arc<AgentMetrics>,
    /// Since when this process knows blobs to be without a reference.
    unreferenced_since: HashMap<blake3::Hash, Instant>,
    removals: Removals,
    surplus: Surplus,
}

impl Collector {
    pub(crate) fn new(
        control: Arc<dyn ControlPlane>,
        store: BlobStore,
        settings: CollectionSettings,
        metrics: Arc<AgentMetrics>,
        removals: Removals,
    ) -> Self {
        let surplus = Surplus::new(Arc::clone(&control), store.clone(), settings.clone(), Arc::clone(&metrics), removals.clone());
        Self { control, store, settings, metrics, unreferenced_since: HashMap::new(), removals, surplus }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        let passes = async {
            loop {
                self.pass().await?;
                sleep(self.settings.every).await;
            }
        };
        stop.run_until_cancelled(passes).await.unwrap_or(Ok(()))
    }

    /// One pass over pins, blobs and cut transfers. What cannot be done now is left for the next.
    async fn pass(&mut self) -> Result<(), AgentError> {
        for outcome in [self.end_pins().await, self.remove_blobs().await, self.surplus.pass().await, self.discard_partials().await] {
            match outcome {
                Ok(()) => {}
                Err(PassError::Stale) => add(&self.metrics.collections_skipped, 1),
                Err(PassError::Store(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "collection cannot go on");
                }
                Err(PassError::Agent(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn end_pins(&self) -> Result<(), PassError> {
        let bound = u64::try_from(self.settings.pin_bound.as_millis()).unwrap_or(u64::MAX);
        let mut after = None;
        loop {
            self.catch_up().await?;
            let replica = self.replica();
            let state = blocking(move || replica.cluster().map_err(AgentError::Row)).await?;
            let Some(log_time_ms) = state.map(|state| state.log_time_ms) else { return Ok(()) };
            let page = self.store.pins(after, self.settings.step).await?;
            for PinEntry { hash, pin, created_at_ms } in &page {
                if created_at_ms.saturating_add(bound) < log_time_ms && self.store.unpin(*hash, *pin).await? == Unpinning::Released {
                    add(&self.metrics.pins_ended, 1);
                    tracing::info!(%hash, "ended a pin whose time was up");
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == self.settings.step) else { return Ok(()) };
            after = Some((last.hash, last.pin));
            sleep(self.settings.pace).await;
        }
    }

    async fn remove_blobs(&mut self) -> Result<(), PassError> {
        let mut after = None;
        loop {
            self.catch_up().await?;
            let page = self.store.iter_blobs(after, self.settings.step).await?;
            for hash in self.aged(&page).await? {
                let replica = self.replica();
                let _alone = self.removals.begin().await;
                let is_unreferenced = move || matches!(replica.blob(hash.into()), Ok(None));
                if let Collection::Removed { size } = self.store.collect(hash, self.settings.grace, is_unreferenced).await? {
                    self.unreferenced_since.remove(&hash);
                    add(&self.metrics.collected, 1);
                    add(&self.metrics.collected_bytes, size);
                    tracing::debug!(%hash, size, "removed a blob that nobody refers to");
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == self.settings.step) else { return Ok(()) };
            after = Some(last.hash);
            sleep(self.settings.pace).await;
        }
    }

    /// Those of a page that were without a reference for the whole grace.
    async fn aged(&mut self, page: &[BlobEntry]) -> Result<Vec<blake3::Hash>, PassError> {
        let hashes: Vec<blake3::Hash> = page.iter().map(|entry| entry.hash).collect();
        let references = self.references(hashes).await?;
        // After the look, so that none counts as unreferenced for longer than it was.
        let now = Instant::now();
        let mut aged = Vec::new();
        for (hash, is_referenced) in references {
            if is_referenced {
                self.unreferenced_since.remove(&hash);
                continue;
            }
            if self.unreferenced_since.len() >= CANDIDATES_MAX && !self.unreferenced_since.contains_key(&hash) {
                continue;
            }
            let since = *self.unreferenced_since.entry(hash).or_insert(now);
            if now.duration_since(since) >= self.settings.grace {
                aged.push(hash);
            }
        }
        Ok(aged)
    }

    async fn discard_partials(&self) -> Result<(), PassError> {
        self.catch_up().await?;
        let partials = self.store.partials().await?;
        let now_ms = unix_ms();
        let is_old = |partial: &&PartialEntry| Duration::from_millis(now_ms.saturating_sub(partial.modified_at_ms)) >= self.settings.grace;
        let old = partials.iter().filter(is_old).map(|partial| partial.hash).collect();
        for (hash, is_referenced) in self.references(old).await? {
            if is_referenced {
                continue;
            }
            match self.store.discard_partial(hash).await {
                Ok(()) => add(&self.metrics.partials_discarded, 1),
                Err(StoreError::Busy) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// For each blob, whether an asset refers to it, or another blob whose variant it is.
    async fn references(&self, hashes: Vec<blake3::Hash>) -> Result<Vec<(blake3::Hash, bool)>, PassError> {
        let (replica, store) = (self.replica(), self.store.clone());
        let look_up = move || {
            let referenced = |hash: blake3::Hash| {
                let is_variant = store.is_variant(hash)?;
                Ok((hash, is_variant || replica.blob(hash.into()).map_err(AgentError::Row)?.is_some()))
            };
            Ok(hashes.into_iter().map(referenced).collect::<Result<_, PassError>>())
        };
        blocking(look_up).await?
    }

    /// Waits until the replica has all that was acknowledged before this call.
    async fn catch_up(&self) -> Result<(), PassError> {
        self.control.read_index(self.settings.deadline).await.map(drop).map_err(|_| PassError::Stale)
    }

    fn replica(&self) -> Arc<Replica> {
        Arc::clone(self.control.replica())
    }
}

/// Why a pass ended early.
pub(crate) enum PassError {
    /// The state is not known to be new enough.
    Stale,
    /// The store failed. The next pass tries again.
    Store(StoreError),
    /// The replica failed. The node stops.
    Agent(AgentError),
}

impl From<StoreError> for PassError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AgentError> for PassError {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

/// Milliseconds of the Unix epoch, to compare with the times of files.
fn unix_ms() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
