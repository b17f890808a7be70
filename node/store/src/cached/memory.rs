//! The memory tier: entries by weight, the least useful out first.
//!
//! The pattern is that of the slices of blobs ([`crate::memory`]), with moka's synchronous face: `put` and `in_memory` are no futures. Moka
//! admits by frequency (TinyLFU), so that a scan does not drive out what is asked for often; what it does not admit is still found in the queue to
//! the disk, and then on the disk.

use moka::sync::Cache;

use super::entry::{Entry, EntryKey};

/// Entries in memory.
pub(super) struct MemoryTier {
    entries: Cache<EntryKey, Entry>,
}

impl MemoryTier {
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let weigh = |_: &EntryKey, entry: &Entry| u32::try_from(entry.cost()).unwrap_or(u32::MAX);
        Self { entries: Cache::builder().max_capacity(capacity_bytes).weigher(weigh).build() }
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<Entry> {
        self.entries.get(key)
    }

    /// Whether there is one, which does not count as a use of it.
    pub(super) fn has(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn insert(&self, key: EntryKey, entry: Entry) {
        self.entries.insert(key, entry);
        // Moka evicts in batches of dozens of writes. With slices of 1 MiB that would be as many MiB above the limit, so each write is
        // settled at once.
        self.entries.run_pending_tasks();
    }

    pub(super) fn remove(&self, key: &EntryKey) {
        self.entries.invalidate(key);
    }

    /// Entries held, and what they take in bytes.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}
