//! Those who read while others write: one moment each, told in order, and not disturbed when the state is replaced.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use ncore_model::{ReadTables, Revision};
use ncore_replica::{Change, Observer, Replica};
use parking_lot::Mutex;

use crate::reference::{DEADLINE, Reference, directory, mark, read, wait_until};

/// Looks around whenever it is told of something.
#[derive(Default)]
struct Witness {
    replica: OnceLock<Weak<Replica>>,
    told: Mutex<Vec<Told>>,
    last: AtomicU64,
}

/// What it was told, and what it saw then.
struct Told {
    revision: Revision,
    announced: Revision,
    readable: Revision,
    /// `None` if the whole state was replaced; each with its value at that moment.
    changes: Option<Vec<(Change, Option<Vec<u8>>)>>,
}

impl Witness {
    fn watch(replica: &Arc<Replica>) -> Arc<Self> {
        let witness = Arc::new(Self::default());
        witness.replica.set(Arc::downgrade(replica)).expect("is set once");
        replica.observe(Arc::<Self>::clone(&witness));
        witness
    }

    fn note(&self, revision: Revision, changes: Option<&[Change]>) {
        let replica = self.replica.get().and_then(Weak::upgrade).expect("is there");
        let value = |change: &Change| replica.get(change.table, &change.key).expect("reads");
        self.told.lock().push(Told {
            revision,
            announced: replica.revision(),
            readable: read(&replica, |view| view.revision()),
            changes: changes.map(|changes| changes.iter().map(|change| (change.clone(), value(change))).collect()),
        });
        self.last.store(revision.index, Ordering::Release);
    }
}

impl Observer for Witness {
    fn changed(&self, revision: Revision, changes: &[Change]) {
        self.note(revision, Some(changes));
    }

    fn replaced(&self, revision: Revision) {
        self.note(revision, None);
    }
}

#[test]
fn observers_are_told_after_it_can_be_read_and_before_it_is_announced() {
    let reference = Reference::of_length(120);
    let root = directory();
    let replica = Arc::new(Replica::open(&root.path().join("home")).expect("opens"));
    let witness = Witness::watch(&replica);
    let checkpoint = root.path().join("checkpoint");
    for start in (0..60).step_by(4) {
        reference.feed(&replica, start, start + 4);
    }
    replica.checkpoint(&checkpoint).expect("writes a checkpoint");
    reference.feed(&replica, 60, 100);
    replica.install(&checkpoint).expect("installs");
    reference.feed(&replica, 60, 120);

    let told = witness.told.lock();
    let expected: Vec<u64> = (4..=60).step_by(4).chain([100, 60, 120]).collect();
    assert_eq!(told.iter().map(|told| told.revision.index).collect::<Vec<_>>(), expected);
    let mut before = 0;
    for told in told.iter() {
        assert_eq!(told.readable, told.revision, "told before it can be read");
        assert_eq!(told.announced.index, before, "told after it was announced");
        before = told.revision.index;
    }
    assert!(told.iter().filter(|told| told.changes.is_none()).map(|told| told.revision.index).eq([60]), "only the install replaces");
}

/// Whoever knows the rows and follows the changes has the state, so none is left out and none comes with an old value.
#[test]
fn the_changes_are_all_there_is_to_know() {
    let reference = Reference::of_length(200);
    let home = directory();
    let replica = Arc::new(Replica::open(home.path()).expect("opens"));
    let witness = Witness::watch(&replica);
    for start in (0..200).step_by(7) {
        reference.feed(&replica, start, reference.len().min(start + 7));
    }
    let mut copy = ncore_model::MemoryTables::default();
    for told in witness.told.lock().iter() {
        for (change, value) in told.changes.iter().flatten() {
            match value {
                Some(value) => ncore_model::Tables::put(&mut copy, change.table, &change.key, value.clone()),
                None => ncore_model::Tables::delete(&mut copy, change.table, &change.key),
            }
        }
        assert!(reference.is_state(told.revision.index, &copy), "{}", told.revision);
    }
}

/// Who waits for a revision finds that every observer has heard of it, and that it can be read.
#[test]
fn a_revision_is_announced_last() {
    let reference = Reference::of_length(400);
    let home = directory();
    let replica = Arc::new(Replica::open(home.path()).expect("opens"));
    let witness = Witness::watch(&replica);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut revisions = replica.watch();
            while !done.load(Ordering::Acquire) {
                let seen = *revisions.borrow_and_update();
                assert!(witness.last.load(Ordering::Acquire) >= seen.index, "{seen} is announced and observers do not know");
                assert!(read(&replica, |view| view.revision()) >= seen, "{seen} is announced and cannot be read");
            }
        });
        for start in 0..reference.len() {
            reference.feed(&replica, start, start + 1);
        }
        done.store(true, Ordering::Release);
    });
}

/// However much is written and replaced meanwhile, a read sees the state of the revision that it says.
#[test]
fn a_read_is_of_one_moment() {
    let reference = Reference::of_length(400);
    let root = directory();
    let replica = Replica::open(&root.path().join("home")).expect("opens");
    let done = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let (revision, whole) = read(&replica, |view| (view.revision(), reference.is_state(view.revision().index, view)));
                    assert!(whole, "a read at {revision} is not of it");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..4 {
            for start in (round * 100..round * 100 + 100).step_by(5) {
                reference.feed(&replica, start, start + 5);
            }
            let checkpoint = root.path().join(format!("checkpoint-{round}"));
            replica.checkpoint(&checkpoint).expect("writes a checkpoint");
            replica.install(&checkpoint).expect("installs");
            let so_far = reads.load(Ordering::Relaxed);
            wait_until("a read", || reads.load(Ordering::Relaxed) > so_far);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(reference.check(&replica), 400);
}

/// A reader that has not opened half of the old files yet goes on reading them when the state was replaced, and they go when it is
/// done.
#[test]
fn a_replaced_state_stays_for_its_readers() {
    let reference = Reference::of_length(200);
    let root = directory();
    let home = root.path().join("home");
    let checkpoint = root.path().join("checkpoint");
    let replica = Replica::open(&home).expect("opens");
    reference.feed(&replica, 0, 100);
    replica.checkpoint(&root.path().join("flushed")).expect("writes a checkpoint");
    drop(replica);
    let replica = Replica::open(&home).expect("opens");
    let other = Replica::open(&root.path().join("other")).expect("opens");
    reference.feed(&other, 0, 200);
    other.checkpoint(&checkpoint).expect("writes a checkpoint");

    let (reading, is_reading) = mpsc::channel();
    let (replaced, is_replaced) = mpsc::channel::<()>();
    let (replica, reference) = (&replica, &reference);
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            read(replica, |view| {
                reading.send(()).expect("is awaited");
                is_replaced.recv_timeout(DEADLINE).expect("is replaced in time");
                assert_eq!(view.revision().index, 100);
                assert!(reference.is_state(100, view), "the old state is damaged");
            });
        });
        is_reading.recv_timeout(DEADLINE).expect("reads in time");
        replica.install(&checkpoint).expect("installs");
        assert_eq!(reference.check(replica), 200);
        assert!(!is_empty(&home.join("state.000001")), "removed under a reader");
        replaced.send(()).expect("is awaited");
        reader.join().expect("reads");
    });
    assert!(!home.join("state.000001").exists(), "the last reader leaves it behind");
    assert!(home.join("state.000002").exists());
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none())
}

/// The state that is replaced without readers is gone at once, and nothing piles up.
#[test]
fn replaced_states_do_not_pile_up() {
    let root = directory();
    let home = root.path().join("home");
    let replica = Replica::open(&home).expect("opens");
    let reference = Reference::of_length(30);
    for round in 0..3 {
        reference.feed(&replica, round * 10, round * 10 + 10);
        let checkpoint = root.path().join(format!("checkpoint-{round}"));
        replica.checkpoint(&checkpoint).expect("writes a checkpoint");
        replica.install(&checkpoint).expect("installs");
        let mut names: Vec<_> =
            fs::read_dir(&home).expect("lists").map(|entry| entry.expect("lists").file_name().into_string().expect("is text")).collect();
        names.sort();
        assert_eq!(names, ["CURRENT".to_owned(), format!("state.{:06}", round + 2)]);
    }
    assert_eq!(replica.mark().expect("reads"), Some(mark(30)));
}
