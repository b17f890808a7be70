//! Content for serving, over memory, disk and peers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_serving::{AssetEntry, BlobHash, LoadedSlice, SliceError, SliceSource, Slices};
use ncore_store::{BlobStore, ReadError};
use ncore_transfer::{FetchError, ReadThrough, ReadThroughError, Repairs, Source, Transfer};

/// The slices of assets, verified, from wherever they can be had.
#[derive(Clone)]
pub struct AssetSlices {
    reader: ReadThrough,
    store: BlobStore,
    repairs: Repairs,
}

impl AssetSlices {
    pub(crate) fn new(store: BlobStore, transfer: Arc<Transfer>, repairs: Repairs) -> Self {
        let reader = ReadThrough::new(store.clone(), transfer, repairs.clone());
        Self { reader, store, repairs }
    }

    /// A slice of a variant, which no other node is asked for: the content as it is can be had instead. A variant that cannot be read is
    /// forgotten, and made anew when somebody asks for it.
    async fn own_slice(&self, entry: &AssetEntry, slice: u64) -> Result<LoadedSlice, SliceError> {
        let (blob, size) = (hash(entry.blob()), entry.size());
        let error = match self.store.read_slice(blob, size, slice).await {
            Ok(bytes) => return Ok(LoadedSlice { bytes, source: SliceSource::Disk }),
            Err(error) => error,
        };
        entry.give_up();
        if !matches!(error, ReadError::ShuttingDown) {
            tracing::warn!(%blob, slice, error = &error as &dyn std::error::Error, "a variant cannot be read");
            if let Err(error) = self.store.disown_variant(blob).await {
                tracing::warn!(%blob, error = &error as &dyn std::error::Error, "a variant that cannot be read cannot be forgotten");
            }
        }
        if matches!(error, ReadError::Corrupt { .. }) {
            self.repairs.report(blob, size);
        }
        Err(SliceError::Unreachable(Box::new(error)))
    }
}

impl Slices for AssetSlices {
    fn cached(&self, entry: &AssetEntry, slice: u64) -> Option<Bytes> {
        self.reader.cached(hash(entry.blob()), slice)
    }

    fn load(&self, entry: Arc<AssetEntry>, slice: u64) -> BoxFuture<'static, Result<LoadedSlice, SliceError>> {
        let slices = self.clone();
        Box::pin(async move {
            if entry.is_coded() {
                return slices.own_slice(&entry, slice).await;
            }
            match slices.reader.slice(hash(entry.blob()), entry.size(), slice).await {
                Ok((bytes, source)) => Ok(LoadedSlice { bytes, source: source_of(source) }),
                Err(error) => Err(error_of(error)),
            }
        })
    }
}

fn hash(blob: BlobHash) -> blake3::Hash {
    blake3::Hash::from_bytes(blob.0)
}

fn source_of(source: Source) -> SliceSource {
    match source {
        Source::Memory => SliceSource::Memory,
        Source::Disk => SliceSource::Disk,
        Source::Peer => SliceSource::Peer,
    }
}

fn error_of(error: ReadThroughError) -> SliceError {
    match error.fetch_error() {
        Some(FetchError::Busy) => SliceError::Busy,
        Some(FetchError::Deadline(_)) => SliceError::Deadline,
        Some(fetch) if fetch.is_corrupt() => SliceError::Corrupt(Box::new(error)),
        _ => SliceError::Unreachable(Box::new(error)),
    }
}
