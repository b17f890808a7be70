//! A store in a directory of its own, and content to put into it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use ncore_store::{BlobStore, Commit, PinId, SLICE_BYTES, StagedBlob, StoreConfig, WriteOptions};
use tempfile::TempDir;

pub(crate) const PIN: PinId = PinId(7);

pub(crate) struct TestStore {
    pub(crate) dir: TempDir,
    pub(crate) store: BlobStore,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = BlobStore::open(&config(dir.path())).expect("the store opens");
        Self { dir, store }
    }

    pub(crate) fn reopen(self) -> Self {
        let Self { dir, store } = self;
        drop(store);
        // Work that nobody waits for any more holds the store until it is done.
        let deadline = Instant::now() + Duration::from_secs(10);
        let store = loop {
            match BlobStore::open(&config(dir.path())) {
                Ok(store) => break store,
                Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Self { dir, store }
    }

    pub(crate) async fn put(&self, content: &[u8]) -> blake3::Hash {
        let staged = stage(&self.store, content).await;
        let hash = staged.blake3();
        let commit = staged.commit(PIN).await.expect("the commit");
        assert_eq!(commit, Commit::Stored);
        hash
    }

    pub(crate) fn data_path(&self, hash: &blake3::Hash) -> PathBuf {
        self.blob_path(hash, "data")
    }

    pub(crate) fn outboard_path(&self, hash: &blake3::Hash) -> PathBuf {
        self.blob_path(hash, "obao")
    }

    fn blob_path(&self, hash: &blake3::Hash, extension: &str) -> PathBuf {
        let hex = hash.to_hex();
        let shard = self.dir.path().join("blobs").join(&hex[..2]);
        shard.join(format!("{}.{extension}", &hex[2..]))
    }

    /// Waits until `incoming/` has this many files.
    pub(crate) async fn incoming_becomes(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found = self.incoming();
            if found.len() == count {
                return;
            }
            assert!(Instant::now() < deadline, "incoming holds {found:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn incoming(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("incoming")).expect("incoming");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

fn config(dir: &Path) -> StoreConfig {
    StoreConfig { dir: dir.to_owned(), memory_bytes: 8 << 20, reserve_bytes: 0 }
}

pub(crate) const ANY_SIZE: WriteOptions = WriteOptions { expected_size: None, max_size: u64::MAX };

/// Writes content in pieces of odd sizes.
pub(crate) async fn stage(store: &BlobStore, content: &[u8]) -> StagedBlob {
    let mut writer = store.writer(ANY_SIZE).expect("a writer");
    for piece in content.chunks(100_003) {
        let piece = Bytes::copy_from_slice(piece);
        writer.write(piece).await.expect("a write");
    }
    writer.finish().await.expect("the end")
}

/// Content that differs in every place and for every seed.
pub(crate) fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    reader.fill(&mut bytes);
    bytes
}

/// The part of some content that is its slice of this number.
pub(crate) fn part(content: &[u8], slice: u64) -> &[u8] {
    let number = usize::try_from(slice).expect("a small number");
    content.chunks(SLICE_BYTES).nth(number).unwrap_or_default()
}

/// All frames of a blob, up to the first error.
pub(crate) async fn frames(
    store: &BlobStore,
    hash: blake3::Hash,
    size: u64,
) -> Vec<Result<ncore_store::SliceFrame, ncore_store::ReadError>> {
    let slices = 0..ncore_store::slice_count(size);
    store.encode_slices(hash, size, slices).collect().await
}
