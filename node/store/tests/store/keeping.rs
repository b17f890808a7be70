//! What keeps a blob: pins, grace, and the recheck; and what lists them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ncore_store::{BlobStatus, Collection, Commit, PinEntry, PinId, Pinning, Unpinning, Verification};

use crate::support::{PIN, TestStore, content, stage};

const NO_GRACE: Duration = Duration::ZERO;

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_to_keep_a_blob_keeps_it() {
    let test = TestStore::new();
    let hash = test.put(&content(100_000, 1)).await;
    let store = &test.store;
    let collect = |grace, unreferenced| store.collect(hash, grace, move || unreferenced);

    let kept = collect(NO_GRACE, true).await.expect("an answer");
    assert_eq!(kept, Collection::Pinned);
    assert_eq!(store.unpin(hash, PIN).await.expect("an answer"), Unpinning::Released);
    assert_eq!(store.unpin(hash, PIN).await.expect("an answer"), Unpinning::NotPinned);
    let kept = collect(Duration::from_secs(60), true).await;
    assert_eq!(kept.expect("an answer"), Collection::InGrace);
    let kept = collect(NO_GRACE, false).await.expect("an answer");
    assert_eq!(kept, Collection::Referenced);

    let gone = collect(NO_GRACE, true).await.expect("an answer");
    assert_eq!(gone, Collection::Removed { size: 100_000 });
    assert_eq!(store.status(hash).expect("a status"), BlobStatus::Absent);
    assert!(!test.data_path(&hash).exists());
    assert!(!test.outboard_path(&hash).exists());
    let gone = collect(NO_GRACE, true).await.expect("an answer");
    assert_eq!(gone, Collection::Absent);
    test.incoming_becomes(0).await;
}

/// The grace counts from the last change of pins, not from the day the blob was stored.
#[tokio::test(flavor = "multi_thread")]
async fn the_grace_begins_anew_with_each_pin() {
    let test = TestStore::new();
    let hash = test.put(&content(10, 2)).await;
    test.store.unpin(hash, PIN).await.expect("an answer");
    // Longer than a busy machine takes from the pin to the look.
    let grace = Duration::from_secs(2);
    tokio::time::sleep(grace).await;
    test.store.pin(hash, PIN).await.expect("an answer");
    test.store.unpin(hash, PIN).await.expect("an answer");
    let kept = test.store.collect(hash, grace, || true).await;
    assert_eq!(kept.expect("an answer"), Collection::InGrace);
    tokio::time::sleep(grace).await;
    let gone = test.store.collect(hash, grace, || true).await;
    assert_eq!(gone.expect("an answer"), Collection::Removed { size: 10 });
}

#[tokio::test(flavor = "multi_thread")]
async fn records_and_pins_survive_a_restart() {
    let test = TestStore::new();
    let bytes = content(3_000_000, 3);
    let hash = test.put(&bytes).await;
    let pinned = test.store.pin(hash, PinId(u128::MAX)).await;
    assert_eq!(pinned.expect("an answer"), Pinning::Pinned { size: 3_000_000 });
    let status = test.store.status(hash).expect("a status");
    let pins = test.store.pins(None, 10).await.expect("the pins");
    let named: Vec<_> = pins.iter().map(|entry| (entry.hash, entry.pin)).collect();
    assert_eq!(named, [(hash, PIN), (hash, PinId(u128::MAX))]);

    let test = test.reopen();
    assert_eq!(test.store.status(hash).expect("a status"), status);
    assert_eq!(test.store.pins(None, 10).await.expect("the pins"), pins);
    let found = test.store.verify(hash).await.expect("a check");
    let Verification::Good { verified_at_ms } = found else {
        panic!("{found:?}");
    };
    let status = test.store.status(hash).expect("a status");
    assert!(
        matches!(status, BlobStatus::Present { size: 3_000_000, verified_at_ms: at, stored_at_ms }
            if at == verified_at_ms && stored_at_ms <= at),
        "{status:?}"
    );
    // Both names hold it by themselves, the largest one too.
    test.store.unpin(hash, PIN).await.expect("an answer");
    let kept = test.store.collect(hash, NO_GRACE, || true).await;
    assert_eq!(kept.expect("an answer"), Collection::Pinned);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_pin_keeps_its_time() {
    let test = TestStore::new();
    let bytes = content(10, 4);
    let hash = test.put(&bytes).await;
    let first = test.store.pins(None, 10).await.expect("the pins");
    tokio::time::sleep(Duration::from_millis(5)).await;
    test.store.pin(hash, PIN).await.expect("an answer");
    let commit = stage(&test.store, &bytes).await.commit(PIN).await;
    assert_eq!(commit.expect("the commit"), Commit::AlreadyPresent);
    assert_eq!(test.store.pins(None, 10).await.expect("the pins"), first);
    let absent = test.store.pin(blake3::hash(b"?"), PIN).await;
    assert_eq!(absent.expect("an answer"), Pinning::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_complete_in_pages() {
    let test = TestStore::new();
    let mut put = Vec::new();
    for seed in 0..25 {
        put.push(test.put(&content(50, 1000 + seed)).await);
    }
    put.sort_by_key(|hash| *hash.as_bytes());
    let (mut blobs, mut pins) = (Vec::new(), Vec::<PinEntry>::new());
    loop {
        let page = test.store.iter_blobs(blobs.last().copied(), 7).await;
        let page = page.expect("a page");
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        blobs.extend(page.iter().map(|entry| entry.hash));
        let after = pins.last().map(|entry| (entry.hash, entry.pin));
        pins.extend(test.store.pins(after, 7).await.expect("a page"));
    }
    assert_eq!(blobs, put);
    assert_eq!(pins.iter().map(|pin| pin.hash).collect::<Vec<_>>(), put);
}

/// Whoever is told that the blob is pinned finds it there, however the collector runs beside.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pins_and_commits_race_with_the_collector() {
    let test = TestStore::new();
    let bytes = content(40_000, 5);
    let hash = blake3::hash(&bytes);
    let is_over = Arc::new(AtomicBool::new(false));
    let collector = tokio::spawn({
        let (store, is_over) = (test.store.clone(), Arc::clone(&is_over));
        async move {
            let mut removed = 0;
            while !is_over.load(Ordering::Relaxed) {
                let outcome = store.collect(hash, NO_GRACE, || true).await;
                if let Collection::Removed { .. } = outcome.expect("an answer") {
                    removed += 1;
                }
                tokio::task::yield_now().await;
            }
            removed
        }
    });
    let (mut found, mut lost) = (0, 0);
    for round in 0..60_u128 {
        let pin = PinId(round);
        if round % 2 == 0 {
            let staged = stage(&test.store, &bytes).await;
            staged.commit(pin).await.expect("the commit");
        } else {
            match test.store.pin(hash, pin).await.expect("an answer") {
                Pinning::Pinned { .. } => found += 1,
                Pinning::Absent => {
                    lost += 1;
                    continue;
                }
                Pinning::Corrupt { what } => panic!("{what}"),
            }
        }
        let read = test.store.read_slice_from_disk(hash, 40_000, 0).await;
        assert!(read.expect("a pinned blob is there") == bytes);
        test.store.unpin(hash, pin).await.expect("an answer");
    }
    is_over.store(true, Ordering::Relaxed);
    let removed = collector.await.expect("the collector");
    assert!(removed > 0, "no race: {found} found, {lost} lost");
    test.incoming_becomes(0).await;
}

/// While the recheck runs nobody can commit the blob.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_waits_for_the_recheck() {
    let test = TestStore::new();
    let bytes = content(100, 6);
    let hash = test.put(&bytes).await;
    test.store.unpin(hash, PIN).await.expect("an answer");
    let (entered, has_entered) = std::sync::mpsc::channel();
    let (release, is_released) = std::sync::mpsc::channel::<()>();
    let collecting = tokio::spawn({
        let store = test.store.clone();
        async move {
            let recheck = move || {
                entered.send(()).expect("the test waits");
                is_released.recv().expect("the test goes on");
                true
            };
            store.collect(hash, NO_GRACE, recheck).await
        }
    });
    tokio::task::spawn_blocking(move || has_entered.recv()).await.expect("a thread").expect("the recheck began");
    let mut committing = tokio::spawn(stage(&test.store, &bytes).await.commit(PIN));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut committing).await;
    assert!(early.is_err(), "the commit did not wait");
    release.send(()).expect("the recheck waits");
    let collected = collecting.await.expect("a task").expect("an answer");
    assert_eq!(collected, Collection::Removed { size: 100 });
    let commit = committing.await.expect("a task").expect("the commit");
    assert_eq!(commit, Commit::Stored);
    let found = test.store.verify(hash).await.expect("a check");
    assert!(matches!(found, Verification::Good { .. }));
}
