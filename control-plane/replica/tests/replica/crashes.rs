//! After a crash the state is that of some earlier mark, and the log has the rest. A crash is played by opening a copy of the
//! directory: nothing was closed in it.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use ncore_replica::Replica;

use crate::reference::{Reference, copy_directory, directory, mark, wait_until};

/// A replica with the first `len` entries, in batches of up to `batch`.
fn replica_with(reference: &Reference, home: &Path, len: usize, batch: usize) -> Replica {
    let replica = Replica::open(home).expect("opens");
    feed_in_batches(reference, &replica, 0, len, batch);
    replica
}

fn feed_in_batches(reference: &Reference, replica: &Replica, from: usize, to: usize, batch: usize) {
    for start in (from..to).step_by(batch) {
        reference.feed(replica, start, to.min(start + batch));
    }
}

/// Opens what a crash has left, says where it stands, and gives it the whole log once more.
fn recover(reference: &Reference, home: &Path, batch: usize) -> usize {
    let replica = Replica::open(home).expect("opens");
    let reached = reference.check(&replica);
    assert!(reached.is_multiple_of(batch) || reached == reference.len(), "half a batch: {reached}");
    feed_in_batches(reference, &replica, 0, reference.len(), 64);
    assert_eq!(reference.check(&replica), reference.len());
    reached
}

/// The state directories of a replica.
fn states(home: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(home)
        .expect("lists")
        .map(|entry| entry.expect("lists").file_name().into_string().expect("is text"))
        .filter(|name| name.starts_with("state."))
        .collect();
    names.sort();
    names
}

#[test]
fn a_crash_while_writing_leaves_an_earlier_mark() {
    const BATCH: usize = 3;
    let reference = Reference::of_length(600);
    let root = directory();
    let home = root.path().join("home");
    let replica = Replica::open(&home).expect("opens");
    let mut copies = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| feed_in_batches(&reference, &replica, 0, reference.len(), BATCH));
        for number in 0..8u64 {
            wait_until("a part of the log", || replica.revision().index >= number * 70);
            let copy = root.path().join(format!("copy-{number}"));
            copy_directory(&home, &copy);
            copies.push((number * 70, copy));
        }
    });
    for (at_least, copy) in copies {
        let reached = recover(&reference, &copy, BATCH);
        assert!(reached as u64 >= at_least, "{reached} after {at_least} were applied");
    }
}

/// A machine that crashes loses the end of what was not synced, wherever that began.
#[test]
fn a_log_that_is_cut_anywhere_leaves_an_earlier_mark() {
    const BATCH: usize = 5;
    const CUTS: u64 = 12;
    let reference = Reference::of_length(150);
    let root = directory();
    let home = root.path().join("home");
    // Part of it in a table file, part of it in the log of the database alone.
    let replica = replica_with(&reference, &home, 50, BATCH);
    replica.checkpoint(&root.path().join("checkpoint")).expect("writes a checkpoint");
    feed_in_batches(&reference, &replica, 50, reference.len(), BATCH);
    let mut reached = Vec::new();
    for cut in 0..=CUTS {
        let copy = root.path().join(format!("copy-{cut}"));
        copy_directory(&home, &copy);
        let log = newest_log(&copy.join("state.000001"));
        let file = fs::OpenOptions::new().write(true).open(&log).expect("opens");
        let len = file.metadata().expect("reads").len();
        file.set_len(len * cut / CUTS).expect("cuts");
        reached.push(recover(&reference, &copy, BATCH));
    }
    assert!(reached.is_sorted());
    assert_eq!(reached.last(), Some(&reference.len()));
    assert_eq!(reached.first(), Some(&50), "what is in table files stays");
}

fn newest_log(state: &Path) -> PathBuf {
    let files = fs::read_dir(state).expect("lists").map(|entry| entry.expect("lists").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().expect("there is one")
}

/// A crash in the middle of an install: the new state is there, half or whole, and does not count.
#[test]
fn a_half_made_state_is_swept_away() {
    let reference = Reference::of_length(60);
    let root = directory();
    let home = root.path().join("home");
    let whole = replica_with(&reference, &root.path().join("other"), 60, 10);
    let checkpoint = root.path().join("checkpoint");
    whole.checkpoint(&checkpoint).expect("writes a checkpoint");
    drop(replica_with(&reference, &home, 20, 10));

    copy_directory(&checkpoint, &home.join("state.000002"));
    fs::create_dir(home.join("state.000003")).expect("creates");
    fs::write(home.join("state.000003/000009.sst"), b"half").expect("writes");
    fs::write(home.join("CURRENT.tmp"), b"2").expect("writes");
    fs::create_dir(home.join("lost+found")).expect("creates");

    let replica = Replica::open(&home).expect("opens");
    assert_eq!(reference.check(&replica), 20);
    assert_eq!(states(&home), ["state.000001"]);
    assert!(!home.join("CURRENT.tmp").exists());
    assert!(home.join("lost+found").exists(), "not ours");

    replica.install(&checkpoint).expect("installs");
    assert_eq!(reference.check(&replica), 60);
}

/// A crash at the end of an install: the pointer names the new state, and the old one is still there.
#[test]
fn a_state_that_took_over_stays() {
    let reference = Reference::of_length(60);
    let root = directory();
    let home = root.path().join("home");
    let checkpoint = root.path().join("checkpoint");
    replica_with(&reference, &root.path().join("other"), 60, 10).checkpoint(&checkpoint).expect("writes a checkpoint");
    let replica = replica_with(&reference, &home, 20, 10);
    let before = root.path().join("before");
    copy_directory(&home, &before);
    replica.install(&checkpoint).expect("installs");
    drop(replica);
    assert_eq!(states(&home), ["state.000002"]);
    copy_directory(&before.join("state.000001"), &home.join("state.000001"));

    let replica = Replica::open(&home).expect("opens");
    assert_eq!(reference.check(&replica), 60);
    assert_eq!(states(&home), ["state.000002"]);
}

/// A state whose pointer somebody has lost, or damaged, is not taken for a leftover.
#[test]
fn a_state_without_a_pointer_is_kept() {
    let reference = Reference::of_length(30);
    let root = directory();
    let home = root.path().join("home");
    drop(replica_with(&reference, &home, 30, 10));
    let pointer = fs::read(home.join("CURRENT")).expect("reads");
    fs::remove_file(home.join("CURRENT")).expect("removes");
    assert!(Replica::open(&home).is_err());
    fs::write(home.join("CURRENT"), b"?").expect("writes");
    assert!(Replica::open(&home).is_err());
    fs::write(home.join("CURRENT"), b"2").expect("writes");
    assert!(Replica::open(&home).is_err(), "a state that was installed is not made anew");
    fs::write(home.join("CURRENT"), pointer).expect("writes");
    assert_eq!(reference.check(&Replica::open(&home).expect("opens")), 30);
}

/// What cannot be opened does not become the state, now or after a restart.
#[test]
fn a_broken_checkpoint_is_refused() {
    let reference = Reference::of_length(60);
    let root = directory();
    let home = root.path().join("home");
    let good = root.path().join("good");
    replica_with(&reference, &root.path().join("other"), 60, 10).checkpoint(&good).expect("writes a checkpoint");
    let mut replica = replica_with(&reference, &home, 20, 10);

    for breakage in ["is empty", "CURRENT", "MANIFEST", ".sst"] {
        let broken = root.path().join(breakage);
        copy_directory(&good, &broken);
        for entry in fs::read_dir(&broken).expect("lists") {
            let path = entry.expect("lists").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("is text");
            if breakage == "is empty" || name.contains(breakage) {
                fs::remove_file(&path).expect("removes");
            }
        }
        assert!(replica.install(&broken).is_err(), "{breakage}");
        assert_eq!(reference.check(&replica), 20, "{breakage}");
        reference.feed(&replica, 20, 20);
        drop(replica);
        replica = Replica::open(&home).expect("opens");
        assert_eq!(reference.check(&replica), 20, "{breakage}, after a restart");
        assert_eq!(states(&home), ["state.000001"], "{breakage}");
    }
    assert!(replica.install(&root.path().join("nowhere")).is_err());
    replica.install(&good).expect("installs");
    assert_eq!(reference.check(&replica), 60);
}

/// Somebody who opens the same directory by mistake does no harm.
#[test]
fn a_second_process_takes_nothing_away() {
    let reference = Reference::of_length(30);
    let root = directory();
    let home = root.path().join("home");
    let replica = replica_with(&reference, &home, 30, 10);
    // As if an install were under way.
    fs::create_dir(home.join("state.000002")).expect("creates");
    assert!(Replica::open(&home).is_err());
    assert_eq!(states(&home), ["state.000001", "state.000002"]);
    assert_eq!(reference.check(&replica), 30);
}

/// A checkpoint that is taken while entries are applied is the state of one mark, and its own directory stays as it is when it is
/// installed and written to.
#[test]
fn a_checkpoint_is_one_mark() {
    let reference = Reference::of_length(600);
    let root = directory();
    let replica = Replica::open(&root.path().join("home")).expect("opens");
    let mut checkpoints = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| feed_in_batches(&reference, &replica, 0, reference.len(), 2));
        for number in 0..5u64 {
            wait_until("a part of the log", || replica.revision().index >= number * 100);
            let checkpoint = root.path().join(format!("checkpoint-{number}"));
            replica.checkpoint(&checkpoint).expect("writes a checkpoint");
            checkpoints.push(checkpoint);
        }
    });
    for (checkpoint, number) in checkpoints.iter().zip(0..) {
        let other = Replica::open(&root.path().join(format!("other-{number}"))).expect("opens");
        other.install(checkpoint).expect("installs");
        let reached = reference.check(&other);
        assert!(reached >= number * 100);
        assert_eq!(Replica::mark_of_checkpoint(checkpoint).expect("reads"), (reached > 0).then(|| mark(reached)));
        feed_in_batches(&reference, &other, reached, reference.len(), 50);
        assert_eq!(reference.check(&other), reference.len());
        let once_more = Replica::open(&root.path().join(format!("once-more-{number}"))).expect("opens");
        once_more.install(checkpoint).expect("installs");
        assert_eq!(reference.check(&once_more), reached, "the checkpoint changed");
    }
}
