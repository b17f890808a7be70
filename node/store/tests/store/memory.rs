//! The memory tier: bounded by bytes, one fill at a time, never a substitute for verification.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ncore_store::{ReadError, SLICE_BYTES};
use tokio::sync::Notify;

use crate::support::{TestStore, content};

/// The memory that the store of these tests was given.
const LIMIT: u64 = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_below_its_limit() {
    let test = TestStore::new();
    let bytes = content(20 * SLICE_BYTES, 1);
    let hash = test.put(&bytes).await;
    for slice in 0..20 {
        let read = test.store.read_slice(hash, bytes.len() as u64, slice).await;
        read.expect("the slice");
        assert!(test.store.memory_bytes() <= LIMIT);
    }
    assert!(test.store.memory_bytes() > LIMIT / 2, "nothing is kept");
    for slice in 0..100 {
        let bytes = Bytes::from(vec![0; SLICE_BYTES]);
        test.store.insert_verified(hash, 1000 + slice, bytes).await;
        assert!(test.store.memory_bytes() <= LIMIT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_found_at_once() {
    let test = TestStore::new();
    let bytes = content(SLICE_BYTES + 9, 2);
    let (hash, size) = (test.put(&bytes).await, SLICE_BYTES as u64 + 9);
    assert_eq!(test.store.memory_lookup(hash, 1), None);
    let read = test.store.read_slice(hash, size, 1).await.expect("a slice");
    assert_eq!(test.store.memory_lookup(hash, 1), Some(read));
    assert_eq!(test.store.memory_lookup(hash, 0), None);

    // The disk is bad now: memory has the good bytes still, the disk is not believed.
    std::fs::write(test.data_path(&hash), vec![0; bytes.len()]).expect("a write");
    let read = test.store.read_slice(hash, size, 1).await.expect("a slice");
    assert!(read == bytes[SLICE_BYTES..]);
    let read = test.store.read_slice_from_disk(hash, size, 1).await;
    assert!(matches!(read, Err(ReadError::Corrupt { .. })));
    let read = test.store.read_slice(hash, size, 0).await;
    assert!(matches!(read, Err(ReadError::Corrupt { .. })));
    assert_eq!(test.store.memory_lookup(hash, 0), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_comes_from_the_disk_again() {
    let test = TestStore::new();
    let (bytes, other) = (content(2 * SLICE_BYTES + 9, 3), content(100, 4));
    let (hash, size) = (test.put(&bytes).await, bytes.len() as u64);
    let other_hash = test.put(&other).await;
    for slice in 0..3 {
        test.store.read_slice(hash, size, slice).await.expect("a slice");
    }
    test.store.read_slice(other_hash, 100, 0).await.expect("a slice");
    test.store.forget(hash, size).await;
    assert!((0..3).all(|slice| test.store.memory_lookup(hash, slice).is_none()));
    assert!(test.store.memory_lookup(other_hash, 0).is_some(), "of another blob");
    assert!(test.store.memory_bytes() < SLICE_BYTES as u64);
    let read = test.store.read_slice(hash, size, 2).await.expect("a slice");
    assert!(read == bytes[2 * SLICE_BYTES..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_fill_serves_all_who_ask() {
    let test = TestStore::new();
    let hash = blake3::hash(b"elsewhere");
    let fills = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(Notify::new());
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let (store, fills, go) = (test.store.clone(), Arc::clone(&fills), Arc::clone(&go));
            tokio::spawn(async move {
                let fill = async {
                    fills.fetch_add(1, Ordering::Relaxed);
                    go.notified().await;
                    Ok::<_, ReadError>(Bytes::from_static(b"verified"))
                };
                store.get_or_fill(hash, 0, fill).await
            })
        })
        .collect();
    while fills.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    for reader in readers {
        let bytes = reader.await.expect("a task").expect("the bytes");
        assert_eq!(bytes, "verified");
    }
    assert_eq!(fills.load(Ordering::Relaxed), 1);
}

/// A fill that fails is not remembered, and one that is dropped is taken over.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_fails_is_tried_again() {
    let test = TestStore::new();
    let hash = blake3::hash(b"elsewhere");
    let failed = test.store.get_or_fill(hash, 0, async { Err(ReadError::Missing) }).await;
    assert!(matches!(*failed.expect_err("an error"), ReadError::Missing));

    let stuck = tokio::spawn({
        let store = test.store.clone();
        async move {
            let fill = std::future::pending::<Result<Bytes, ReadError>>();
            store.get_or_fill(hash, 0, fill).await
        }
    });
    tokio::task::yield_now().await;
    let second = tokio::spawn({
        let store = test.store.clone();
        async move {
            let fill = async { Ok::<_, ReadError>(Bytes::from_static(b"verified")) };
            store.get_or_fill(hash, 0, fill).await
        }
    });
    tokio::task::yield_now().await;
    stuck.abort();
    let bytes = second.await.expect("a task").expect("the bytes");
    assert_eq!(bytes, "verified");
}
