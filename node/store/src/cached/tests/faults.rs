//! A disk that is full, cannot be read, or lies: the cache goes on without it, counts, and comes back.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::cached::shared::{Parts, State};
use crate::error::StoreError;

impl Cached {
    fn parts(&self) -> &Parts {
        self.shared().parts().unwrap()
    }

    fn set_full(&self, full: bool) {
        self.parts().segments.faults.full.store(full, Relaxed);
    }

    fn set_broken(&self, broken: bool) {
        self.parts().index.broken.store(broken, Relaxed);
    }
}

#[tokio::test]
async fn a_full_disk_costs_what_comes_meanwhile_its_place_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &CachedSettings { memory_bytes: 8 << 20, ..small() });
    cached.put(key(0), entry(0, 1, 500));
    settle(&cached).await;
    cached.set_full(true);
    for n in 1..100 {
        cached.put(key(n), entry(n, 1, 500));
        assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 1, 500)), "served from memory");
    }
    settle(&cached).await;
    let figures = cached.figures();
    assert_eq!(figures.dropped_writes, 99);
    assert!(figures.write_errors > 0);
    // The oldest segment made room.
    assert_eq!(figures.disk_bytes, 0, "{figures:?}");
    cached.remove(&key(1)).await.unwrap();
    cached.set_full(false);
    let mut version = 1;
    while cached.figures().disk_entries == 0 {
        version += 1;
        cached.put(key(5), entry(5, version, 500));
        settle(&cached).await;
    }
    cached.close().await;
    let cached = open(dir.path(), &small());
    assert_eq!(cached.get(&key(5)).await.unwrap(), Some(entry(5, version, 500)));
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_a_miss_and_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &disk_only());
    for n in 0..3 {
        cached.put(key(n), entry(n, 1, 500));
    }
    settle(&cached).await;
    cached.parts().segments.faults.unreadable.store(true, Relaxed);
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    cached.parts().segments.faults.unreadable.store(false, Relaxed);
    until("it is dropped", || cached.figures().disk_entries == 2).await;
    assert_eq!(cached.figures().damaged, 1);
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    assert_eq!(cached.get(&key(2)).await.unwrap(), Some(entry(2, 1, 500)));
    cached.put(key(1), entry(1, 2, 500));
    settle(&cached).await;
    assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 2, 500)));
}

#[tokio::test]
async fn an_index_that_cannot_be_written_for_a_moment_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &small());
    for n in 0..3 {
        cached.put(key(n), entry(n, 1, 500));
    }
    settle(&cached).await;
    cached.set_broken(true);
    assert!(matches!(cached.remove(&key(1)).await, Err(StoreError::NotStruck)));
    assert_eq!(cached.get(&key(1)).await.unwrap(), None, "removed here, whatever the disk says");
    cached.put(key(2), entry(2, 2, 500));
    assert_eq!(cached.in_memory(&key(2)), None, "not before the old one is struck out");
    cached.set_broken(false);
    until("the index works", || cached.shared().state() == State::On).await;
    settle(&cached).await;
    assert_eq!(cached.figures().given_up, 0);
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    let second = cached.get(&key(2)).await.unwrap();
    assert!(second.is_none_or(|found| found.fill == 2));
    assert_eq!(cached.get(&key(0)).await.unwrap(), Some(entry(0, 1, 500)));
    cached.close().await;
    let cached = open(dir.path(), &small());
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    assert!(cached.get(&key(2)).await.unwrap().is_none_or(|found| found.fill == 2));
    assert_eq!(cached.get(&key(0)).await.unwrap(), Some(entry(0, 1, 500)));
}

/// That there is nothing of a key is remembered of the index as it seemed to be. What it has beyond that once it was opened anew, a removal
/// strikes out all the same, whether it comes before that or after.
#[tokio::test]
async fn what_an_index_turns_out_to_have_is_struck_out_as_well() {
    for comes_before in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let cached = open(dir.path(), &small());
        for n in 0..2 {
            cached.put(key(n), entry(n, 1, 500));
        }
        settle(&cached).await;
        let index = &cached.parts().index;
        let place = index.get(&key(0)).unwrap().unwrap();
        cached.remove(&key(0)).await.unwrap();
        assert_eq!(cached.get(&key(0)).await.unwrap(), None, "which is remembered");
        cached.set_broken(true);
        assert!(matches!(cached.remove(&key(1)).await, Err(StoreError::NotStruck)));
        until("it is known of the index", || cached.shared().state() == State::Failing).await;
        let removal = async {
            if comes_before {
                cached.remove(&key(0)).await.unwrap();
            }
        };
        let mending = async {
            tokio::task::yield_now().await;
            index.bring_back(&key(0), &place).unwrap();
            cached.set_broken(false);
        };
        tokio::join!(removal, mending);
        until("the index works", || cached.shared().state() == State::On).await;
        if !comes_before {
            cached.remove(&key(0)).await.unwrap();
        }
        until("it is struck out", || index.get(&key(0)).unwrap().is_none()).await;
        cached.close().await;
        drop(cached);
        assert_eq!(open(dir.path(), &small()).get(&key(0)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_index_that_stays_broken_costs_the_disk_tier_and_memory_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &small());
    for n in 0..3 {
        cached.put(key(n), entry(n, 1, 500));
    }
    settle(&cached).await;
    cached.set_broken(true);
    let _ = cached.remove(&key(1)).await;
    until("the tier is given up", || cached.figures().given_up == 1).await;
    until("memory works alone", || cached.shared().state() == State::Off).await;
    assert_eq!(segments(dir.path()), Vec::<PathBuf>::new());
    cached.put(key(2), entry(2, 2, 500));
    assert_eq!(cached.get(&key(2)).await.unwrap(), Some(entry(2, 2, 500)));
    cached.remove(&key(0)).await.unwrap();
    cached.set_broken(false);
    until("the disk is tried again", || cached.shared().state() == State::On).await;
    assert_eq!(cached.figures().disk_entries, 0);
    cached.put(key(2), entry(2, 3, 500));
    cached.close().await;
    let cached = open(dir.path(), &small());
    assert_eq!(cached.get(&key(2)).await.unwrap(), Some(entry(2, 3, 500)));
    for n in 0..2 {
        assert_eq!(cached.get(&key(n)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn more_strikes_than_can_be_remembered_cost_the_disk_tier() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &small());
    cached.put(key(0), entry(0, 1, 500));
    settle(&cached).await;
    cached.set_broken(true);
    let _ = cached.remove(&key(0)).await;
    for n in 0..70_000 {
        cached.put(key(n), entry(n, 2, 10));
        assert!(cached.in_memory(&key(0)).is_none_or(|found| found.fill == 2));
    }
    until("the tier is given up", || cached.figures().given_up > 0).await;
    until("memory works alone", || cached.shared().state() == State::Off).await;
    cached.put(key(0), entry(0, 3, 500));
    assert_eq!(cached.get(&key(0)).await.unwrap(), Some(entry(0, 3, 500)));
    until("nothing waits for the disk any more", || cached.figures().queued_bytes == 0).await;
    until("the segments are gone", || segments(dir.path()).is_empty()).await;
}

#[tokio::test]
async fn a_damaged_index_is_thrown_away_and_its_segments_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &small());
    cached.put(key(0), entry(0, 1, 500));
    cached.close().await;
    drop(cached);
    for file in std::fs::read_dir(dir.path().join("index")).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("MANIFEST") {
            std::fs::write(file.path(), vec![0xa5; 4096]).unwrap();
        }
    }
    let cached = open(dir.path(), &small());
    assert_eq!(segments(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(cached.get(&key(0)).await.unwrap(), None);
    cached.put(key(0), entry(0, 2, 500));
    cached.close().await;
    let cached = open(dir.path(), &small());
    assert_eq!(cached.get(&key(0)).await.unwrap(), Some(entry(0, 2, 500)));
}

#[tokio::test]
async fn what_a_damaged_header_hides_leaves_the_index_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &disk_only());
    for n in 0..200 {
        cached.put(key(n), entry(n, 1, 1000));
    }
    cached.close().await;
    let first = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[4..8].copy_from_slice(&[0xff; 4]);
    std::fs::write(&first, bytes).unwrap();

    let cached = open(dir.path(), &disk_only());
    for n in 1_000..5_000 {
        cached.put(key(n), entry(n, 1, 1000));
        if n % 100 == 0 {
            settle(&cached).await;
        }
    }
    let held = || cached.figures().disk_bytes / 1036;
    until("the index names nothing that is gone", || cached.figures().disk_entries <= held()).await;
}

#[tokio::test]
async fn a_torn_tail_costs_its_own_entries_only() {
    let torn: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(bytes.len() - 1000),
        |bytes| bytes.truncate(bytes.len() - 1036),
        |bytes| {
            let len = bytes.len();
            bytes[len - 500..].fill(0);
        },
    ];
    for (at, tear) in torn.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let cached = open(dir.path(), &disk_only());
        for n in 0..20 {
            cached.put(key(n), entry(n, 1, 1000));
        }
        cached.close().await;
        let last = segments(dir.path()).pop().unwrap();
        let mut bytes = std::fs::read(&last).unwrap();
        tear(&mut bytes);
        std::fs::write(&last, bytes).unwrap();

        let cached = open(dir.path(), &disk_only());
        let mut lost = 0;
        for n in 0..20 {
            match cached.get(&key(n)).await.unwrap() {
                Some(found) => assert_eq!(found, entry(n, 1, 1000)),
                None => lost += 1,
            }
        }
        assert_eq!((lost, cached.figures().damaged), (1, 1), "tear {at}");
        cached.put(key(30), entry(30, 1, 1000));
        settle(&cached).await;
        assert_eq!(cached.get(&key(30)).await.unwrap(), Some(entry(30, 1, 1000)));
    }
}
