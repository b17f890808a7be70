//! Where serving looks for variants: in the entry of the asset, then in the index of the store; and where it leaves word of what it
//! did not find.

use std::{collections::HashSet, sync::Arc, time::Instant};

use ncore_cache::content_coding::Coding;
use ncore_serving::{Absent, AssetEntry, BlobHash, CodedContent, Variants};
use ncore_store::{BlobStatus, BlobStore, StoredVariant, Variant, VariantKey};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::key;
use crate::metrics::{AgentMetrics, add};

/// How long an entry goes by what the index said of a variant that was not there, in seconds.
const ABSENT_PAUSE_S: u64 = 1;
/// How long it goes by it that a variant is not worth its room.
const REFUSED_PAUSE_S: u64 = 600;
/// How often a variant that is used is looked up again, and its use noted. Less than a sensible grace of the collector.
const USED_PAUSE_S: u64 = 600;

/// The variants of this node. Nothing is looked for if their room is none.
pub struct VariantShelf {
    store: BlobStore,
    wishes: Option<Wishes>,
    metrics: Arc<AgentMetrics>,
    started: Instant,
}

struct Wishes {
    queue: mpsc::Sender<Wish>,
    waiting: Arc<Mutex<HashSet<VariantKey>>>,
}

/// What the maker is asked for.
pub(super) enum Wish {
    /// A variant is to be made.
    Make(Making),
    /// One is in use.
    Used(VariantKey),
}

/// A variant that is to be made. While this lives, it is not asked for again.
pub(super) struct Making {
    pub(super) entry: Arc<AssetEntry>,
    pub(super) coding: Coding,
    pub(super) key: VariantKey,
    waiting: Arc<Mutex<HashSet<VariantKey>>>,
}

impl Variants for VariantShelf {
    fn find(&self, entry: &Arc<AssetEntry>, coding: Coding, absent: Absent) -> Option<Arc<AssetEntry>> {
        let wishes = self.wishes.as_ref()?;
        let slot = entry.coded_slot(coding)?;
        let now_s = self.started.elapsed().as_secs();
        let known = slot.get();
        let is_lost = known.as_ref().is_some_and(|variant| variant.is_given_up());
        let pause_s = if known.is_some() { USED_PAUSE_S } else { ABSENT_PAUSE_S };
        if !is_lost && !slot.is_due(now_s, pause_s) {
            return known;
        }
        let key = key(blake3::Hash::from_bytes(entry.blob().0), coding);
        match self.store.variant(key) {
            Ok(Some(Variant::Stored(stored))) => {
                let variant = Arc::new(entry.coded(&content(coding, &stored)));
                slot.put(Arc::clone(&variant));
                slot.rest_until(now_s + USED_PAUSE_S);
                // Not noted by a full queue, its use is noted the next time.
                let _ = wishes.queue.try_send(Wish::Used(key));
                return Some(variant);
            }
            Ok(Some(Variant::NotWorthIt)) => slot.rest_until(now_s + REFUSED_PAUSE_S),
            Ok(None) => {
                slot.rest_until(now_s + ABSENT_PAUSE_S);
                if absent == Absent::Make {
                    self.wish(wishes, entry, coding, key);
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store cannot say whether it has a variant");
            }
        }
        // What was forgotten goes from the disk within the grace of the collector, and is not sent up to the last moment.
        slot.clear();
        None
    }
}

impl VariantShelf {
    /// A shelf, and where its wishes come out.
    pub(super) fn new(store: BlobStore, queue: usize, metrics: Arc<AgentMetrics>) -> (Self, mpsc::Receiver<Wish>) {
        let (sender, receiver) = mpsc::channel(queue.max(1));
        let wishes = Some(Wishes { queue: sender, waiting: Arc::default() });
        (Self { store, wishes, metrics, started: Instant::now() }, receiver)
    }

    /// A shelf on which there is nothing, ever.
    pub(super) fn closed(store: BlobStore, metrics: Arc<AgentMetrics>) -> Self {
        Self { store, wishes: None, metrics, started: Instant::now() }
    }

    fn wish(&self, wishes: &Wishes, entry: &Arc<AssetEntry>, coding: Coding, key: VariantKey) {
        // Only what is here is encoded; what was fetched for a reader is not.
        let is_here = matches!(self.store.status(key.source), Ok(BlobStatus::Present { size, .. }) if size == entry.size());
        if !is_here || !wishes.waiting.lock().insert(key) {
            return;
        }
        let making = Making { entry: Arc::clone(entry), coding, key, waiting: Arc::clone(&wishes.waiting) };
        // A wish that is not taken is dropped, and takes its mark along.
        if wishes.queue.try_send(Wish::Make(making)).is_err() {
            add(&self.metrics.variants_queue_full, 1);
        }
    }
}

impl Making {
    /// Gives the variant to the entry that it was made for. Others find it in the store.
    pub(super) fn made(&self, stored: &StoredVariant) {
        if let Some(slot) = self.entry.coded_slot(self.coding) {
            slot.put(Arc::new(self.entry.coded(&content(self.coding, stored))));
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.key);
    }
}

fn content(coding: Coding, stored: &StoredVariant) -> CodedContent {
    CodedContent { coding, blob: BlobHash(*stored.blob.as_bytes()), size: stored.size, sha256: stored.sha256 }
}
