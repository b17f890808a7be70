//! Memory, disk and queue stay within their bounds, and what eviction writes again does too.

use super::*;

#[tokio::test]
async fn the_disk_stays_within_its_bound_and_keeps_what_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let settings = disk_only();
    let cached = open(dir.path(), &settings);
    for n in 0..6_000 {
        cached.put(key(n), entry(n, 1, 1000));
        if n % 100 == 0 {
            settle(&cached).await;
            let used = bytes_on_disk(dir.path());
            assert!(used <= settings.disk_bytes, "{used} bytes after {n} entries");
        }
    }
    settle(&cached).await;
    let figures = cached.figures();
    assert_eq!(figures.disk_bytes, bytes_on_disk(dir.path()));
    assert_eq!(figures.disk_entries + figures.evicted, 6_000);
    assert!(figures.disk_entries >= 1_500, "{figures:?}");
    assert_eq!(figures.dropped_writes, 0);
    // The newest are there: nothing else was asked for.
    for n in 5_000..6_000 {
        assert_eq!(cached.get(&key(n)).await.unwrap(), Some(entry(n, 1, 1000)), "{n}");
    }
}

#[tokio::test]
async fn a_store_that_was_larger_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let large = CachedSettings { disk_bytes: 8 << 20, ..disk_only() };
    let cached = open(dir.path(), &large);
    for n in 0..5_000 {
        cached.put(key(n), entry(n, 1, 1000));
        if n % 500 == 0 {
            settle(&cached).await;
        }
    }
    cached.close().await;
    let before = bytes_on_disk(dir.path());
    let cached = open(dir.path(), &disk_only());
    until("it has shrunk", || bytes_on_disk(dir.path()) <= disk_only().disk_bytes).await;
    assert!(before > disk_only().disk_bytes && cached.figures().disk_entries > 0);
}

#[tokio::test]
async fn a_hot_set_is_not_written_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &disk_only());
    for n in 0..8_000_u64 {
        cached.put(key(n), entry(n, 1, 1000));
        // Everything is asked for as it comes: the worst case, since all of it is worth keeping.
        settle(&cached).await;
        cached.get(&key(n)).await.unwrap();
        cached.get(&key(n / 2)).await.unwrap();
    }
    let figures = cached.figures();
    let amplification = figures.written_bytes as f64 / (figures.written_bytes - figures.rewritten_bytes) as f64;
    assert!(amplification < 3.0, "each byte was written {amplification} times: {figures:?}");
    assert!(figures.rewritten_bytes > 0, "nothing was kept");
}

#[tokio::test]
async fn what_finds_the_queue_full_stays_in_memory_only() {
    let dir = tempfile::tempdir().unwrap();
    let settings = CachedSettings { memory_bytes: 32 << 20, queue_bytes: 40_000, ..small() };
    let cached = open(dir.path(), &settings);
    for n in 0..500 {
        cached.put(key(n), entry(n, 1, 10_000));
        assert!(cached.figures().queued_bytes <= 40_000);
        assert_eq!(cached.in_memory(&key(n)), Some(entry(n, 1, 10_000)));
    }
    settle(&cached).await;
    let figures = cached.figures();
    assert!(figures.dropped_writes > 0, "{figures:?}");
    assert_eq!(figures.disk_entries + figures.evicted + figures.dropped_writes, 500);
}

#[tokio::test]
async fn memory_stays_within_its_bound_with_its_overhead() {
    let dir = tempfile::tempdir().unwrap();
    let settings = CachedSettings { memory_bytes: 1 << 20, ..small() };
    let cached = open(dir.path(), &settings);
    for len in [0, 100, 10_000, 300_000] {
        for n in 0..5_000_u64.min(40_000_000 / (len + 1)) {
            cached.put(key(n), entry(n, 1, usize::try_from(len).unwrap()));
            assert!(cached.figures().memory_bytes <= settings.memory_bytes);
        }
    }
}
