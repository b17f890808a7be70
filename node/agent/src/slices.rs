//! Content for serving, over memory, disk and peers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_serving::{AssetEntry, BlobHash, LoadedSlice, SliceError, SliceSource, Slices};
use ncore_transfer::{FetchError, ReadThrough, ReadThroughError, Source};

/// The slices of assets, verified, from wherever they can be had.
#[derive(Clone)]
pub struct AssetSlices {
    reader: ReadThrough,
}

impl AssetSlices {
    pub(crate) fn new(reader: ReadThrough) -> Self {
        Self { reader }
    }
}

impl Slices for AssetSlices {
    fn cached(&self, entry: &AssetEntry, slice: u64) -> Option<Bytes> {
        self.reader.cached(hash(entry.blob()), slice)
    }

    fn load(&self, entry: Arc<AssetEntry>, slice: u64) -> BoxFuture<'static, Result<LoadedSlice, SliceError>> {
        let reader = self.reader.clone();
        Box::pin(async move {
            match reader.slice(hash(entry.blob()), entry.size(), slice).await {
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
