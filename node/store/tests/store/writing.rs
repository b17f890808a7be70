//! Uploads: their limits, and that nothing is left of those that were not committed.

use bytes::Bytes;
use futures_util::FutureExt;
use ncore_store::{BlobStatus, BlobStore, StoreConfig, StoreError, WriteOptions};

use crate::support::{ANY_SIZE, PIN, TestStore, content, stage};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_leaves_nothing() {
    let test = TestStore::new();
    let bytes = content(3 * MIB, 1);
    let mut writer = test.store.writer(ANY_SIZE).expect("a writer");
    writer.write(Bytes::from(bytes.clone())).await.expect("a write");
    drop(writer);
    test.incoming_becomes(0).await;
    let staged = stage(&test.store, &bytes).await;
    assert_eq!(test.incoming().len(), 2);
    drop(staged);
    test.incoming_becomes(0).await;
    let status = test.store.status(blake3::hash(&bytes)).expect("a status");
    assert_eq!(status, BlobStatus::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_held_to_what_was_said() {
    let test = TestStore::new();
    let options = |expected_size, max_size| WriteOptions { expected_size, max_size };
    let refused = test.store.writer(options(Some(11), 10)).err();
    assert!(matches!(refused, Some(StoreError::TooLarge { limit: 10 })));

    let mut writer = test.store.writer(options(None, 10)).expect("a writer");
    writer.write(Bytes::from_static(b"0123456789")).await.expect("ten bytes");
    let refused = writer.write(Bytes::from_static(b"!")).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { limit: 10 })));
    let refused = writer.finish().await.err();
    assert!(matches!(refused, Some(StoreError::Interrupted)));

    let mut writer = test.store.writer(options(Some(5), 10)).expect("a writer");
    writer.write(Bytes::from_static(b"0123")).await.expect("four bytes");
    let refused = writer.finish().await.err();
    let (expected, actual) = (5, 4);
    assert!(matches!(refused, Some(StoreError::WrongSize { expected: e, actual: a })
            if (e, a) == (expected, actual)));
    test.incoming_becomes(0).await;
}

/// A write whose future was dropped halfway may have taken some of its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_write_breaks_the_writer() {
    let test = TestStore::new();
    let mut writer = test.store.writer(ANY_SIZE).expect("a writer");
    let dropped = writer.write(Bytes::from(vec![0; 64 * MIB])).now_or_never();
    assert!(dropped.is_none(), "64 MiB were written at once");
    let refused = writer.write(Bytes::from_static(b"more")).await;
    assert!(matches!(refused, Err(StoreError::Interrupted)));
    drop(writer);
    test.incoming_becomes(0).await;
}

/// A commit whose caller went away completes.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_commit_completes() {
    let test = TestStore::new();
    let bytes = content(MIB, 2);
    let hash = blake3::hash(&bytes);
    let staged = stage(&test.store, &bytes).await;
    assert!(staged.commit(PIN).now_or_never().is_none());
    // The next one to want the blob waits for it.
    let found = test.store.verify(hash).await.expect("a check");
    assert!(matches!(found, ncore_store::Verification::Good { .. }));
    assert_eq!(test.store.pins(None, 9).await.expect("the pins").len(), 1);
}

#[tokio::test]
async fn the_reserve_is_refused_to_uploads() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = StoreConfig { dir: dir.path().to_owned(), memory_bytes: 0, reserve_bytes: u64::MAX };
    let store = BlobStore::open(&config).expect("the store opens");
    assert!(matches!(store.writer(ANY_SIZE).err(), Some(StoreError::Full)));
    let partial = store.resume_or_start(blake3::hash(b"?"), 1).await.err();
    assert!(matches!(partial, Some(StoreError::Full)));
}

#[tokio::test]
async fn a_directory_has_one_store() {
    let test = TestStore::new();
    let config = StoreConfig { dir: test.dir.path().to_owned(), memory_bytes: 0, reserve_bytes: 0 };
    let second = BlobStore::open(&config).err();
    assert!(matches!(second, Some(StoreError::Index { .. })));
}

/// Many uploads at once, all of the same content, end as one blob.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn equal_uploads_at_once_are_one_blob() {
    let test = TestStore::new();
    let bytes = content(2 * MIB + 1, 3);
    let uploads: Vec<_> = (0..8_u128)
        .map(|n| {
            let (store, bytes) = (test.store.clone(), bytes.clone());
            tokio::spawn(async move {
                let staged = stage(&store, &bytes).await;
                staged.commit(ncore_store::PinId(n)).await
            })
        })
        .collect();
    let mut stored = 0;
    for upload in uploads {
        let commit = upload.await.expect("a task").expect("the commit");
        stored += usize::from(commit == ncore_store::Commit::Stored);
    }
    assert_eq!(stored, 1);
    assert_eq!(test.store.pins(None, 99).await.expect("the pins").len(), 8);
    test.incoming_becomes(0).await;
}
