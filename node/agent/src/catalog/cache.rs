//! Rendered assets in memory, by path: bounded in bytes, and never older than an announced change.
//!
//! # The race that generations are for
//!
//! ```text
//!   lookup                                  change
//!   misses, notes the generation g
//!   reads the old row
//!                                           row is written; invalidate: generation g + 1
//!                                           revision is announced
//!   insert under g: refused
//! ```
//!
//! Without the last step the old row would stand in the cache after its successor was announced, for good. An insert that is
//! refused without need (the new row was read, or another path of the shard changed) costs one more read.
//!
//! # Eviction
//! Each shard has two maps. Entries go into the young one; when it is full, it becomes the old one, and what the old one had goes.
//! An entry of the old one that is asked for moves to the young one. So what is asked for stays, at the price of two pointers.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use ncore_cache::content_coding::Coding;
use ncore_serving::AssetEntry;
use parking_lot::{RwLock, RwLockUpgradableReadGuard};

/// Entries by path.
pub(crate) struct EntryCache {
    hasher: RandomState,
    shards: Vec<RwLock<Shard>>,
    half_bytes: usize,
}

/// What a lookup found.
pub(crate) enum Cached {
    /// The entry.
    Entry(Arc<AssetEntry>),
    /// Nothing. The ticket allows to insert what is read from now on.
    Miss(Ticket),
}

/// The moment of a miss.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
}

#[derive(Default)]
struct Shard {
    /// Rises with each change of a path of this shard.
    generation: u64,
    young: Half,
    old: Half,
}

#[derive(Default)]
struct Half {
    entries: HashMap<Box<str>, Arc<AssetEntry>>,
    bytes: usize,
}

/// Locks that lookups share out among themselves.
const SHARDS: usize = 64;
/// What an entry takes beside its texts: rendered headers, maps, pointers. Measured roughly and rounded up.
const ENTRY_BYTES: usize = 1_024;

impl EntryCache {
    /// A cache of up to `capacity_bytes`.
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            half_bytes: capacity_bytes / SHARDS / 2,
        }
    }

    /// The entry of `path`, or leave to insert one.
    pub(crate) fn get(&self, path: &str) -> Cached {
        let shard = self.shard(path).upgradable_read();
        if let Some(entry) = shard.young.entries.get(path) {
            return Cached::Entry(Arc::clone(entry));
        }
        if !shard.old.entries.contains_key(path) {
            return Cached::Miss(Ticket { generation: shard.generation });
        }
        let mut shard = RwLockUpgradableReadGuard::upgrade(shard);
        match shard.old.take(path) {
            Some((path, entry)) => {
                shard.put(path, Arc::clone(&entry), self.half_bytes);
                Cached::Entry(entry)
            }
            None => Cached::Miss(Ticket { generation: shard.generation }),
        }
    }

    /// Keeps what was read for `path` since `ticket`, unless something has changed since.
    pub(crate) fn insert(&self, path: &str, ticket: Ticket, entry: Arc<AssetEntry>) {
        let mut shard = self.shard(path).write();
        if shard.generation == ticket.generation {
            shard.put(path.into(), entry, self.half_bytes);
        }
    }

    /// The row of `path` has changed.
    pub(crate) fn invalidate(&self, path: &str) {
        let mut shard = self.shard(path).write();
        shard.generation += 1;
        shard.young.take(path);
        shard.old.take(path);
    }

    /// Every row may have changed.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            *shard = Shard { generation: shard.generation + 1, ..Shard::default() };
        }
    }

    /// Bytes that the entries take, roughly.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.read()).map(|shard| shard.young.bytes + shard.old.bytes).sum()
    }

    fn shard(&self, path: &str) -> &RwLock<Shard> {
        let hash = self.hasher.hash_one(path);
        // The modulus is below 64, so nothing is cut off.
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }
}

impl Shard {
    fn put(&mut self, path: Box<str>, entry: Arc<AssetEntry>, half_bytes: usize) {
        let weight = weight(&path, &entry);
        if weight > half_bytes {
            return;
        }
        self.old.take(&path);
        self.young.take(&path);
        if self.young.bytes + weight > half_bytes {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += weight;
        self.young.entries.insert(path, entry);
    }
}

impl Half {
    fn take(&mut self, path: &str) -> Option<(Box<str>, Arc<AssetEntry>)> {
        let (path, entry) = self.entries.remove_entry(path)?;
        self.bytes -= weight(&path, &entry);
        Some((path, entry))
    }
}

fn weight(path: &str, entry: &AssetEntry) -> usize {
    let facts = entry.facts();
    // One that may have variants keeps up to three entries more.
    let entries = if entry.is_codable() { 1 + Coding::ALL.len() } else { 1 };
    entries * ENTRY_BYTES + 2 * path.len() + 2 * facts.mime.len() + facts.id.len() + facts.client.len()
}

#[cfg(test)]
mod tests {
    use ncore_serving::{AssetFacts, BlobHash};

    use super::*;

    fn entry(path: &str, ttl: u32) -> Arc<AssetEntry> {
        Arc::new(AssetEntry::new(AssetFacts {
            id: "as_0".to_owned(),
            path: path.to_owned(),
            client: "cl_0".to_owned(),
            readers: ncore_serving::Readers::All,
            blob: BlobHash([0; 32]),
            size: 1,
            sha256: [0; 32],
            mime: "text/plain".to_owned(),
            cache_ttl_s: ttl,
            modified_at_s: 0,
            revision: (1, 1),
        }))
    }

    fn miss(cache: &EntryCache, path: &str) -> Ticket {
        match cache.get(path) {
            Cached::Miss(ticket) => ticket,
            Cached::Entry(_) => panic!("{path} is there"),
        }
    }

    fn is_there(cache: &EntryCache, path: &str) -> bool {
        matches!(cache.get(path), Cached::Entry(_))
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cache = EntryCache::new(1 << 20);
        let before = miss(&cache, "a");
        cache.invalidate("a");
        cache.insert("a", before, entry("a", 1));
        assert!(!is_there(&cache, "a"));

        let before = miss(&cache, "a");
        cache.clear();
        cache.insert("a", before, entry("a", 1));
        assert!(!is_there(&cache, "a"));

        let now = miss(&cache, "a");
        cache.insert("a", now, entry("a", 1));
        assert!(is_there(&cache, "a"));
        cache.invalidate("a");
        assert!(!is_there(&cache, "a"));
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn it_keeps_what_is_asked_for_within_its_bytes() {
        let capacity = 4 << 20;
        let cache = EntryCache::new(capacity);
        for number in 0..20_000 {
            let path = format!("path/{number}");
            let ticket = miss(&cache, &path);
            cache.insert(&path, ticket, entry(&path, number));
            if let Cached::Miss(ticket) = cache.get("hot") {
                assert_eq!(number, 0, "the hot one was evicted");
                cache.insert("hot", ticket, entry("hot", 0));
            }
            assert!(cache.bytes() <= capacity);
        }
        assert!(cache.bytes() > capacity / 4, "it is used");
        cache.clear();
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn no_memory_keeps_nothing() {
        let cache = EntryCache::new(0);
        let ticket = miss(&cache, "a");
        cache.insert("a", ticket, entry("a", 1));
        assert!(!is_there(&cache, "a"));
    }
}
