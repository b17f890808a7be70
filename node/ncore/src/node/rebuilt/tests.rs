//! The power fails before each step, and once more while the next start repairs it.

use std::{fs, io, path::Path};

use tempfile::TempDir;

use super::{BUILDING, BUILT, begin, finish, finish_stepwise, take_over, take_over_stepwise};

const PARTS: [&str; 2] = ["raft", "state"];

/// A node with an old log and state, and new ones that were built.
fn built() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    for part in PARTS {
        write(&dir.path().join(part), "old");
    }
    write(&dir.path().join("blobs"), "content");
    let building = begin(dir.path()).expect("begins");
    for part in PARTS {
        write(&building.join(part), "new");
    }
    dir
}

fn write(dir: &Path, text: &str) {
    fs::create_dir(dir).expect("a directory");
    fs::write(dir.join("file"), text).expect("written");
}

fn read(dir: &Path) -> String {
    fs::read_to_string(dir.join("file")).expect("reads")
}

/// Lets `steps` steps happen.
fn after(mut steps: usize) -> impl FnMut() -> io::Result<()> {
    move || {
        steps = steps.checked_sub(1).ok_or_else(|| io::Error::other("the power failed"))?;
        Ok(())
    }
}

/// What the node is: the old one, or the new one with the old one kept; never a mixture.
fn is_new(dir: &Path) -> bool {
    let parts = PARTS.map(|part| read(&dir.join(part)));
    assert_eq!(parts[0], parts[1], "half of each");
    assert_eq!(read(&dir.join("blobs")), "content");
    assert!(!dir.join(BUILDING).exists() && !dir.join(BUILT).exists(), "something is left over");
    let is_new = parts[0] == "new";
    for part in PARTS {
        let kept = dir.join("replaced").join(part);
        assert_eq!(kept.exists(), is_new);
        assert!(!is_new || read(&kept) == "old");
    }
    is_new
}

#[test]
fn a_crash_before_any_step_leaves_the_old_node_or_the_new_one() {
    let (mut old, mut new) = (0, 0);
    for steps in 0.. {
        let dir = built();
        if take_over_stepwise(dir.path(), "replaced", &mut after(steps)).is_ok() {
            assert!(is_new(dir.path()));
            break;
        }
        finish(dir.path()).expect("repairs");
        if is_new(dir.path()) { new += 1 } else { old += 1 }
    }
    assert_eq!((old, new), (2, 8), "each step was reached, and decided by the rename alone");
}

#[test]
fn a_crash_of_the_repair_is_repaired() {
    for steps in 2.. {
        let mut repairs = 0;
        for again in 0.. {
            let dir = built();
            if take_over_stepwise(dir.path(), "replaced", &mut after(steps)).is_ok() {
                return;
            }
            let repaired = finish_stepwise(dir.path(), &mut after(again)).is_ok();
            finish(dir.path()).expect("repairs");
            assert!(is_new(dir.path()));
            if repaired {
                break;
            }
            repairs += 1;
        }
        assert!(repairs <= 10);
    }
}

#[test]
fn what_is_kept_from_an_earlier_time_stays() {
    let dir = built();
    assert_eq!(take_over(dir.path(), "replaced").expect("takes over"), dir.path().join("replaced"));
    let building = begin(dir.path()).expect("begins");
    write(&building.join("raft"), "newer");
    assert_eq!(take_over(dir.path(), "replaced").expect("takes over"), dir.path().join("replaced-2"));
    assert_eq!((read(&dir.path().join("raft")), read(&dir.path().join("replaced-2/raft"))), ("newer".to_owned(), "new".to_owned()));
    assert_eq!(read(&dir.path().join("replaced/raft")), "old");
}

/// A restore has no old node to keep.
#[test]
fn on_an_empty_directory_there_is_nothing_to_keep() {
    let dir = TempDir::new().expect("a directory");
    write(&begin(dir.path()).expect("begins").join("state"), "new");
    take_over(dir.path(), "replaced").expect("takes over");
    assert_eq!(read(&dir.path().join("state")), "new");
}
