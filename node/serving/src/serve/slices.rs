//! The verified bytes of assets: the trait through which this crate gets them, and the one place where it does.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::catalog::AssetEntry;
use crate::{
    BoxError,
    metrics::{ServingMetrics, add},
};

/// Length of a slice in bytes: the unit in which content is loaded, kept in memory and sent. The last slice of an asset
/// is shorter.
pub const SLICE_BYTES: u64 = 1 << 20;

/// Slices of assets. Every byte that comes out of here has been checked against the hash of the asset's blob.
pub trait Slices: Send + Sync {
    /// The slice, if it is in memory. Called for every response: it must not block.
    fn cached(&self, entry: &AssetEntry, slice: u64) -> Option<Bytes>;

    /// The slice from wherever it can be had verified: memory, this node's disk, or a peer.
    ///
    /// Dropping the future may cancel the load.
    ///
    /// # Errors
    /// [`SliceError`], after every copy that can be reached was tried.
    fn load(&self, entry: Arc<AssetEntry>, slice: u64) -> BoxFuture<'static, Result<LoadedSlice, SliceError>>;
}

/// A verified slice.
#[derive(Debug, Clone)]
pub struct LoadedSlice {
    /// Its bytes: [`AssetEntry::slice_bytes`] of them.
    pub bytes: Bytes,
    /// Where they were.
    pub source: SliceSource,
}

/// Where a slice was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SliceSource {
    /// In this node's memory.
    Memory,
    /// On this node's disk.
    Disk,
    /// On another node.
    Peer,
}

impl SliceSource {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Peer => "peer",
        }
    }

    /// Whether the slice was on this node.
    #[must_use]
    pub fn is_hit(self) -> bool {
        matches!(self, Self::Memory | Self::Disk)
    }
}

/// Why a slice cannot be had. None of it is the client's fault.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// It is not on this node, and no node that has it answers. Worth a retry.
    #[error("no copy of the content can be reached")]
    Unreachable(#[source] BoxError),
    /// Bytes were found, and none of them verified. A retry helps only after a repair.
    #[error("every copy of the content that was found is corrupt")]
    Corrupt(#[source] BoxError),
    /// The node is loading as much as it may. Worth a retry.
    #[error("the node has no capacity to load more content")]
    Busy,
    /// It took too long. Worth a retry.
    #[error("the content was not there in time")]
    Deadline,
}

/// Takes slices from [`Slices`] for responses: with a deadline, counted, and of the right length.
pub(super) struct SliceReader {
    slices: Arc<dyn Slices>,
    deadline: Duration,
    metrics: Arc<ServingMetrics>,
}

impl SliceReader {
    pub(super) fn new(slices: Arc<dyn Slices>, deadline: Duration, metrics: Arc<ServingMetrics>) -> Self {
        Self { slices, deadline, metrics }
    }

    /// The slice, if it is in memory.
    pub(super) fn cached(&self, entry: &AssetEntry, slice: u64) -> Option<LoadedSlice> {
        let bytes = self.slices.cached(entry, slice)?;
        // A slice of another length is not this slice; `load` finds out what is wrong with it.
        if !is_whole(entry, slice, &bytes) {
            return None;
        }
        add(&self.metrics.slices_memory, 1);
        let source = SliceSource::Memory;
        Some(LoadedSlice { bytes, source })
    }

    /// The slice from wherever it can be had, in time.
    pub(super) async fn load(&self, entry: Arc<AssetEntry>, slice: u64) -> Result<LoadedSlice, SliceError> {
        let load = self.slices.load(Arc::clone(&entry), slice);
        let loaded = match timeout(self.deadline, load).await {
            Err(_) => Err(SliceError::Deadline),
            Ok(Ok(loaded)) if !is_whole(&entry, slice, &loaded.bytes) => {
                Err(SliceError::Corrupt(Box::new(WrongLength { slice, found: loaded.bytes.len(), expected: entry.slice_bytes(slice) })))
            }
            Ok(result) => result,
        };
        add(
            match &loaded {
                Ok(loaded) => match loaded.source {
                    SliceSource::Memory => &self.metrics.slices_memory,
                    SliceSource::Disk => &self.metrics.slices_disk,
                    SliceSource::Peer => &self.metrics.slices_peer,
                },
                Err(_) => &self.metrics.slices_failed,
            },
            1,
        );
        loaded
    }
}

fn is_whole(entry: &AssetEntry, slice: u64, bytes: &Bytes) -> bool {
    bytes.len() as u64 == entry.slice_bytes(slice)
}

#[derive(Debug, thiserror::Error)]
#[error("slice {slice} has {found} bytes where {expected} belong")]
struct WrongLength {
    slice: u64,
    found: usize,
    expected: u64,
}
