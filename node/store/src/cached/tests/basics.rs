//! What was put comes back, from either tier and after a restart; what was replaced or removed does not.

use bytes::Bytes;

use super::*;
use crate::cached::{Glance, MAX_ENTRY_BYTES};

/// Lengths at the edges.
const LENGTHS: [usize; 5] = [0, 1, 1000, 65_536, 200_000];

#[tokio::test]
async fn what_was_put_comes_back_from_either_tier_and_after_a_restart() {
    for settings in [CachedSettings::default(), CachedSettings { memory_bytes: 0, ..CachedSettings::default() }] {
        let dir = tempfile::tempdir().unwrap();
        let cached = open(dir.path(), &settings);
        for (n, len) in (0..).zip(LENGTHS) {
            cached.put(key(n), entry(n, 3, len));
            assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 3, len)), "{len} bytes, at once");
        }
        settle(&cached).await;
        for (n, len) in (0..).zip(LENGTHS) {
            assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 3, len)), "{len} bytes, {settings:?}");
        }
        assert_eq!(cached.get(&key(99)).await.unwrap(), None);
        let before = cached.figures();
        assert_eq!((before.disk_entries, before.misses, before.damaged), (5, 1, 0));
        cached.close().await;

        let cached = open(dir.path(), &settings);
        let after = cached.figures();
        assert_eq!((after.disk_entries, after.disk_entry_bytes), (before.disk_entries, before.disk_entry_bytes));
        for (n, len) in (0..).zip(LENGTHS) {
            assert_eq!(cached.in_memory(&key(n)), None);
            assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 3, len)), "{len} bytes, after a restart");
        }
        assert_eq!(cached.figures().hits_disk, 5);
    }
}

#[tokio::test]
async fn an_entry_of_a_slice_and_its_description_fits_and_a_longer_one_is_in_memory_only() {
    let dir = tempfile::tempdir().unwrap();
    let settings = CachedSettings::default();
    let cached = open(dir.path(), &settings);
    cached.put(key(1), entry(1, 1, MAX_ENTRY_BYTES));
    cached.put(key(2), entry(2, 1, MAX_ENTRY_BYTES + 1));
    assert_eq!(cached.in_memory(&key(2)).unwrap().bytes.len(), MAX_ENTRY_BYTES + 1);
    cached.close().await;
    let cached = open(dir.path(), &settings);
    assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 1, MAX_ENTRY_BYTES)));
    assert_eq!(cached.get(&key(2)).await.unwrap(), None);
}

#[tokio::test]
async fn the_newest_is_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    for settings in [CachedSettings::default(), disk_only()] {
        let cached = open(dir.path(), &settings);
        for version in 0..20 {
            cached.put(key(1), entry(1, version, 500));
            if version % 3 == 0 {
                settle(&cached).await;
            }
            assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, version, 500)));
        }
        cached.close().await;
        let cached = open(dir.path(), &settings);
        assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 19, 500)));
        assert_eq!(cached.figures().disk_entries, 1);
        cached.close().await;
    }
}

#[tokio::test]
async fn a_removed_entry_is_gone_wherever_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for settings in [CachedSettings::default(), disk_only()] {
        let cached = open(dir.path(), &settings);
        // On its way to the disk, on the disk, and never there.
        cached.put(key(1), entry(1, 1, 500));
        settle(&cached).await;
        cached.put(key(2), entry(2, 1, 500));
        for n in 1..=3 {
            cached.remove(&key(n)).await.unwrap();
            assert_eq!(cached.get(&key(n)).await.unwrap(), None);
            assert_eq!(cached.in_memory(&key(n)), None);
        }
        assert_eq!(cached.figures().disk_entries, 0);
        cached.put(key(1), entry(1, 2, 500));
        cached.close().await;
        let cached = open(dir.path(), &settings);
        assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 2, 500)), "put after it was removed");
        assert_eq!(cached.get(&key(2)).await.unwrap(), None);
        cached.remove(&key(1)).await.unwrap();
        cached.close().await;
    }
}

/// A look in vain is remembered, and must not be for longer than it holds.
#[tokio::test]
async fn what_is_put_after_a_look_in_vain_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &disk_only());
    for n in 0..100 {
        for _ in 0..2 {
            assert_eq!(cached.get(&key(n)).await.unwrap(), None);
            assert_eq!(cached.glance(&key(n)), Glance::Absent);
        }
        cached.put(key(n), entry(n, 1, 500));
        settle(&cached).await;
        assert_eq!(cached.glance(&key(n)), Glance::Later, "written");
        assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 1, 500)), "written");
        cached.put(key(n), entry(n, 2, 500));
        settle(&cached).await;
        assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 2, 500)), "written over");
        cached.remove(&key(n)).await.unwrap();
        assert_eq!(cached.get(&key(n)).await.unwrap(), None);
        cached.put_new(key(n + 1_000), entry(n, 3, 500));
    }
    cached.close().await;
    let cached = open(dir.path(), &disk_only());
    assert_eq!(cached.figures().disk_entries, 100);
    for n in 0..100 {
        assert_eq!(cached.get(&key(n)).await.unwrap(), None);
        assert_eq!(cached.get(&key(n + 1_000)).await.unwrap(), Some(entry(n, 3, 500)));
    }
}

#[tokio::test]
async fn without_a_disk_tier_memory_works_alone_and_no_file_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &CachedSettings { disk_bytes: 0, ..CachedSettings::default() });
    cached.put(key(1), entry(1, 1, 500));
    cached.put(key(1), entry(1, 2, 500));
    assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 2, 500)));
    cached.remove(&key(1)).await.unwrap();
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    cached.close().await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn after_the_end_nothing_is_taken_that_a_restart_would_belie() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &small());
    cached.put(key(1), entry(1, 1, 500));
    cached.close().await;
    cached.put(key(1), entry(1, 2, 500));
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    assert!(cached.remove(&key(1)).await.is_err());
    let cached = open(dir.path(), &small());
    assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 1, 500)));
}

#[tokio::test]
async fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &small());
    cached.put(key(1), entry(1, 1, 500));
    settle(&cached).await;
    assert!(Cached::open(dir.path(), small()).is_err());
    assert_eq!(cached.get(&key(1)).await.unwrap().unwrap().bytes, entry(1, 1, 500).bytes, "the other took something away");
}

#[test]
fn keys_keep_the_parts_of_a_name_apart() {
    let names: [&[&[u8]]; 5] = [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"abc", b""], &[]];
    for (at, one) in names.iter().enumerate() {
        for other in &names[at + 1..] {
            assert_ne!(EntryKey::of(one), EntryKey::of(other));
        }
    }
    assert_eq!(Entry { fill: 1, bytes: Bytes::new() }.cost(), 256);
}
