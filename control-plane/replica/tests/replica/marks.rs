//! The mark: how far the state reaches, and what Raft keeps with it.

use std::{collections::BTreeMap, fs, path::Path};

use ncore_model::{BeginLineage, Founder, NotBegun, Proposal, Query, Revision, encode};
use ncore_replica::{Entry, Replica, ReplicaError};

use crate::reference::{Reference, copy_directory, directory, mark};

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .map(|path| (path.file_name().expect("has a name").to_string_lossy().into_owned(), fs::read(&path).expect("reads")))
        .collect()
}

#[test]
fn a_mark_comes_back_as_it_was_given() {
    let home = directory();
    let mut replica = Replica::open(home.path()).expect("opens");
    assert_eq!(replica.mark().expect("reads"), None);
    assert_eq!(replica.revision(), Revision { lineage: 1, index: 0 });
    for (mark, index) in [b"".as_slice(), b"m", &[0; 300], &[0xFF; 3]].into_iter().zip(1..) {
        replica.apply(&[Entry { index, proposal: None }], mark).expect("applies");
        assert_eq!(replica.mark().expect("reads").as_deref(), Some(mark));
        drop(replica);
        replica = Replica::open(home.path()).expect("opens");
        assert_eq!(replica.mark().expect("reads").as_deref(), Some(mark));
        assert_eq!(replica.revision().index, index, "an entry of Raft's own counts");
    }
    replica.apply(&[], b"no entries").expect("applies");
    assert_eq!(replica.mark().expect("reads").as_deref(), Some(b"no entries".as_slice()));
    assert_eq!(replica.revision().index, 4);
}

/// To look at a checkpoint changes no byte of it: it may be on its way to another node.
#[test]
fn the_mark_of_a_checkpoint_is_read_and_nothing_else() {
    let reference = Reference::of_length(40);
    let root = directory();
    let replica = Replica::open(&root.path().join("home")).expect("opens");
    let empty = root.path().join("empty");
    replica.checkpoint(&empty).expect("writes a checkpoint");
    reference.feed(&replica, 0, 40);
    let full = root.path().join("full");
    replica.checkpoint(&full).expect("writes a checkpoint");
    drop(replica);
    for (checkpoint, expected, len) in [(&empty, None, 0), (&full, Some(mark(40)), 40)] {
        let before = files(checkpoint);
        assert_eq!(Replica::mark_of_checkpoint(checkpoint).expect("reads"), expected);
        assert_eq!(Replica::mark_of_checkpoint(checkpoint).expect("reads"), expected);
        let read =
            Replica::read_checkpoint(checkpoint, |view| Ok::<_, ReplicaError>((view.revision().index, reference.is_state(len, view))));
        assert_eq!(read.expect("reads"), (len, true));
        assert!(files(checkpoint) == before, "the checkpoint changed: {:?}", files(checkpoint).keys());
    }
    let nothing = root.path().join("nothing");
    fs::create_dir(&nothing).expect("creates");
    assert!(matches!(Replica::mark_of_checkpoint(&nothing), Err(ReplicaError::Database { .. })));
}

/// Rows count as such until they are in a file, and then as parts of it.
#[test]
fn the_memory_of_rows_is_given_back_when_they_are_in_a_file() {
    let reference = Reference::of_length(40);
    let root = directory();
    let replica = Replica::open(&root.path().join("home")).expect("opens");
    let empty = replica.memory().expect("adds up");
    reference.feed(&replica, 0, 40);
    let rows = replica.memory().expect("adds up");
    assert!(rows.unwritten > empty.unwritten, "{rows:?} {empty:?}");
    replica.checkpoint(&root.path().join("checkpoint")).expect("writes a checkpoint");
    assert_eq!(reference.check(&replica), 40);
    let files = replica.memory().expect("adds up");
    assert!(files.unwritten < rows.unwritten && files.blocks > 0, "{files:?} {rows:?}");
}

/// A lineage begins where the state ends, for good, and entries go on behind its beginning.
#[test]
fn a_lineage_begins_where_the_state_ends() {
    let reference = Reference::of_length(40);
    let root = directory();
    let replica = Replica::open(&root.path().join("home")).expect("opens");
    reference.feed(&replica, 0, 40);
    let survivor = replica.members().expect("reads").first().expect("there is a node").id;
    let begin = |base| BeginLineage { number: 2, base, at_ms: 0, founder: Founder::Survivor(survivor) };
    for (base, index) in [(39, 100), (41, 100), (40, 40)] {
        let refused = replica.begin_lineage(index, &begin(base), b"new");
        assert!(matches!(refused, Err(ReplicaError::Lineage(NotBegun::NotAfter { .. }))), "{refused:?}");
    }
    assert_eq!(reference.check(&replica), 40);

    let mut revisions = replica.watch();
    replica.begin_lineage(100, &begin(40), b"new").expect("begins");
    assert_eq!(*revisions.borrow_and_update(), Revision { lineage: 2, index: 100 });
    let copy = root.path().join("copy");
    copy_directory(&root.path().join("home"), &copy);
    let crashed = Replica::open(&copy).expect("opens");
    assert_eq!(crashed.mark().expect("reads").as_deref(), Some(b"new".as_slice()));
    assert_eq!(crashed.revision(), Revision { lineage: 2, index: 100 });
    crashed.apply(&[Entry { index: 101, proposal: None }], b"next").expect("applies");
    assert_eq!(crashed.revision(), Revision { lineage: 2, index: 101 });
    assert_eq!(crashed.lineages().expect("reads").iter().map(|lineage| (lineage.number, lineage.base)).collect::<Vec<_>>(), [(2, 40)]);
}

/// An entry that is not of this release stops the replica before anything of its batch is written.
#[test]
fn a_batch_with_an_unreadable_entry_is_not_written() {
    let reference = Reference::of_length(40);
    let home = directory();
    let replica = Replica::open(home.path()).expect("opens");
    reference.feed(&replica, 0, 20);
    let mut batch = reference.entries(20, 40);
    let newer = encode(&proposal()).map(|mut bytes| {
        bytes[4] = 2;
        let body = bytes.len() - 4;
        let crc = crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc);
        bytes
    });
    let newer = newer.expect("encodes");
    for bytes in [newer.as_slice(), b"", b"nonsense"] {
        batch[15].proposal = Some(bytes);
        assert!(matches!(replica.apply(&batch, &mark(40)), Err(ReplicaError::Entry { index: 36, .. })));
        assert_eq!(reference.check(&replica), 20);
    }
    reference.feed(&replica, 20, 40);
    assert_eq!(reference.check(&replica), 40);
}

fn proposal() -> Proposal {
    Proposal {
        request: ncore_model::RequestId([1; 16]),
        idempotency: None,
        log_time_ms: 1,
        command: ncore_model::Command::RaiseSchema { level: 2 },
    }
}

/// CRC-32C, bit by bit: the crate that does it is not one of ours.
fn crc32c(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    (!crc).to_le_bytes()
}
