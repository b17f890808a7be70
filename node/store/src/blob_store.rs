//! The store as its users see it. What each function does is in the module of its name.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Semaphore;

use crate::check::{self, Verification};
use crate::collect::{self, Collection};
use crate::core::Core;
use crate::durable::{Durability, FsyncFailure};
use crate::error::{ReadError, StoreError};
use crate::frame::SliceFrame;
use crate::index::Index;
use crate::layout::Layout;
use crate::memory::{MemoryTier, SliceKey};
use crate::offload::{Stopped, offload};
use crate::partial::{self, PartialBlob, PartialEntry};
use crate::pin::{self, PinEntry, PinId, Pinning, Unpinning};
use crate::quarantine::{self, Quarantine};
use crate::reader;
use crate::record::{BlobRecord, BlobState};
use crate::recovery;
use crate::space::Space;
use crate::tree::slice_count;
use crate::variant::{self, Variant, VariantEntry, VariantKey};
use crate::writer::{BlobWriter, WriteOptions};

/// Where the store lies and how much it may use.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Its directory, which nobody else writes to. Made if it is not there.
    pub dir: PathBuf,
    /// Bytes of the memory tier. Zero keeps nothing in memory.
    pub memory_bytes: u64,
    /// Bytes of the file system that uploads leave free.
    pub reserve_bytes: u64,
}

/// What the index says about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobStatus {
    /// It is not here.
    Absent,
    /// It is here, durable, and was good when it was last read in full.
    Present {
        /// Bytes of content.
        size: u64,
        /// When it was stored, in milliseconds of the Unix epoch.
        stored_at_ms: u64,
        /// When it was last read in full and found good.
        verified_at_ms: u64,
    },
    /// The copy that was here was found bad. It does not count; fetch the blob again.
    Quarantined {
        /// Bytes of content.
        size: u64,
        /// When it was stored, in milliseconds of the Unix epoch.
        stored_at_ms: u64,
        /// When it was found bad.
        quarantined_at_ms: u64,
    },
}

/// A blob that the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its name.
    pub hash: blake3::Hash,
    /// Its state, never [`BlobStatus::Absent`].
    pub status: BlobStatus,
}

/// The blobs of this machine. A handle: clones are the same store.
#[derive(Clone)]
pub struct BlobStore {
    core: Arc<Core>,
    memory: Arc<MemoryTier>,
    disk_reads: Arc<Semaphore>,
}

impl BlobStore {
    /// Opens the store, or makes one. **Blocks**, for as long as RocksDB takes to open and what was
    /// in flight takes to clear; it does not look at the blobs.
    ///
    /// # Errors
    /// [`StoreError::Index`] if another process has it open; [`StoreError::Layout`] if a newer
    /// version wrote it; [`StoreError::Io`].
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let durability = Arc::new(Durability::new());
        let layout = Layout::create(&config.dir, &durability)?;
        let index = Index::open(&layout.index(), Arc::clone(&durability))?;
        recovery::recover(&layout, &index)?;
        let core = Core {
            space: Space::new(&config.dir, config.reserve_bytes)?,
            layout,
            index,
            durability,
            locks: Default::default(),
            receiving: Default::default(),
            variants: Default::default(),
            at_partials: Default::default(),
        };
        Ok(Self {
            core: Arc::new(core),
            memory: Arc::new(MemoryTier::new(config.memory_bytes)),
            disk_reads: Arc::new(Semaphore::new(DISK_READS)),
        })
    }

    /// Completes when an fsync has failed, with the cause. **The owner must stop the process then**:
    /// what was written since the last successful one may be lost without further notice, and only a
    /// restart, which reads everything from the disk again, shows what is really there. Until then
    /// the store refuses every write with [`StoreError::FsyncFailed`] and goes on reading.
    pub async fn fatal(&self) -> FsyncFailure {
        self.core.durability.failed().await
    }

    /// Begins an upload. Does not wait for the disk; the file is made with the first block.
    ///
    /// # Errors
    /// [`StoreError::Full`] if there is no room for the announced size above the reserve,
    /// [`StoreError::TooLarge`] if that size is above the limit, [`StoreError::FsyncFailed`].
    pub fn writer(&self, options: WriteOptions) -> Result<BlobWriter, StoreError> {
        BlobWriter::new(Arc::clone(&self.core), options)
    }

    /// Begins a transfer that survives a break, or takes one up where it was cut. What was received
    /// before is read and hashed again. A slice that a dropped transfer was storing is waited for, and
    /// counts.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if another task receives this blob, [`StoreError::Full`],
    /// [`StoreError::FsyncFailed`], [`StoreError::Io`].
    pub async fn resume_or_start(&self, hash: blake3::Hash, size: u64) -> Result<PartialBlob, StoreError> {
        PartialBlob::resume_or_start(Arc::clone(&self.core), hash, size).await
    }

    /// The transfers that can be resumed, in no order. They stay until they are finished or
    /// discarded, so their owner looks through them now and then.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn partials(&self) -> Result<Vec<PartialEntry>, StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || partial::list(&core)).await?
    }

    /// Removes what an interrupted transfer left.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if a task is at work on it, [`StoreError::Io`].
    pub async fn discard_partial(&self, hash: blake3::Hash) -> Result<(), StoreError> {
        partial::discard(&self.core, hash).await
    }

    /// Pins a blob that is here, after reading its copy from the disk in full. Pinning again by the
    /// same name keeps the first pin's time.
    ///
    /// # Errors
    /// Those of the index and of reading files.
    pub async fn pin(&self, hash: blake3::Hash, pin: PinId) -> Result<Pinning, StoreError> {
        let work = move |core: &Arc<Core>| pin::pin(core, &hash, pin);
        self.core.exclusive(hash, work).await
    }

    /// Releases a pin, durably. The blob's grace begins anew.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn unpin(&self, hash: blake3::Hash, pin: PinId) -> Result<Unpinning, StoreError> {
        let work = move |core: &Arc<Core>| pin::unpin(core, &hash, pin);
        self.core.exclusive(hash, work).await
    }

    /// Up to `limit` pins, ordered by blob and name, after the given one.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn pins(&self, after: Option<(blake3::Hash, PinId)>, limit: usize) -> Result<Vec<PinEntry>, StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || pin::list(&core, after, limit)).await?
    }

    /// Removes a blob if it has no pin, was neither stored nor pinned nor unpinned within `grace`,
    /// and `is_unreferenced` says so. That is asked last, on the blocking pool and under the blob's
    /// lock: while it runs, and until the blob is gone, nobody can pin or commit it.
    ///
    /// # Errors
    /// Those of the index, and [`StoreError::Io`].
    pub async fn collect(
        &self,
        hash: blake3::Hash,
        grace: Duration,
        is_unreferenced: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Collection, StoreError> {
        let work = move |core: &Arc<Core>| collect::collect(core, &hash, grace, is_unreferenced);
        self.core.exclusive(hash, work).await
    }

    /// Reads a blob in full, from the disk and past the page cache, and notes when it was found
    /// good. A bad outboard with good data is rebuilt. A bad copy is left for
    /// [`BlobStore::quarantine`].
    ///
    /// # Errors
    /// Those of the index and of reading files.
    pub async fn verify(&self, hash: blake3::Hash) -> Result<Verification, StoreError> {
        let work = move |core: &Arc<Core>| check::verify(core, &hash);
        self.core.exclusive(hash, work).await
    }

    /// Sets a bad copy aside, after reading it in full to make sure. It no longer counts, and its
    /// good slices are still read until a new copy is committed. See the module for how a blob is
    /// repaired. At most eight copies are kept.
    ///
    /// # Errors
    /// Those of the index and of files.
    pub async fn quarantine(&self, hash: blake3::Hash) -> Result<Quarantine, StoreError> {
        let work = move |core: &Arc<Core>| quarantine::quarantine(core, &hash);
        self.core.exclusive(hash, work).await
    }

    /// What the index says. A point lookup of microseconds, fit for an async thread; a cold one
    /// **blocks** for one read of 4 KiB.
    ///
    /// # Errors
    /// Those of the index.
    pub fn status(&self, hash: blake3::Hash) -> Result<BlobStatus, StoreError> {
        let record = self.core.index.blob(&hash)?;
        Ok(record.map_or(BlobStatus::Absent, BlobStatus::from))
    }

    /// Up to `limit` blobs in the order of their hashes, after the given one.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn iter_blobs(&self, after: Option<blake3::Hash>, limit: usize) -> Result<Vec<BlobEntry>, StoreError> {
        let core = Arc::clone(&self.core);
        let blobs = offload(move || core.index.blobs(after.as_ref(), limit)).await??;
        let entry = |(hash, record)| BlobEntry { hash, status: BlobStatus::from(record) };
        Ok(blobs.into_iter().map(entry).collect())
    }

    /// What is known of a variant of a blob. A point lookup of microseconds, fit for an async thread; a cold one **blocks** for one
    /// read of 4 KiB or two.
    ///
    /// # Errors
    /// Those of the index.
    pub fn variant(&self, key: VariantKey) -> Result<Option<Variant>, StoreError> {
        variant::find(&self.core, &key)
    }

    /// Whether a blob is a variant of one that is here. A lookup of microseconds, fit for an async thread.
    ///
    /// # Errors
    /// Those of the index.
    pub fn is_variant(&self, hash: blake3::Hash) -> Result<bool, StoreError> {
        self.core.index.is_variant(&hash)
    }

    /// Notes durably that a variant is not worth its room.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn refuse_variant(&self, key: VariantKey) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || variant::record_not_worth_it(&core, &key)).await?
    }

    /// Notes that a variant is in use. A power cut may forget it.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn touch_variant(&self, key: VariantKey) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || variant::touch(&core, &key)).await?
    }

    /// Forgets a variant, durably. Its blob is nobody's then, and [`BlobStore::collect`] removes it.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn remove_variant(&self, key: VariantKey) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || variant::remove(&core, &key)).await?
    }

    /// Forgets, durably, what this blob is a variant of: it cannot be read.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn disown_variant(&self, hash: blake3::Hash) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || variant::disown(&core, &hash)).await?
    }

    /// Forgets a variant whose source or blob has no record. True if it was one. Only a program that knows nothing of variants leaves
    /// such behind.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn remove_stale_variant(&self, key: VariantKey) -> Result<bool, StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || variant::remove_if_stale(&core, &key)).await?
    }

    /// Up to `limit` variants in the order of their sources, after the given one.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn variants(&self, after: Option<VariantKey>, limit: usize) -> Result<Vec<VariantEntry>, StoreError> {
        let core = Arc::clone(&self.core);
        offload(move || variant::list(&core, after, limit)).await?
    }

    /// A slice of 1 MiB (the last one may be shorter), from memory or from the disk, verified. Those
    /// who ask for the same slice at once share one read.
    ///
    /// # Errors
    /// See [`ReadError`], which says for each case what to do.
    pub async fn read_slice(&self, hash: blake3::Hash, size: u64, slice: u64) -> Result<Bytes, ReadError> {
        let fill = self.read_slice_from_disk(hash, size, slice);
        let filled = self.get_or_fill(hash, slice, fill).await;
        filled.map_err(|error| ReadError::clone(&error))
    }

    /// A slice from the disk, verified, past the memory tier (though not past the page cache).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_slice_from_disk(&self, hash: blake3::Hash, size: u64, slice: u64) -> Result<Bytes, ReadError> {
        self.on_disk(move |core| reader::read_slice(core, &hash, size, slice)).await
    }

    /// A slice if it is in memory, at once.
    #[must_use]
    pub fn memory_lookup(&self, hash: blake3::Hash, slice: u64) -> Option<Bytes> {
        self.memory.lookup(&SliceKey::new(&hash, slice))
    }

    /// Puts a slice into memory that **the caller has verified** against the hash. It should own its
    /// allocation: a window on a larger buffer holds the whole of that.
    pub async fn insert_verified(&self, hash: blake3::Hash, slice: u64, bytes: Bytes) {
        self.memory.insert(SliceKey::new(&hash, slice), bytes).await;
    }

    /// A slice from memory, or from `fill`, which gives bytes that **it has verified** against the
    /// hash. Of those who ask for the same slice at once, with the same type of error, one runs its
    /// `fill` and all get the outcome; if that one goes away, the next one's runs.
    ///
    /// # Errors
    /// What `fill` answers, shared by all who waited for it.
    pub async fn get_or_fill<E: Send + Sync + 'static>(
        &self,
        hash: blake3::Hash,
        slice: u64,
        fill: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<Bytes, Arc<E>> {
        let key = SliceKey::new(&hash, slice);
        self.memory.get_or_fill(key, fill).await
    }

    /// Drops what the memory tier holds of a blob of this size. Its copy on the disk stays, and whoever
    /// asks next gets it from there, verified anew. A slice that is being read comes in all the same.
    pub async fn forget(&self, hash: blake3::Hash, size: u64) {
        self.memory.forget(&hash, slice_count(size)).await;
    }

    /// Bytes that the memory tier holds.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Bytes of memory that the index of blobs takes: records that are in no file yet, and parts of files.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn index_memory(&self) -> Result<(u64, u64), StoreError> {
        self.core.index.memory()
    }

    /// Slices as frames that verify themselves, in order, for [`crate::decode_slice`] on another
    /// machine. Each is verified here as well. One is read ahead. The stream ends after the first
    /// error.
    pub fn encode_slices(
        &self,
        hash: blake3::Hash,
        size: u64,
        slices: Range<u64>,
    ) -> impl Stream<Item = Result<SliceFrame, ReadError>> + Send + use<> {
        let store = self.clone();
        let encode = move |slice| {
            let store = store.clone();
            async move { store.on_disk(move |core| reader::encode_slice(core, &hash, size, slice)).await }
        };
        stream::iter(slices).map(encode).buffered(2).scan(false, |has_failed, frame| {
            let is_over = std::mem::replace(has_failed, frame.is_err());
            ready((!is_over).then_some(frame))
        })
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Runs a read on the blocking pool, a bounded number of them at a time.
    async fn on_disk<R: Send + 'static>(&self, read: impl FnOnce(&Core) -> Result<R, ReadError> + Send + 'static) -> Result<R, ReadError> {
        let turn = Arc::clone(&self.disk_reads).acquire_owned().await;
        let turn = turn.map_err(|_| ReadError::ShuttingDown)?;
        let core = Arc::clone(&self.core);
        let result = offload(move || {
            let result = read(&core);
            drop(turn);
            result
        });
        result.await.map_err(|Stopped| ReadError::ShuttingDown)?
    }
}

impl From<BlobRecord> for BlobStatus {
    fn from(record: BlobRecord) -> Self {
        match record.state {
            BlobState::Present => {
                Self::Present { size: record.size, stored_at_ms: record.stored_at_ms, verified_at_ms: record.verified_at_ms }
            }
            BlobState::Quarantined => {
                Self::Quarantined { size: record.size, stored_at_ms: record.stored_at_ms, quarantined_at_ms: record.verified_at_ms }
            }
        }
    }
}

/// Reads from the disk at a time. Bounds what slices that nobody waits for any more can hold.
const DISK_READS: usize = 32;
