//! What this node keeps of zones: heads by cache key, and slices by object. It stands on the store, which knows nothing of HTTP.
//!
//! Every look asks the store. What comes from its memory has, as a rule, been read before, and what was made of those bytes is at hand
//! ([`shown`](super::shown)): so a hit costs no reading, and what was removed or replaced is not found however lately it was.

use std::sync::Arc;

use bytes::Bytes;
use ncore_store::cached::{Cached, Entry, EntryKey, Glance, Tier};
use tokio::sync::Mutex;

use super::{
    key, record,
    shown::{Shown, Shows},
    variant::Variant,
};

/// All that is kept under one cache key, the newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) variants: Vec<Variant>,
}

/// How what is read goes to who has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// As it lies in memory, byte for byte.
    AsItIs,
    /// Enciphered, which makes other bytes of it.
    Sealed,
}

/// The most variants of one cache key. One more takes the place of the oldest.
const VARIANTS_MAX: usize = 16;

/// Locks for changes of heads. Two keys may share one.
const LOCKS: usize = 64;

/// Heads and slices.
pub(crate) struct Shelf {
    cached: Cached,
    shows: Shows,
    locks: [Mutex<()>; LOCKS],
}

impl Head {
    /// Adds a variant, in place of the one that is for the same requests.
    pub(crate) fn put(&mut self, variant: Variant) {
        self.variants.retain(|known| known.vary != variant.vary);
        self.variants.insert(0, variant);
        self.variants.truncate(VARIANTS_MAX);
    }
}

impl Shelf {
    pub(crate) fn new(cached: Cached) -> Self {
        Self { cached, shows: Shows::default(), locks: std::array::from_fn(|_| Mutex::new(())) }
    }

    /// What is kept under a key. What cannot be read is not there.
    pub(crate) async fn head(&self, key: &EntryKey) -> Arc<Shown> {
        match self.cached.glance(key) {
            Glance::Here(entry) => self.shows.of(key, entry.bytes),
            Glance::Absent => Arc::default(),
            // The next look finds other bytes, in memory: nothing that is made of these would be used again.
            Glance::Later => Box::pin(self.read(key)).await.map_or_else(Arc::default, |entry| Arc::new(Shown::of(entry.bytes))),
        }
    }

    /// Changes what is kept under a key, with nobody else changing it.
    pub(crate) async fn change(&self, key: EntryKey, change: impl FnOnce(&mut Head)) {
        let _alone = self.locks[key.place(LOCKS)].lock().await;
        let mut head = Head::clone(&*self.head(&key).await);
        change(&mut head);
        self.shows.forget(&key);
        let fill = head.variants.iter().map(|variant| variant.fill).max().unwrap_or_default();
        self.cached.put(key, Entry { fill, bytes: record::encode(&head.variants) });
    }

    /// Removes all that is kept under a key.
    pub(crate) async fn remove(&self, key: &EntryKey) {
        let _alone = self.locks[key.place(LOCKS)].lock().await;
        self.shows.forget(key);
        if let Err(error) = self.cached.remove(key).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what was invalidated cannot be removed from the disk");
        }
    }

    /// A slice of an object, if its fill is no older than `oldest`.
    pub(crate) async fn slice(&self, object: u128, slice: u64, oldest: u64, sent: Sent) -> Option<Bytes> {
        let key = key::slice(object, slice);
        match self.cached.glance(&key) {
            Glance::Here(entry) if entry.fill < oldest => None,
            Glance::Here(entry) => match sent {
                // It has been asked for before, and may be again.
                Sent::AsItIs => Some(self.cached.in_pages(&key, entry.bytes)),
                Sent::Sealed => Some(entry.bytes),
            },
            Glance::Absent => None,
            Glance::Later => Box::pin(self.read(&key)).await.filter(|entry| entry.fill >= oldest).map(|entry| entry.bytes),
        }
    }

    /// Whether there is a slice of an object that could be read, with a fill no older than `oldest`.
    pub(crate) async fn has_slice(&self, object: u128, slice: u64, oldest: u64) -> bool {
        self.slice(object, slice, oldest, Sent::Sealed).await.is_some()
    }

    /// Keeps a slice of an object.
    pub(crate) fn put_slice(&self, object: u128, slice: u64, fill: u64, bytes: Bytes) {
        self.cached.put(key::slice(object, slice), Entry { fill, bytes });
    }

    /// Keeps a slice of an object of which it was never kept.
    pub(crate) fn put_new_slice(&self, object: u128, slice: u64, fill: u64, bytes: Bytes) {
        self.cached.put_new(key::slice(object, slice), Entry { fill, bytes });
    }

    /// What is kept under a key, and where, without a trace of the look.
    pub(crate) async fn peek(&self, key: &EntryKey) -> Option<(Tier, Head)> {
        let (tier, entry) = self.cached.peek(*key).await.ok()??;
        Some((tier, Head { variants: record::decode(entry.bytes)? }))
    }

    /// Where what is kept under these keys is, in their order, without a trace of the look.
    pub(crate) async fn tiers(&self, keys: Vec<EntryKey>) -> Vec<Option<Tier>> {
        self.cached.tiers(keys).await.unwrap_or_default()
    }

    async fn read(&self, key: &EntryKey) -> Option<Entry> {
        self.cached.get(key).await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "what is kept cannot be read");
            None
        })
    }
}

/// What the shelf is shared as.
pub(crate) type SharedShelf = Arc<Shelf>;
