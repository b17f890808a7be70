//! Snapshots on disk: built, found again, cleaned up, resumed, and never trusted without a look at the bytes.

use std::{fs, io, path::Path, sync::Arc};

use super::{Description, ReceivedSnapshot, SnapshotStore, StoredSnapshot, manifest};
use crate::{
    fatal::{FatalCell, FatalReason},
    types::{LeaderId, LogId, SnapshotMeta, StoredMembership},
};

fn meta(index: u64) -> SnapshotMeta {
    let last = LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
    SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::default() }
}

fn open(dir: &Path) -> SnapshotStore {
    SnapshotStore::open(dir, FatalCell::new(), 0).unwrap()
}

/// A snapshot of these files.
fn build(store: &SnapshotStore, index: u64, files: &[(&str, &[u8])]) -> Arc<StoredSnapshot> {
    let checkpoint = |dir: &Path| {
        fs::create_dir(dir)?;
        files.iter().try_for_each(|(name, content)| fs::write(dir.join(name), content))?;
        Ok(meta(index))
    };
    store.build(checkpoint).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Fetches a file of `from` as a transfer would.
fn fetch(received: &ReceivedSnapshot, from: &StoredSnapshot, name: &str, upto: usize) -> bool {
    let file = from.file(name).unwrap();
    let content = fs::read(from.data_dir().join(name)).unwrap();
    let mut part = received.open_part(file).unwrap();
    let start = usize::try_from(part.length()).unwrap();
    part.append(&content[start..upto]).unwrap();
    upto == content.len() && received.complete(file, part).unwrap()
}

#[test]
fn a_snapshot_is_found_again_and_leftovers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.current().is_none());
    build(&store, 5, &[("a", b"one")]);
    let second = build(&store, 9, &[("a", b"one"), ("b", b"two")]);
    let older = build(&store, 7, &[("a", b"zero")]);
    assert_eq!(older.reference(), second.reference(), "an older one does not replace a newer one");
    drop((store, older));
    fs::create_dir_all(dir.path().join("snap/new.tmp/data")).unwrap();

    let store = open(dir.path());
    assert_eq!(names(&dir.path().join("snap")), ["00000000000000000009"]);
    let current = store.current().unwrap();
    assert_eq!(current.description(), second.description());
    assert_eq!(current.meta(), &meta(9));
    assert_eq!(fs::read(current.data_dir().join("b")).unwrap(), b"two");
}

#[test]
fn a_snapshot_in_use_outlives_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = build(&store, 1, &[("a", b"one")]);
    build(&store, 2, &[("a", b"two")]);
    store.sweep();
    assert!(first.data_dir().exists());
    assert!(store.by_reference(first.reference()).is_some());
    let path = first.path().to_owned();
    drop(first);
    store.sweep();
    assert!(!path.exists());
    assert_eq!(names(&dir.path().join("snap")), ["00000000000000000002"]);
}

#[test]
fn damaged_snapshots_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let stored = build(&open(dir.path()), 1, &[("a", b"one")]);
    fs::write(stored.data_dir().join("a"), b"longer").unwrap();
    assert!(matches!(SnapshotStore::open(dir.path(), FatalCell::new(), 0), Err(FatalReason::Snapshot { .. })));
    fs::write(stored.data_dir().join("a"), b"one").unwrap();
    fs::write(stored.path().join("meta"), b"nonsense").unwrap();
    assert!(matches!(SnapshotStore::open(dir.path(), FatalCell::new(), 0), Err(FatalReason::LogRecord(_))));
}

#[test]
fn a_failed_checkpoint_leaves_the_current_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    build(&store, 1, &[("a", b"one")]);
    store.build(|_| Err(io::Error::other("no"))).unwrap_err();
    assert_eq!(store.current().unwrap().meta(), &meta(1));
}

#[test]
fn a_known_file_is_not_hashed_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = build(&store, 1, &[("a", b"one")]);
    let shared = first.data_dir().join("a");
    // A lie about the content shows whether it was read: the link must bring the hash it had.
    let lie = blake3::hash(b"lie");
    let mut known = first.files().to_vec();
    known[0].hash = lie;
    let linked = dir.path().join("linked");
    fs::create_dir(&linked).unwrap();
    fs::hard_link(&shared, linked.join("a")).unwrap();
    fs::write(linked.join("b"), b"two").unwrap();
    let files = manifest::digest_dir(&linked, Some((&first.data_dir(), &known))).unwrap();
    assert_eq!(files[0].hash, lie);
    assert_eq!(files[1].hash, blake3::hash(b"two"));
    fs::create_dir(linked.join("directory")).unwrap();
    manifest::digest_dir(&linked, None).unwrap_err();
}

#[test]
fn a_transfer_goes_on_where_it_was() {
    let (source_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = open(source_dir.path());
    let large = vec![7; 3 << 20];
    let offered = build(&source, 5, &[("a", &large), ("b", b"two"), ("c", b"three")]);
    {
        let received = open(dir.path()).receive(offered.description().clone()).unwrap();
        assert!(fetch(&received, &offered, "b", 3));
        assert!(!fetch(&received, &offered, "a", 2 << 20));
        assert_eq!(received.present(), (2 << 20) + 3);
    }
    // As after a restart.
    let store = open(dir.path());
    let received = store.receive(offered.description().clone()).unwrap();
    assert_eq!(received.present(), (2 << 20) + 3);
    assert!(received.has(offered.file("b").unwrap()));
    assert!(fetch(&received, &offered, "a", large.len()));
    assert!(fetch(&received, &offered, "c", 5));
    let kept = store.keep(received).unwrap();
    assert_eq!(kept.description(), offered.description());
    assert_eq!(names(kept.path()), ["data", "meta"]);
    assert!(names(&dir.path().join("incoming")).is_empty());
    assert_eq!(open(dir.path()).current().unwrap().reference(), offered.reference());
}

#[test]
fn damaged_parts_are_fetched_again() {
    let (source_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let offered = build(&open(source_dir.path()), 5, &[("a", b"content")]);
    let received = open(dir.path()).receive(offered.description().clone()).unwrap();
    let file = offered.file("a").unwrap();
    for wrong in [b"c0ntent".as_slice(), b"content and more"] {
        fs::write(received.path().join("parts/a"), wrong).unwrap();
        let part = received.open_part(file).unwrap();
        if part.length() == file.size {
            assert!(!received.complete(file, part).unwrap());
        }
        assert_eq!(received.open_part(file).unwrap().length(), 0);
    }
    assert!(fetch(&received, &offered, "a", 7));
}

#[test]
fn files_at_hand_are_not_fetched() {
    let (source_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = open(source_dir.path());
    let first = build(&source, 5, &[("a", b"one"), ("b", b"two")]);
    let store = open(dir.path());
    // `b` of a transfer that was given up, `x` of a snapshot of our own.
    let given_up = store.receive(first.description().clone()).unwrap();
    assert!(fetch(&given_up, &first, "b", 3));
    build(&store, 1, &[("x", b"mine")]);
    let second = build(&source, 6, &[("a", b"new"), ("b", b"two"), ("y", b"mine")]);
    let received = store.receive(second.description().clone()).unwrap();
    let had: Vec<bool> = second.files().iter().map(|file| received.has(file)).collect();
    assert_eq!(had, [false, true, true]);
    assert_eq!(names(&dir.path().join("incoming")), [second.reference()]);
    store.discard(second.reference()).unwrap();
    assert!(names(&dir.path().join("incoming")).is_empty());
}

#[test]
fn references_stand_for_content() {
    let digest = |name: &str, content: &[u8]| super::FileDigest { name: name.to_owned(), size: 1, hash: blake3::hash(content) };
    let reference = |files: Vec<super::FileDigest>| Description::new(meta(1), files).reference;
    let one = reference(vec![digest("a", b"1")]);
    assert_eq!(one, reference(vec![digest("a", b"1")]));
    assert_ne!(one, reference(vec![digest("a", b"2")]));
    assert_ne!(one, reference(vec![digest("b", b"1")]));
    assert!(manifest::is_plain_name(&one));
}
