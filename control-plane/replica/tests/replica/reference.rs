//! A log, and what must be true after each of its entries.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use ncore_model::{Applied, Command, MemoryTables, ReadTables, apply, encode, state_hash};
use ncore_replica::{Entry, Replica, ReplicaError, View};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use tempfile::TempDir;

use crate::sequence::{LogEntry, logs};

/// How long anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A log as the replica gets it, and the states of tables in memory that got it one by one.
pub(crate) struct Reference {
    log: Vec<(u64, Option<Vec<u8>>)>,
    /// What became of each entry.
    pub(crate) applied: Vec<Option<Applied>>,
    /// The hash of the state after as many entries.
    hashes: Vec<[u8; 32]>,
}

impl Reference {
    pub(crate) fn new(log: &[LogEntry]) -> Self {
        let mut tables = MemoryTables::default();
        let mut reference = Self { log: Vec::new(), applied: Vec::new(), hashes: vec![hash(&tables)] };
        for entry in log {
            let applied = entry.proposal.as_ref().map(|proposal| apply(&mut tables, entry.index, proposal).expect("applies"));
            let bytes = entry.proposal.as_ref().map(|proposal| encode(proposal).expect("encodes"));
            reference.log.push((entry.index, bytes));
            reference.applied.push(applied);
            reference.hashes.push(hash(&tables));
        }
        reference
    }

    /// A log that is always the same, of `len` entries, of which the first makes a cluster.
    pub(crate) fn of_length(len: usize) -> Self {
        let mut runner = TestRunner::deterministic();
        loop {
            let log = logs(2 * len).new_tree(&mut runner).expect("makes a log").current();
            let begins = log[0].proposal.as_ref().is_some_and(|proposal| matches!(proposal.command, Command::InitCluster(_)));
            if log.len() >= len && begins {
                return Self::new(&log[..len]);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn entries(&self, from: usize, to: usize) -> Vec<Entry<'_>> {
        self.log[from..to].iter().map(|(index, bytes)| Entry { index: *index, proposal: bytes.as_deref() }).collect()
    }

    /// Gives the entries to a replica, with the mark that [`check`](Self::check) expects.
    pub(crate) fn feed(&self, replica: &Replica, from: usize, to: usize) -> Vec<Option<Applied>> {
        replica.apply(&self.entries(from, to), &mark(to)).expect("applies")
    }

    /// The replica has the state after some number of entries, and says which. Gives the number.
    pub(crate) fn check(&self, replica: &Replica) -> usize {
        let (revision, hash) = read(replica, |view| (view.revision(), hash(view)));
        let len = usize::try_from(revision.index).expect("is small");
        assert_eq!(hash, self.hashes[len], "the state is not that of its revision {revision}");
        let kept = replica.mark().expect("reads");
        assert!(kept == Some(mark(len)) || (len == 0 && kept.is_none()), "{kept:?} after {len}");
        assert_eq!(replica.revision(), revision);
        len
    }

    /// The state that `tables` show is that after `len` entries.
    pub(crate) fn is_state<T: ReadTables + ?Sized>(&self, len: u64, tables: &T) -> bool {
        hash(tables) == self.hashes[usize::try_from(len).expect("is small")]
    }
}

/// The mark that goes with the first `len` entries.
pub(crate) fn mark(len: usize) -> Vec<u8> {
    format!("after {len}").into_bytes()
}

/// Reads what cannot fail.
pub(crate) fn read<T>(replica: &Replica, read: impl FnOnce(&View<'_>) -> T) -> T {
    replica.read(|view| Ok::<_, ReplicaError>(read(view))).expect("reads")
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what} did not happen in time");
        std::thread::yield_now();
    }
}

/// An empty directory, in memory where there is a place for that: a replica syncs its files often, and no test here needs a disk
/// that keeps them.
pub(crate) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("makes a directory")
}

/// Copies a directory and what is in it, as it is at that moment.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("reads").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copies");
        }
    }
}

fn hash<T: ReadTables + ?Sized>(tables: &T) -> [u8; 32] {
    state_hash(tables).expect("reads")
}
