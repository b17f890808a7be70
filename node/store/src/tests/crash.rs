//! The process dies at each place where it could hurt, and the next open puts things right.
//!
//! The crash is real: this test binary runs itself as a child, which aborts at the named place with
//! all its files and its RocksDB open.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

use crate::crash::AT;
use crate::{
    BlobStatus, BlobStore, Collection, PinId, SLICE_BYTES, StagedBlob, StoreConfig, Variant, VariantKey, Verification, WriteOptions,
};

const DIR: &str = "NCORE_STORE_CRASH_DIR";
const DOING: &str = "NCORE_STORE_CRASH_DOING";
const PIN: PinId = PinId(1);
const LEN: usize = 2 * SLICE_BYTES + 777;

/// What the child is doing when it dies.
#[derive(Clone, Copy)]
enum Doing {
    /// Committing a blob that is not there.
    Storing,
    /// Committing a blob whose copy is bad.
    Replacing,
    /// Collecting a blob.
    Collecting,
    /// Setting a bad copy aside.
    SettingAside,
    /// Receiving a blob slice by slice.
    Receiving,
    /// Committing a blob as a variant of another.
    MakingVariant,
    /// Collecting a blob that has a variant.
    CollectingSource,
}

const ALL: [(&str, Doing); 7] = [
    ("making-variant", Doing::MakingVariant),
    ("collecting-source", Doing::CollectingSource),
    ("storing", Doing::Storing),
    ("replacing", Doing::Replacing),
    ("collecting", Doing::Collecting),
    ("setting-aside", Doing::SettingAside),
    ("receiving", Doing::Receiving),
];

/// What must be found after the crash and an open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// No record, no file, no pin.
    Nothing,
    /// A good blob, with its pin.
    GoodAndPinned,
    /// A good blob, without a pin.
    Good,
    /// A record of a copy that is bad, as before.
    StillBad,
    /// The mark of a bad copy.
    Marked,
    /// Some slices of a transfer.
    Partial,
}

#[test]
fn storing() {
    dies("storing", "block-written", Then::Nothing);
    dies("storing", "staged", Then::Nothing);
    dies("storing", "commit-intent", Then::Nothing);
    dies("storing", "commit-outboard-placed", Then::Nothing);
    dies("storing", "commit-data-placed", Then::Nothing);
    dies("storing", "commit-directory-synced", Then::Nothing);
    dies("storing", "commit-recorded", Then::GoodAndPinned);
}

#[test]
fn replacing() {
    dies("replacing", "commit-intent", Then::StillBad);
    dies("replacing", "commit-outboard-placed", Then::StillBad);
    dies("replacing", "commit-data-placed", Then::Good);
    dies("replacing", "commit-directory-synced", Then::Good);
    dies("replacing", "commit-recorded", Then::GoodAndPinned);
}

#[test]
fn collecting() {
    dies("collecting", "collect-intent", Then::Good);
    dies("collecting", "collect-unrecorded", Then::Nothing);
    dies("collecting", "collect-removed", Then::Nothing);
}

#[test]
fn setting_aside() {
    dies("setting-aside", "quarantine-recorded", Then::Marked);
    dies("setting-aside", "quarantine-moved", Then::Marked);
}

#[test]
fn receiving() {
    dies("receiving", "partial-written", Then::Partial);
    // The partial gives its name up when it is complete; a crash after that costs the transfer.
    dies("receiving", "staged", Then::Partial);
    dies("receiving", "commit-recorded", Then::GoodAndPinned);
}

/// Either there is the blob and it is a variant, or there is neither.
#[test]
fn making_a_variant() {
    for place in ["block-written", "staged", "commit-intent", "commit-outboard-placed", "commit-data-placed", "commit-directory-synced"] {
        variant_dies("making-variant", place, false, true);
    }
    variant_dies("making-variant", "commit-recorded", true, true);
}

/// Either there is the source with its variant, or there is neither, and the blob of the variant is nobody's.
#[test]
fn collecting_a_source() {
    variant_dies("collecting-source", "collect-intent", true, true);
    variant_dies("collecting-source", "collect-unrecorded", false, false);
    variant_dies("collecting-source", "collect-removed", false, false);
}

/// Not a test: the process that dies.
#[test]
#[ignore = "run by the tests of this file, as a child"]
fn child() {
    let doing = std::env::var(DOING).expect("what to do");
    let dir = PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    let (_, doing) = ALL.iter().find(|(name, _)| *name == doing).expect("known");
    runtime().block_on(act(&open(&dir), *doing));
}

async fn act(store: &BlobStore, doing: Doing) {
    let (content, hash) = content();
    match doing {
        Doing::Storing | Doing::Replacing => {
            let staged = stage(store, &content).await;
            staged.commit(PIN).await.expect("the commit");
        }
        Doing::Collecting => {
            let collected = store.collect(hash, Duration::ZERO, || true).await;
            collected.expect("a collection");
        }
        Doing::MakingVariant => {
            let staged = stage(store, &content).await;
            staged.commit_variant(variant()).await.expect("the commit");
        }
        Doing::CollectingSource => {
            let collected = store.collect(source(), Duration::ZERO, || true).await;
            collected.expect("a collection");
        }
        Doing::SettingAside => {
            store.quarantine(hash).await.expect("a quarantine");
        }
        Doing::Receiving => {
            let partial = store.resume_or_start(hash, LEN as u64).await;
            let mut partial = partial.expect("a partial");
            for (n, slice) in (0..).zip(content.chunks(SLICE_BYTES)) {
                let appended = partial.append_verified(n, content.slice_ref(slice));
                appended.await.expect("a slice");
            }
            let staged = partial.finish().await.expect("the end");
            staged.commit(PIN).await.expect("the commit");
        }
    }
}

/// Has a child die at work on a variant, opens what it left, and looks.
fn variant_dies(doing: &str, place: &str, has_variant: bool, has_source: bool) {
    let context = format!("{doing}, {place}");
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(dir.path());
        stage(&store, &Bytes::from_static(SOURCE)).await.commit(PIN).await.expect("the commit");
        store.unpin(source(), PIN).await.expect("an answer");
        if doing == "collecting-source" {
            act(&store, Doing::MakingVariant).await;
        }
    });
    run_to_death(dir.path(), doing, place);
    runtime().block_on(async {
        let store = open(dir.path());
        let (content, hash) = content();
        let found = store.variant(variant()).expect("an answer");
        assert_eq!(matches!(found, Some(Variant::Stored(stored)) if stored.blob == hash), has_variant, "{context}");
        assert_eq!(store.status(source()).expect("a status") != BlobStatus::Absent, has_source, "{context}");
        assert!(store.pins(None, 9).await.expect("the pins").is_empty(), "{context}: a pin");
        let collection = store.collect(hash, Duration::ZERO, || true).await.expect("an answer");
        match collection {
            Collection::Referenced => assert!(has_variant, "{context}"),
            Collection::Removed { .. } => assert!(doing == "collecting-source" && !has_variant, "{context}"),
            _ => assert_eq!(collection, Collection::Absent, "{context}"),
        }
        if !has_variant {
            assert!(!store.core().layout.blob(&hash).data.exists(), "{context}");
        }
        // Whatever was left, it can be made.
        stage(&store, &Bytes::from_static(SOURCE)).await.commit(PIN).await.expect("the commit");
        stage(&store, &content).await.commit_variant(variant()).await.expect("the commit");
        assert!(matches!(store.variant(variant()).expect("an answer"), Some(Variant::Stored(_))), "{context}: again");
    });
}

const SOURCE: &[u8] = b"what variants are made of";

fn source() -> blake3::Hash {
    blake3::hash(SOURCE)
}

fn variant() -> VariantKey {
    VariantKey { source: source(), coding: 1 }
}

/// Has a child die at a place, opens what it left, and looks.
fn dies(doing: &str, place: &str, then: Then) {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path(), doing);
    run_to_death(dir.path(), doing, place);
    runtime().block_on(async {
        let store = open(dir.path());
        look(&store, dir.path(), then, &format!("{doing}, {place}")).await;
        // Whatever was left, the blob can be had.
        let (content, hash) = content();
        let staged = stage(&store, &content).await;
        staged.commit(PIN).await.expect("the commit");
        assert!(is_good(&store, hash).await, "{doing}, {place}: again");
    });
    // And that lasts.
    runtime().block_on(async {
        let store = open(dir.path());
        look(&store, dir.path(), Then::GoodAndPinned, "once more").await;
    });
}

fn run_to_death(dir: &Path, doing: &str, place: &str) {
    let this = std::env::current_exe().expect("this binary");
    let status = Command::new(this)
        .args(["--exact", "tests::crash::child", "--ignored"])
        .env(DIR, dir)
        .env(DOING, doing)
        .env(AT, place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a child");
    let died = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(died, Some(6), "{doing} did not get to {place}: {status}");
}

async fn look(store: &BlobStore, dir: &Path, then: Then, context: &str) {
    let (_, hash) = content();
    let status = store.status(hash).expect("a status");
    let pins = store.pins(None, 9).await.expect("the pins").len();
    let found = match status {
        BlobStatus::Present { .. } if !is_good(store, hash).await => Then::StillBad,
        BlobStatus::Present { .. } if pins > 0 => Then::GoodAndPinned,
        BlobStatus::Present { .. } => Then::Good,
        BlobStatus::Quarantined { .. } => Then::Marked,
        BlobStatus::Absent if !store.partials().await.expect("a list").is_empty() => Then::Partial,
        BlobStatus::Absent => Then::Nothing,
    };
    assert_eq!(found, then, "{context}");
    if matches!(then, Then::Nothing | Then::Partial) {
        assert_eq!(pins, 0, "{context}: a pin without a blob");
        assert!(!store.core().layout.blob(&hash).data.exists(), "{context}");
        assert!(!store.core().layout.blob(&hash).outboard.exists(), "{context}");
    }
    let incoming = std::fs::read_dir(dir.join("incoming")).expect("incoming");
    let expected = if then == Then::Partial { 2 } else { 0 };
    assert_eq!(incoming.count(), expected, "{context}: files in incoming");
}

/// Makes what the child begins with.
fn prepare(dir: &Path, doing: &str) {
    let has_blob = ["replacing", "collecting", "setting-aside"].contains(&doing);
    let is_bad = ["replacing", "setting-aside"].contains(&doing);
    if !has_blob {
        return;
    }
    let (content, hash) = content();
    runtime().block_on(async {
        let store = open(dir);
        let staged = stage(&store, &content).await;
        staged.commit(PinId(0)).await.expect("the commit");
        store.unpin(hash, PinId(0)).await.expect("an answer");
        if is_bad {
            let mut spoiled = content.to_vec();
            spoiled[SLICE_BYTES] ^= 1;
            std::fs::write(store.core().layout.blob(&hash).data, spoiled).expect("a write");
        }
    });
}

async fn stage(store: &BlobStore, content: &Bytes) -> StagedBlob {
    let options = WriteOptions { expected_size: None, max_size: u64::MAX };
    let mut writer = store.writer(options).expect("a writer");
    writer.write(content.clone()).await.expect("a write");
    writer.finish().await.expect("the end")
}

async fn is_good(store: &BlobStore, hash: blake3::Hash) -> bool {
    let found = store.verify(hash).await.expect("a check");
    matches!(found, Verification::Good { .. })
}

fn open(dir: &Path) -> BlobStore {
    let config = StoreConfig { dir: dir.to_owned(), memory_bytes: 0, reserve_bytes: 0 };
    BlobStore::open(&config).expect("the store opens")
}

fn content() -> (Bytes, blake3::Hash) {
    let mut content = vec![0; LEN];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    let hash = blake3::hash(&content);
    (Bytes::from(content), hash)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}
