//! What is counted. Written with relaxed atomics, read by whoever renders metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts and present values of the [`Agent`](crate::Agent).
#[derive(Debug, Default)]
pub struct AgentMetrics {
    /// Every version up to here is held, but for the exceptions. A present value.
    pub watermark: AtomicU64,
    /// Exceptions below the watermark. A present value.
    pub exceptions: AtomicU64,
    /// Blobs that are to be fetched, or are being fetched. A present value.
    pub blobs_wanted: AtomicU64,
    /// Blobs that were fetched for replication or repair.
    pub blobs_obtained: AtomicU64,
    /// Tries to fetch a blob that failed.
    pub fetches_failed: AtomicU64,
    /// Versions that were checked against the index of the store below the watermark.
    pub audited: AtomicU64,
    /// Blobs that were found damaged and set aside.
    pub quarantined: AtomicU64,
    /// Blobs that were damaged and have been replaced by a good copy.
    pub repaired: AtomicU64,
    /// Reports that the cluster took.
    pub reports: AtomicU64,
    /// Reports that failed, or whose outcome is not known.
    pub reports_failed: AtomicU64,
    /// Blobs that were removed.
    pub collected: AtomicU64,
    /// Bytes of these.
    pub collected_bytes: AtomicU64,
    /// Copies that were removed because other nodes are to hold them, and do.
    pub surplus_removed: AtomicU64,
    /// Bytes of these.
    pub surplus_removed_bytes: AtomicU64,
    /// Pins that were ended because their time was up.
    pub pins_ended: AtomicU64,
    /// Cut transfers that were discarded because nobody refers to their blob.
    pub partials_discarded: AtomicU64,
    /// Steps of the collector that were left out because the state was not known to be new enough.
    pub collections_skipped: AtomicU64,
    /// Blobs that were re-read.
    pub scrubbed: AtomicU64,
    /// Blobs that re-reading found damaged.
    pub scrub_damaged: AtomicU64,
    /// Purges that were carried out here.
    pub purges: AtomicU64,
    /// Assets that these matched.
    pub purged_assets: AtomicU64,
    /// Reports of usage that the cluster took.
    pub usage_reports: AtomicU64,
    /// Reports of usage that the cluster had taken before, and did not count again: the answer was lost, or the node started anew.
    pub usage_reports_repeated: AtomicU64,
    /// Tries to report usage that failed, or whose outcome is not known.
    pub usage_reports_failed: AtomicU64,
    /// Hours of clients that no report has yet. A present value.
    pub usage_pending: AtomicU64,
    /// Hours of clients whose counts were dropped because too many waited.
    pub usage_dropped: AtomicU64,
    /// Variants in a content coding that were made.
    pub variants_made: AtomicU64,
    /// Variants that were made and thrown away, because they save too little.
    pub variants_not_worth_it: AtomicU64,
    /// Variants that could not be made.
    pub variants_failed: AtomicU64,
    /// Variants that were forgotten because others were used more recently.
    pub variants_evicted: AtomicU64,
    /// Variants that were not asked for because too many waited.
    pub variants_queue_full: AtomicU64,
    /// Bytes of the variants that are kept. A present value.
    pub variants_bytes: AtomicU64,
    /// Lookups of an asset that the memory of the catalog answered.
    pub catalog_hits: AtomicU64,
    /// Lookups that went to the replica.
    pub catalog_misses: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Sets a present value.
pub(crate) fn set(value: &AtomicU64, to: u64) {
    value.store(to, Ordering::Relaxed);
}
