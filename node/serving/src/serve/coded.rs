//! Assets in a content coding: the trait through which this crate asks for them, and where an entry keeps those that were found.
//!
//! A coded variant is an [`AssetEntry`] of its own, with other bytes, another length, tag and digest, and everything else as the asset
//! has it. So conditions, ranges and delivery know nothing of codings.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use ncore_cache::content_coding::Coding;

use super::catalog::{AssetEntry, BlobHash};

/// Content from which something is gained by a coding, in bytes. Of less the head is most, and more is not worth the work.
pub const CODED_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=16 << 20;

/// The coded variants of assets on this node.
pub trait Variants: Send + Sync {
    /// The variant of an asset, if it is here. Called on the thread of the connection: it must not block.
    fn find(&self, entry: &Arc<AssetEntry>, coding: Coding, absent: Absent) -> Option<Arc<AssetEntry>>;
}

/// What to do about a variant that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Make it, for those who come later.
    Make,
    /// Nothing.
    Leave,
}

/// The bytes of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodedContent {
    /// In which coding they are.
    pub coding: Coding,
    /// Their name.
    pub blob: BlobHash,
    /// Their number.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Where an entry keeps its variant in one coding, for the owner of [`Variants`] to use.
#[derive(Debug, Default)]
pub struct CodedSlot {
    variant: ArcSwapOption<AssetEntry>,
    due_at_s: AtomicU64,
}

impl CodedSlot {
    /// The variant that was put here. It may have been given up since.
    #[must_use]
    pub fn get(&self) -> Option<Arc<AssetEntry>> {
        self.variant.load_full()
    }

    /// Keeps a variant.
    pub fn put(&self, variant: Arc<AssetEntry>) {
        self.variant.store(Some(variant));
    }

    /// Keeps none any more.
    pub fn clear(&self) {
        self.variant.store(None);
    }

    /// Whether it is time to look after this slot: at most one caller in `pause_s` seconds, of a clock of the owner's, hears so.
    #[must_use]
    pub fn is_due(&self, now_s: u64, pause_s: u64) -> bool {
        let due_at_s = self.due_at_s.load(Ordering::Relaxed);
        let next = now_s.saturating_add(pause_s);
        due_at_s <= now_s && self.due_at_s.compare_exchange(due_at_s, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Nobody needs to look after this slot before.
    pub fn rest_until(&self, due_at_s: u64) {
        self.due_at_s.store(due_at_s, Ordering::Relaxed);
    }
}
