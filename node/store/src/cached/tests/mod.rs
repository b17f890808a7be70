//! What the store promises, one file a promise.

mod basics;
mod bounds;
mod faults;
mod hands;
mod kill;
mod model;
mod newest;
mod pages;
mod scan;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Cached, CachedSettings, Entry, EntryKey};

/// A store that is small enough to evict, with one lookup out of memory now and then.
fn small() -> CachedSettings {
    CachedSettings { memory_bytes: 64 << 10, disk_bytes: 2 << 20, queue_bytes: 1 << 20, readers: 4 }
}

/// Without a memory tier worth the name.
fn disk_only() -> CachedSettings {
    CachedSettings { memory_bytes: 0, ..small() }
}

fn open(dir: &Path, settings: &CachedSettings) -> Cached {
    Cached::open(dir, settings.clone()).unwrap()
}

fn key(n: u64) -> EntryKey {
    EntryKey::of(&[b"key", &n.to_le_bytes()])
}

/// Bytes that tell what they are of, and since when.
fn entry(n: u64, version: u64, len: usize) -> Entry {
    let seed = blake3::hash(&[n.to_le_bytes(), version.to_le_bytes()].concat());
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    Entry { fill: version, bytes: Bytes::from(bytes) }
}

/// Waits until nothing is on its way to the disk.
async fn settle(cached: &Cached) {
    until("the queue is empty", || cached.figures().queued_bytes == 0).await;
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        // Shorter than what tokio's timers can: the thread of the disk does not need this one.
        std::thread::sleep(Duration::from_micros(20));
        tokio::task::yield_now().await;
    }
}

/// The files of segments, by name.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("segments")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn bytes_on_disk(dir: &Path) -> u64 {
    segments(dir).iter().map(|file| std::fs::metadata(file).map_or(0, |meta| meta.len())).sum()
}
