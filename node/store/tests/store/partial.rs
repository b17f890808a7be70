//! Transfers that are cut and taken up again.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use ncore_store::{BlobStatus, BlobStore, Commit, PartialBlob, SLICE_BYTES, StoreError};

use crate::support::{PIN, TestStore, content, part};

const SLICES: u64 = 5;
const LEN: usize = 4 * SLICE_BYTES + 12_345;

fn slice(bytes: &[u8], slice: u64) -> Bytes {
    Bytes::copy_from_slice(part(bytes, slice))
}

async fn start(store: &BlobStore, bytes: &[u8]) -> PartialBlob {
    let started = store.resume_or_start(blake3::hash(bytes), bytes.len() as u64);
    started.await.expect("a partial")
}

async fn append(partial: &mut PartialBlob, bytes: &[u8], slices: std::ops::Range<u64>) {
    for number in slices {
        assert_eq!(partial.next_slice(), Some(number));
        let appended = partial.append_verified(number, slice(bytes, number)).await;
        appended.expect("a slice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_transfer_goes_on_after_a_restart() {
    let bytes = content(LEN, 1);
    let mut test = TestStore::new();
    for cut in 0..SLICES {
        let mut partial = start(&test.store, &bytes).await;
        append(&mut partial, &bytes, cut..cut + 1).await;
        drop(partial);
        test.incoming_becomes(2).await;
        test = test.reopen();
    }
    let partial = start(&test.store, &bytes).await;
    assert_eq!(partial.next_slice(), None);
    let staged = partial.finish().await.expect("the end");
    assert_eq!(staged.blake3(), blake3::hash(&bytes));
    let commit = staged.commit(PIN).await.expect("the commit");
    assert_eq!(commit, Commit::Stored);
    let found = test.store.verify(blake3::hash(&bytes)).await;
    assert!(matches!(found.expect("a check"), ncore_store::Verification::Good { .. }));
    test.incoming_becomes(0).await;
}

/// Does to a file what a power cut could.
type Spoil = fn(&std::fs::File);

/// What a power cut can leave: a tail of zeros, a short tail, a journal that is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_dropped() {
    let bytes = content(LEN, 2);
    let hex = blake3::hash(&bytes).to_hex();
    let spoil: [(&str, Spoil, u64); 5] = [
        ("part", |file| file.write_all_at(&[0; 4096], 3 << 20).expect("zeros"), 3),
        ("part", |file| file.set_len((2 << 20) + 17).expect("a cut"), 2),
        ("crc", |file| file.set_len(20 + 4 + 2).expect("a cut"), 1),
        ("crc", |file| file.write_all_at(&[0; 4], 24).expect("zeros"), 1),
        ("crc", |file| file.write_all_at(&[9; 4], 8).expect("another size"), 0),
    ];
    for (extension, spoil, kept) in spoil {
        let test = TestStore::new();
        let mut partial = start(&test.store, &bytes).await;
        append(&mut partial, &bytes, 0..4).await;
        drop(partial);
        drop_settles(&test, &bytes).await;
        let path = test.dir.path().join(format!("incoming/{hex}.{extension}"));
        spoil(&OpenOptions::new().write(true).open(path).expect("the file"));
        let test = test.reopen();
        let mut partial = start(&test.store, &bytes).await;
        assert_eq!(partial.next_slice(), Some(kept), "{extension}");
        append(&mut partial, &bytes, kept..SLICES).await;
        let staged = partial.finish().await.expect("the end");
        assert_eq!(staged.blake3(), blake3::hash(&bytes));
    }
}

/// Waits until a dropped partial is no longer at work: whoever is next does.
async fn drop_settles(test: &TestStore, bytes: &[u8]) {
    drop(start(&test.store, bytes).await);
}

/// A dropped transfer leaves a slice in the works. Whoever takes the transfer up waits for it: it is neither refused, nor at the
/// files beside it. Here the blocking pool has one thread and that one is held, so the slice is in the works for as long as the
/// test wants.
#[test]
fn a_dropped_transfer_is_taken_up_at_once_and_its_last_slice_counts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(async {
        let test = TestStore::new();
        let bytes = content(LEN, 7);
        let (hash, size) = (blake3::hash(&bytes), LEN as u64);
        for (slice, discards) in [(0, false), (1, true)] {
            let mut partial = start(&test.store, &bytes).await;
            let (release, held) = std::sync::mpsc::channel::<()>();
            let holder = tokio::task::spawn_blocking(move || held.recv());
            append(&mut partial, &bytes, slice..slice + 1).await;
            drop(partial);
            let mut next = Box::pin(async {
                if discards {
                    return test.store.discard_partial(hash).await.map(|()| None);
                }
                let partial = test.store.resume_or_start(hash, size).await?;
                Ok::<_, StoreError>(partial.next_slice())
            });
            let early = futures_util::poll!(next.as_mut());
            assert!(early.is_pending(), "it does not wait for the slice in the works: {early:?}");
            drop(release);
            assert_eq!(next.await.expect("its turn comes"), (!discards).then_some(slice + 1));
            assert!(holder.await.expect("no panic").is_err());
        }
        test.incoming_becomes(0).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_blob_is_not_taken() {
    let test = TestStore::new();
    let bytes = content(LEN, 3);
    let other = content(LEN, 4);
    let hash = blake3::hash(&bytes);
    let mut partial = start(&test.store, &bytes).await;
    append(&mut partial, &bytes, 0..4).await;
    let answer = partial.append_verified(4, slice(&bytes, 0)).await;
    assert!(matches!(answer, Err(StoreError::WrongSlice { .. })));
    let answer = partial.append_verified(5, slice(&bytes, 4)).await;
    assert!(matches!(answer, Err(StoreError::WrongSlice { .. })));
    let repeated = partial.append_verified(2, slice(&bytes, 2)).await;
    repeated.expect("a slice that is here is ignored");
    let answer = partial.finish().await;
    assert!(matches!(answer, Err(StoreError::Incomplete { next: 4 })));

    let mut partial = start(&test.store, &bytes).await;
    let appended = partial.append_verified(4, slice(&other, 4)).await;
    appended.expect("a slice of the right length");
    assert_eq!(partial.next_slice(), None);
    let answer = partial.append_verified(5, Bytes::new()).await;
    assert!(matches!(answer, Err(StoreError::WrongSlice { .. })));
    let answer = partial.finish().await;
    assert!(matches!(answer, Err(StoreError::WrongRoot { expected, .. }) if expected == hash));
    test.incoming_becomes(0).await;
    assert_eq!(test.store.status(hash).expect("a status"), BlobStatus::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_has_one_receiver() {
    let test = TestStore::new();
    let bytes = content(LEN, 5);
    let hash = blake3::hash(&bytes);
    let mut partial = start(&test.store, &bytes).await;
    append(&mut partial, &bytes, 0..2).await;
    let second = test.store.resume_or_start(hash, LEN as u64).await;
    assert!(matches!(second, Err(StoreError::Busy)));
    let discarded = test.store.discard_partial(hash).await;
    assert!(matches!(discarded, Err(StoreError::Busy)));
    let listed = test.store.partials().await.expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].hash, hash);
    partial.discard().await.expect("a removal");
    test.incoming_becomes(0).await;
    let partial = start(&test.store, &bytes).await;
    assert_eq!(partial.next_slice(), Some(0));
    drop(partial);
    drop_settles(&test, &bytes).await;
    test.store.discard_partial(hash).await.expect("a removal");
    test.incoming_becomes(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_blob_is_one_empty_slice() {
    let test = TestStore::new();
    let mut partial = start(&test.store, b"").await;
    assert_eq!(partial.next_slice(), Some(0));
    let appended = partial.append_verified(0, Bytes::new()).await;
    appended.expect("the empty slice");
    assert_eq!(partial.next_slice(), None);
    let staged = partial.finish().await.expect("the end");
    assert_eq!(staged.blake3(), blake3::hash(b""));
}

/// A blob that came another way while the partial lay there needs it no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_partial_of_a_present_blob_goes_on_open() {
    let test = TestStore::new();
    let bytes = content(LEN, 6);
    let mut partial = start(&test.store, &bytes).await;
    append(&mut partial, &bytes, 0..2).await;
    drop(partial);
    drop_settles(&test, &bytes).await;
    test.put(&bytes).await;
    let test = test.reopen();
    test.incoming_becomes(0).await;
}
