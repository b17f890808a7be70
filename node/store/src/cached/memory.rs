//! The memory tier: entries by weight, the least useful out first.
//!
//! The pattern is that of the slices of blobs ([`crate::memory`]), with moka's synchronous face: `put` and `in_memory` are no futures. Moka
//! admits by frequency (TinyLFU), so that a scan does not drive out what is asked for often; what it does not admit is still found in the queue to
//! the disk, and then on the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use super::entry::{Entry, EntryKey};

/// Entries in memory.
pub(super) struct MemoryTier {
    entries: Cache<EntryKey, Entry>,
    /// Bytes that came since evictions were made.
    unsettled: AtomicU64,
    settle_bytes: u64,
}

impl MemoryTier {
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let weigh = |_: &EntryKey, entry: &Entry| u32::try_from(entry.cost()).unwrap_or(u32::MAX);
        let entries = Cache::builder().max_capacity(capacity_bytes).weigher(weigh).build();
        Self { entries, unsettled: AtomicU64::new(0), settle_bytes: SETTLE_BYTES.min(capacity_bytes / SETTLE_PART) }
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<Entry> {
        self.entries.get(key)
    }

    /// Whether there is one, which does not count as a use of it.
    pub(super) fn has(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn insert(&self, key: EntryKey, entry: Entry) {
        let bytes = entry.cost();
        self.entries.insert(key, entry);
        // Moka evicts in batches of dozens of writes. With slices of 1 MiB that would be as many MiB above the limit, so it is made to after
        // each; and after so many small ones that they are as much, which share its cost.
        if self.unsettled.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.settle_bytes {
            self.unsettled.store(0, Ordering::Relaxed);
            self.entries.run_pending_tasks();
        }
    }

    pub(super) fn remove(&self, key: &EntryKey) {
        self.entries.invalidate(key);
    }

    /// Entries held, and what they take in bytes.
    pub(super) fn held(&self) -> (u64, u64) {
        // What waits to be settled is not in moka's figures.
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

/// The most bytes that may be above the limit for a moment: so many, or this part of the limit if that is less.
const SETTLE_BYTES: u64 = 1 << 20;
const SETTLE_PART: u64 = 32;
