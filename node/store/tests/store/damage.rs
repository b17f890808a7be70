//! Damage on the disk: noticed wherever it is, never handed out, repaired by a new copy.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ncore_store::{
    BlobStatus, Commit, Corruption, GROUP_BYTES, PinId, Pinning, Quarantine, ReadError, SLICE_BYTES, Verification, decode_slice,
    slice_count,
};

use crate::support::{PIN, TestStore, content, frames, part, stage};

/// Turns one bit over and, when dropped, back.
struct Flip {
    file: File,
    at: u64,
}

impl Flip {
    fn new(path: &Path, at: u64) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let flip = Self { file: file.expect("the file"), at };
        flip.turn();
        flip
    }

    fn turn(&self) {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, self.at).expect("a byte");
        byte[0] ^= 1 << (self.at % 8);
        self.file.write_all_at(&byte, self.at).expect("a byte");
    }
}

impl Drop for Flip {
    fn drop(&mut self) {
        self.turn();
    }
}

/// Reads every slice both ways. What comes is right; returns how many did not come.
async fn failures(test: &TestStore, hash: blake3::Hash, content: &[u8]) -> usize {
    let size = content.len() as u64;
    let mut failures = 0;
    for slice in 0..slice_count(size) {
        let wanted = part(content, slice);
        match test.store.read_slice_from_disk(hash, size, slice).await {
            Ok(bytes) => assert!(bytes == wanted, "slice {slice} is wrong"),
            Err(ReadError::Corrupt { .. }) => failures += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let frames = frames(&test.store, hash, size).await;
    assert_eq!(failures > 0, frames.iter().any(Result::is_err));
    for frame in frames.into_iter().flatten() {
        let decoded = decode_slice(hash, size, frame.slice, &frame.bytes).expect("a good frame");
        assert!(decoded == part(content, frame.slice));
    }
    failures
}

async fn flips_are_noticed(len: usize, flips: usize) {
    let test = TestStore::new();
    let content = content(len, 0);
    let hash = test.put(&content).await;
    assert_eq!(failures(&test, hash, &content).await, 0);
    let files: Vec<PathBuf> = [test.data_path(&hash), test.outboard_path(&hash)].into_iter().filter(|path| path.exists()).collect();
    let mut random = blake3::Hasher::new().finalize_xof();
    for path in files.iter().cycle().take(flips) {
        let bytes = path.metadata().expect("the file").len();
        let mut number = [0; 8];
        random.fill(&mut number);
        let at = u64::from_le_bytes(number) % bytes;
        let flip = Flip::new(path, at);
        let failed = failures(&test, hash, &content).await;
        assert!(failed > 0, "byte {at} of {} went unnoticed", path.display());
        drop(flip);
    }
    assert_eq!(failures(&test, hash, &content).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flip_is_noticed() {
    flips_are_noticed(3 * SLICE_BYTES + 5 * GROUP_BYTES + 99, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flip_is_noticed_when_the_outboard_is_read_by_parts() {
    flips_are_noticed(17 * SLICE_BYTES + 3, 24).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flip_is_noticed_without_an_outboard() {
    flips_are_noticed(GROUP_BYTES - 5, 64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_is_noticed() {
    let content = content(2 * SLICE_BYTES + GROUP_BYTES + 1, 3);
    let test = TestStore::new();
    let hash = test.put(&content).await;
    for path in [test.data_path(&hash), test.outboard_path(&hash)] {
        let whole = std::fs::read(&path).expect("the file");
        for part in 0..20 {
            let kept = whole.len() * part / 20;
            std::fs::write(&path, &whole[..kept]).expect("a shorter file");
            assert!(failures(&test, hash, &content).await > 0, "cut to {kept}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("a shorter file");
        assert!(failures(&test, hash, &content).await > 0);
        std::fs::remove_file(&path).expect("no file");
        let size = content.len() as u64;
        let read = test.store.read_slice_from_disk(hash, size, 0).await;
        assert!(read.is_err());
        std::fs::write(&path, &whole).expect("the file again");
    }
    assert_eq!(failures(&test, hash, &content).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_size_is_not_called_damage() {
    let test = TestStore::new();
    let content = content(SLICE_BYTES + 1, 4);
    let hash = test.put(&content).await;
    let recorded = content.len() as u64;
    for asked in [0, 1, recorded - 1, recorded + 1, recorded * 40] {
        let last = slice_count(asked) - 1;
        let read = test.store.read_slice_from_disk(hash, asked, last).await;
        assert!(matches!(read, Err(ReadError::WrongSize { recorded: r, .. }) if r == recorded), "{asked}: {read:?}");
    }
    let read = test.store.read_slice_from_disk(hash, recorded, 2).await;
    assert!(matches!(read, Err(ReadError::NoSuchSlice { .. })));
    let read = test.store.read_slice_from_disk(blake3::hash(b"?"), 5, 0);
    assert!(matches!(read.await, Err(ReadError::Missing)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_outboard_is_rebuilt_from_good_data() {
    let test = TestStore::new();
    let content = content(3 * SLICE_BYTES + 1, 5);
    let hash = test.put(&content).await;
    let path = test.outboard_path(&hash);
    let good = std::fs::read(&path).expect("the outboard");
    let spoil: [fn(&Path); 3] = [
        |path| std::mem::forget(Flip::new(path, 100)),
        |path| std::fs::write(path, b"short").expect("a write"),
        |path| std::fs::remove_file(path).expect("a removal"),
    ];
    for spoil in spoil {
        spoil(&path);
        let found = test.store.verify(hash).await.expect("a check");
        assert!(matches!(found, Verification::OutboardRebuilt { .. }), "{found:?}");
        assert!(std::fs::read(&path).expect("the outboard") == good);
        let found = test.store.verify(hash).await.expect("a check");
        assert!(matches!(found, Verification::Good { .. }), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_blob_is_set_aside_and_replaced() {
    let test = TestStore::new();
    let content = content(3 * SLICE_BYTES + 1, 6);
    let size = content.len() as u64;
    let hash = test.put(&content).await;
    std::mem::forget(Flip::new(&test.data_path(&hash), SLICE_BYTES as u64 + 5));

    let what = Corruption::Data;
    let found = test.store.verify(hash).await.expect("a check");
    assert_eq!(found, Verification::Corrupt { what });
    let pinned = test.store.pin(hash, PinId(8)).await.expect("an answer");
    assert_eq!(pinned, Pinning::Corrupt { what });

    let outcome = test.store.quarantine(hash).await.expect("a quarantine");
    assert_eq!(outcome, Quarantine::SetAside);
    let status = test.store.status(hash).expect("a status");
    assert!(matches!(status, BlobStatus::Quarantined { size: s, .. } if s == size), "{status:?}");
    // The good slices are still read, the bad one is not.
    assert_eq!(failures(&test, hash, &content).await, 1);
    let outcome = test.store.quarantine(hash).await.expect("a quarantine");
    assert_eq!(outcome, Quarantine::AlreadySetAside);
    let pinned = test.store.pin(hash, PinId(8)).await.expect("an answer");
    assert_eq!(pinned, Pinning::Absent);

    let test = test.reopen();
    let staged = stage(&test.store, &content).await;
    let commit = staged.commit(PIN).await.expect("the commit");
    assert_eq!(commit, Commit::Replaced);
    assert_eq!(failures(&test, hash, &content).await, 0);
    let aside = std::fs::read_dir(test.dir.path().join("quarantine")).expect("the quarantine");
    assert_eq!(aside.count(), 0, "the bad copy was not removed");
    let outcome = test.store.quarantine(hash).await.expect("a quarantine");
    assert_eq!(outcome, Quarantine::Good);
    let outcome = test.store.quarantine(blake3::hash(b"?")).await;
    assert_eq!(outcome.expect("an answer"), Quarantine::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_does_not_count_a_bad_copy() {
    let test = TestStore::new();
    let content = content(SLICE_BYTES + 1, 7);
    let hash = test.put(&content).await;
    let staged = stage(&test.store, &content).await;
    let commit = staged.commit(PinId(1)).await.expect("the commit");
    assert_eq!(commit, Commit::AlreadyPresent);
    for extension in ["data", "obao"] {
        let path = test.data_path(&hash).with_extension(extension);
        std::mem::forget(Flip::new(&path, 77));
        let staged = stage(&test.store, &content).await;
        staged.commit(PinId(1)).await.expect("the commit");
        assert_eq!(failures(&test, hash, &content).await, 0);
    }
    test.incoming_becomes(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quarantine_is_bounded() {
    let test = TestStore::new();
    for seed in 0..12 {
        let content = content(GROUP_BYTES + 1, 100 + seed);
        let hash = test.put(&content).await;
        std::fs::remove_file(test.outboard_path(&hash)).expect("a removal");
        std::mem::forget(Flip::new(&test.data_path(&hash), 0));
        let outcome = test.store.quarantine(hash).await.expect("a quarantine");
        assert_eq!(outcome, Quarantine::SetAside);
    }
    let aside = std::fs::read_dir(test.dir.path().join("quarantine")).expect("the quarantine");
    assert_eq!(aside.count(), 8);
}
