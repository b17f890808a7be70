//! Keeps the variants within their room.
//!
//! How many bytes they have is counted by walking over their records, and what is made since is added. What goes by itself, with its
//! source, is noticed by the next walk; so the count is never too small.

use std::collections::BinaryHeap;

use ncore_store::{BlobStore, StoreError, Variant, VariantKey};

/// Records that are read at a time.
const PAGE: usize = 512;
/// Of how many variants a walk finds those that were not used for the longest time.
const OLDEST: usize = 1_024;
/// How full the room is after it had to be cleared, in percent.
const CLEARED_PERCENT: u64 = 90;

/// The room, and how much of it is taken.
pub(super) struct Room {
    store: BlobStore,
    bytes_max: u64,
    bytes: u64,
}

/// What a walk saw.
struct Seen {
    bytes: u64,
    /// Those not used for the longest time: when, which, and their bytes.
    oldest: BinaryHeap<(u64, [u8; 32], u8, u64)>,
}

impl Room {
    pub(super) fn new(store: BlobStore, bytes_max: u64) -> Self {
        Self { store, bytes_max, bytes: 0 }
    }

    /// Bytes that are taken, or fewer.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A variant has been stored.
    pub(super) async fn take(&mut self, bytes: u64) -> Result<u64, StoreError> {
        self.bytes += bytes;
        self.clear().await
    }

    /// Counts anew, and forgets what is of no use.
    pub(super) async fn recount(&mut self) -> Result<u64, StoreError> {
        self.bytes = self.walk().await?.bytes;
        self.clear().await
    }

    /// Forgets the least recently used until there is room. How many.
    async fn clear(&mut self) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        if self.bytes <= self.bytes_max {
            return Ok(forgotten);
        }
        let enough = self.bytes_max / 100 * CLEARED_PERCENT;
        loop {
            let Seen { bytes, oldest } = self.walk().await?;
            self.bytes = bytes;
            if bytes <= enough || oldest.is_empty() {
                return Ok(forgotten);
            }
            for (_, source, coding, bytes) in oldest.into_sorted_vec() {
                if self.bytes <= enough {
                    return Ok(forgotten);
                }
                self.store.remove_variant(VariantKey { source: blake3::Hash::from_bytes(source), coding }).await?;
                self.bytes = self.bytes.saturating_sub(bytes);
                forgotten += 1;
            }
        }
    }

    async fn walk(&self) -> Result<Seen, StoreError> {
        let mut seen = Seen { bytes: 0, oldest: BinaryHeap::new() };
        let mut after = None;
        loop {
            let page = self.store.variants(after, PAGE).await?;
            for entry in &page {
                if self.store.remove_stale_variant(entry.key).await? {
                    continue;
                }
                let Variant::Stored(stored) = entry.variant else { continue };
                seen.bytes += stored.size;
                seen.oldest.push((entry.used_at_ms, *entry.key.source.as_bytes(), entry.key.coding, stored.size));
                if seen.oldest.len() > OLDEST {
                    seen.oldest.pop();
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(seen) };
            after = Some(last.key);
        }
    }
}
