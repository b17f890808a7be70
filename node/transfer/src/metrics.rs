//! What is counted. Written with relaxed atomics, read by whoever renders metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of the client side.
#[derive(Debug, Default)]
pub struct TransferMetrics {
    /// Slices that came from a peer for a viewer.
    pub slices_fetched: AtomicU64,
    /// Slices that no peer gave.
    pub slices_failed: AtomicU64,
    /// Blobs that came from peers in full.
    pub blobs_fetched: AtomicU64,
    /// Blobs that did not come, or not in full.
    pub blobs_failed: AtomicU64,
    /// Verified bytes that came, for viewers and for the store.
    pub bytes_fetched: AtomicU64,
    /// Frames that failed verification. Each is a fault of a peer.
    pub frames_bad: AtomicU64,
    /// Transfers of a blob that were cut and went on at a later slice.
    pub resumed: AtomicU64,
    /// Copies that a peer made durable for this node.
    pub copies_stored: AtomicU64,
    /// Copies that failed: refused, cut, or not what was sent.
    pub copies_failed: AtomicU64,
    /// Copies that were dropped because the peer was too slow.
    pub copies_slow: AtomicU64,
    /// Bytes sent to peers for copies.
    pub bytes_copied: AtomicU64,
}

/// Counts of [`BlobService`](crate::BlobService).
#[derive(Debug, Default)]
pub struct ServiceMetrics {
    /// Frames handed to the transport.
    pub frames_sent: AtomicU64,
    /// Bytes of these.
    pub bytes_sent: AtomicU64,
    /// Fetches that met a damaged copy here.
    pub fetches_corrupt: AtomicU64,
    /// Calls that were refused because as many as may were under way.
    pub refused_busy: AtomicU64,
    /// Streams that ended because the other side stood still.
    pub idle: AtomicU64,
    /// Copies made durable for other nodes.
    pub pushes_stored: AtomicU64,
    /// Copies whose bytes were not what the sender announced.
    pub pushes_mismatched: AtomicU64,
    /// Copies refused for want of room.
    pub pushes_full: AtomicU64,
    /// Bytes taken for copies.
    pub bytes_received: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
