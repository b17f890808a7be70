//! What the store counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of the store. Counters are since it was opened; sizes are as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedFigures {
    /// Entries in memory.
    pub memory_entries: u64,
    /// Bytes in memory, overhead included.
    pub memory_bytes: u64,
    /// Entries that the index of the disk tier names.
    pub disk_entries: u64,
    /// Bytes of these entries, without what records and index add.
    pub disk_entry_bytes: u64,
    /// Bytes of the segments on disk, with what is dead in them.
    pub disk_bytes: u64,
    /// Bytes that wait to be written, overhead included.
    pub queued_bytes: u64,
    /// Lookups answered from memory, or from the queue to the disk.
    pub hits_memory: u64,
    /// Lookups answered from the disk.
    pub hits_disk: u64,
    /// Lookups by `get` that found nothing.
    pub misses: u64,
    /// Entries that left the disk to make room.
    pub evicted: u64,
    /// Bytes that were written to segments: what was put, and what eviction wrote again.
    pub written_bytes: u64,
    /// Bytes of these that eviction wrote again.
    pub rewritten_bytes: u64,
    /// Entries on disk that were not what had been written. They were dropped.
    pub damaged: u64,
    /// Reads that the operating system refused for a reason that says nothing about the entry.
    pub read_errors: u64,
    /// Entries that did not get to the disk: the queue was full, they were too long, or writing failed.
    pub dropped_writes: u64,
    /// Writes to segments or to the index that failed.
    pub write_errors: u64,
    /// Times that all of the disk tier was given up, because nothing could be struck out of its index for too long.
    pub given_up: u64,
}

/// The counters behind [`CachedFigures`], and the sizes that the writer publishes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits_memory: Counter,
    pub(super) hits_disk: Counter,
    pub(super) misses: Counter,
    pub(super) evicted: Counter,
    pub(super) written_bytes: Counter,
    pub(super) rewritten_bytes: Counter,
    pub(super) damaged: Counter,
    pub(super) read_errors: Counter,
    pub(super) dropped_writes: Counter,
    pub(super) write_errors: Counter,
    pub(super) given_up: Counter,
    pub(super) disk_entries: Counter,
    pub(super) disk_entry_bytes: Counter,
    pub(super) disk_bytes: Counter,
}

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn figures(&self) -> CachedFigures {
        CachedFigures {
            memory_entries: 0,
            memory_bytes: 0,
            queued_bytes: 0,
            disk_entries: self.disk_entries.value(),
            disk_entry_bytes: self.disk_entry_bytes.value(),
            disk_bytes: self.disk_bytes.value(),
            hits_memory: self.hits_memory.value(),
            hits_disk: self.hits_disk.value(),
            misses: self.misses.value(),
            evicted: self.evicted.value(),
            written_bytes: self.written_bytes.value(),
            rewritten_bytes: self.rewritten_bytes.value(),
            damaged: self.damaged.value(),
            read_errors: self.read_errors.value(),
            dropped_writes: self.dropped_writes.value(),
            write_errors: self.write_errors.value(),
            given_up: self.given_up.value(),
        }
    }
}
