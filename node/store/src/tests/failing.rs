//! A disk that fills up, a disk that fails, and an index that is large.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::blob_store::BlobStatus;
use crate::core::Core;
use crate::index::{Change, Index};
use crate::record::BlobRecord;
use crate::{BlobStore, PinId, SLICE_BYTES, StoreConfig, StoreError, WriteOptions};

const MIB: u64 = SLICE_BYTES as u64;

fn open(dir: &std::path::Path) -> BlobStore {
    let config = StoreConfig { dir: dir.to_owned(), memory_bytes: 0, reserve_bytes: 10 * MIB };
    BlobStore::open(&config).expect("the store opens")
}

const OPTIONS: WriteOptions = WriteOptions { expected_size: None, max_size: u64::MAX };

fn pretend_free(core: &Core, bytes: u64) {
    core.space.pretend_free.store(bytes, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_outgrows_the_disk_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    pretend_free(store.core(), 30 * MIB);
    let announced = WriteOptions { expected_size: Some(21 * MIB), ..OPTIONS };
    assert!(matches!(store.writer(announced).err(), Some(StoreError::Full)));

    let mut writer = store.writer(OPTIONS).expect("a writer");
    writer.write(Bytes::from(vec![1; SLICE_BYTES])).await.expect("room");
    pretend_free(store.core(), 10 * MIB);
    let refused = loop {
        if let Err(error) = writer.write(Bytes::from(vec![2; SLICE_BYTES])).await {
            break error;
        }
        assert!(writer.received() < 8 * MIB, "the reserve was eaten");
    };
    assert!(matches!(refused, StoreError::Full));
    assert!(matches!(writer.finish().await.err(), Some(StoreError::Interrupted)));
    incoming_empties(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_found_no_room_goes_on_when_there_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let content = Bytes::from(vec![3; 3 * SLICE_BYTES]);
    let slice = |n: usize| content.slice(n << 20..(n + 1) << 20);
    let hash = blake3::hash(&content);
    let mut partial = store.resume_or_start(hash, 3 * MIB).await.expect("a partial");
    partial.append_verified(0, slice(0)).await.expect("room");
    let repeated = partial.append_verified(0, slice(0)).await;
    repeated.expect("the slice before it is stored by then");
    pretend_free(store.core(), 0);
    partial.append_verified(1, slice(1)).await.expect("not known yet");
    let refused = partial.append_verified(2, slice(2)).await;
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    assert_eq!(partial.next_slice(), Some(1));
    pretend_free(store.core(), u64::MAX);
    partial.append_verified(1, slice(1)).await.expect("room");
    partial.append_verified(2, slice(2)).await.expect("room");
    let staged = partial.finish().await.expect("the end");
    assert_eq!(staged.blake3(), hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_fsync_nothing_is_written_and_all_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let stage = async |content: &'static [u8]| {
        let mut writer = store.writer(OPTIONS).expect("a writer");
        writer.write(Bytes::from_static(content)).await.expect("a write");
        writer.finish().await.expect("the end")
    };
    let staged = stage(b"before").await;
    let hash = staged.blake3();
    staged.commit(PinId(1)).await.expect("the commit");
    let staged = stage(b"meanwhile").await;
    let lost = staged.blake3();
    let watcher = tokio::spawn({
        let store = store.clone();
        async move { store.fatal().await }
    });

    let error = std::io::Error::other("the disk is on fire");
    let failed = store.core().durability.fail("data", error);
    assert!(matches!(failed, StoreError::FsyncFailed));
    let is_fatal = |answer: Option<StoreError>| matches!(answer, Some(StoreError::FsyncFailed));
    assert!(is_fatal(staged.commit(PinId(2)).await.err()));
    assert!(is_fatal(store.writer(OPTIONS).err()));
    assert!(is_fatal(store.pin(hash, PinId(3)).await.err()));
    assert!(is_fatal(store.unpin(hash, PinId(1)).await.err()));
    assert!(is_fatal(store.resume_or_start(lost, 9).await.err()));
    assert_eq!(store.status(lost).expect("a status"), BlobStatus::Absent);
    let read = store.read_slice(hash, 6, 0).await.expect("a slice");
    assert_eq!(read, "before");
    let failure = tokio::time::timeout(Duration::from_secs(5), watcher).await;
    let failure = failure.expect("the owner is told").expect("a task");
    assert_eq!(failure.what, "data");
}

/// No test of a process sees a missing fsync, so this one watches for the calls: the record comes
/// after everything that it speaks of.
#[tokio::test(flavor = "multi_thread")]
async fn all_is_synced_before_the_record() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let synced = || std::mem::take(&mut *store.core().durability.synced.lock());
    synced();
    let content = Bytes::from(vec![4; SLICE_BYTES]);
    for replaced in [false, true] {
        let mut writer = store.writer(OPTIONS).expect("a writer");
        writer.write(content.clone()).await.expect("a write");
        let staged = writer.finish().await.expect("the end");
        assert_eq!(synced(), ["outboard", "data"]);
        let data = store.core().layout.blob(&staged.blake3()).data;
        if replaced {
            std::fs::write(data, b"spoiled").expect("a write");
        }
        staged.commit(PinId(1)).await.expect("the commit");
        assert_eq!(synced(), ["blob directory", "index log"]);
    }
    // Early syncs may come in any number, the last one is there in any case.
    let mut writer = store.writer(OPTIONS).expect("a writer");
    while !store.core().durability.synced.lock().contains(&"data") {
        assert!(writer.received() < 1024 * MIB, "no early sync");
        writer.write(content.clone()).await.expect("a write");
    }
    let staged = writer.finish().await.expect("the end");
    assert_eq!(synced().last(), Some(&"data"));
    drop(staged);
}

/// Opening must not depend on how many blobs there are.
#[test]
fn a_large_index_opens_at_once() {
    const BLOBS: u64 = 300_000;
    let dir = tempfile::tempdir().expect("a directory");
    let open_index = |core: &Core| {
        for batch in 0..BLOBS / 1000 {
            let mut change = Change::default();
            for n in 0..1000 {
                let hash = blake3::hash(&(batch * 1000 + n).to_le_bytes());
                change = change.put_blob(&hash, &BlobRecord::stored(n, 0));
            }
            core.index.write_unsynced(change).expect("a write");
        }
    };
    open_index(open(dir.path()).core());
    let before = processor_time();
    let store = open(dir.path());
    let took = processor_time() - before;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let known = store.status(blake3::hash(&7_u64.to_le_bytes()));
    assert!(matches!(known.expect("a status"), BlobStatus::Present { size: 7, .. }));
    let page = store.core().index.blobs(None, 10).expect("a page");
    assert_eq!(page.len(), 10);
}

/// What this thread had of the processor so far. A machine that has much to do makes it no more.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("of this thread");
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

#[test]
fn a_newer_layout_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("index");
    let durability = std::sync::Arc::new(crate::durable::Durability::new());
    drop(Index::open(&path, durability.clone()).expect("an index"));
    let db = rocksdb::DB::open_default(&path).expect("the database");
    db.put(b"l", 2_u32.to_le_bytes()).expect("a write");
    drop(db);
    let refused = Index::open(&path, durability).err();
    assert!(matches!(refused, Some(StoreError::Layout { found: 2, .. })));
}

async fn incoming_empties(dir: &std::path::Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read_dir(dir.join("incoming")).expect("incoming").count() > 0 {
        assert!(Instant::now() < deadline, "a temporary stays");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
