//! A slice from wherever it can be had, verified: memory, then disk, then peers.

use std::sync::Arc;

use bytes::Bytes;
use ncore_store::{BlobStore, ReadError};

use super::repairs::Repairs;
use crate::{error::FetchError, transfer::Transfer};

/// Reads slices of blobs that this node may not have. A handle: clones are the same.
#[derive(Clone)]
pub struct ReadThrough {
    store: BlobStore,
    transfer: Arc<Transfer>,
    repairs: Repairs,
}

/// Where a slice was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In memory, or brought there by another reader at the same time.
    Memory,
    /// On the disk of this node.
    Disk,
    /// On another node.
    Peer,
}

impl Source {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Peer => "peer",
        }
    }
}

/// Why a slice cannot be had. Cheap to clone, because all readers of one flight share it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadThroughError {
    /// The blob has another size, or no such slice. The caller's fault.
    #[error("the blob has no such slice")]
    NoSuchSlice(#[source] ReadError),
    /// It is not on this disk, and no peer gave it. Worth a retry.
    #[error("the content is not here, and no peer gave it")]
    Elsewhere(#[source] FetchError),
    /// It is here and cannot be used, and no peer gave it.
    #[error("this node cannot use its copy ({local}), and no peer gave the content")]
    Damaged {
        /// What is wrong with the copy that is here.
        local: ReadError,
        /// Why no peer gave it.
        #[source]
        source: FetchError,
    },
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl ReadThroughError {
    /// Why no peer gave the content; `None` if none was asked.
    #[must_use]
    pub const fn fetch_error(&self) -> Option<FetchError> {
        match self {
            Self::Elsewhere(source) | Self::Damaged { source, .. } => Some(*source),
            Self::NoSuchSlice(_) | Self::ShuttingDown => None,
        }
    }
}

impl ReadThrough {
    /// Reads from `store` and, where that does not help, through `transfer`. Damage is reported to `repairs`.
    #[must_use]
    pub fn new(store: BlobStore, transfer: Arc<Transfer>, repairs: Repairs) -> Self {
        Self { store, transfer, repairs }
    }

    /// The slice, if it is in memory.
    #[must_use]
    pub fn cached(&self, hash: blake3::Hash, slice: u64) -> Option<Bytes> {
        self.store.memory_lookup(hash, slice)
    }

    /// The slice, verified, and where it was. It is in memory afterwards. Readers who ask for the same slice at once share one flight;
    /// if the one whose flight it is goes away, another takes over.
    ///
    /// # Errors
    /// [`ReadThroughError`], after the disk and every peer were tried.
    pub async fn slice(&self, hash: blake3::Hash, size: u64, slice: u64) -> Result<(Bytes, Source), ReadThroughError> {
        let mut source = Source::Memory;
        let fill = async {
            let (bytes, found) = self.load(hash, size, slice).await?;
            source = found;
            Ok(bytes)
        };
        let filled = self.store.get_or_fill(hash, slice, fill).await;
        let bytes = filled.map_err(|error: Arc<ReadThroughError>| ReadThroughError::clone(&error))?;
        Ok((bytes, source))
    }

    async fn load(&self, hash: blake3::Hash, size: u64, slice: u64) -> Result<(Bytes, Source), ReadThroughError> {
        let local = match self.store.read_slice_from_disk(hash, size, slice).await {
            Ok(bytes) => return Ok((bytes, Source::Disk)),
            Err(error) => error,
        };
        match &local {
            ReadError::WrongSize { .. } | ReadError::NoSuchSlice { .. } => return Err(ReadThroughError::NoSuchSlice(local)),
            ReadError::ShuttingDown => return Err(ReadThroughError::ShuttingDown),
            ReadError::Corrupt { what } => {
                tracing::warn!(%hash, slice, what = what.as_str(), "a slice on the disk is damaged, asking peers");
                self.repairs.report(hash, size);
            }
            _ => {}
        }
        match self.transfer.fetch_slice(hash, size, slice).await {
            Ok(bytes) => Ok((bytes, Source::Peer)),
            Err(source) if matches!(local, ReadError::Missing) => Err(ReadThroughError::Elsewhere(source)),
            Err(source) => Err(ReadThroughError::Damaged { local, source }),
        }
    }
}
