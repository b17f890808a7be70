//! The copies of an upload, made while it comes in.
//!
//! The upload goes at the pace of the slowest copy, but never waits for one that stands still: a peer that keeps it waiting longer
//! than `slow_peer` for a MiB is dropped, and the caller makes up for it afterwards with
//! [`Transfer::copy_existing`](crate::Transfer::copy_existing).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use ncore_model::NodeId;
use ncore_proto::blobs::v1::PushPart;
use ncore_store::PinId;
use tokio::time::Instant;

use super::{
    greet::Candidates,
    lane::{Lane, LaneError},
    pieces,
};
use crate::{
    metrics::{TransferMetrics, add},
    transfer::Transfer,
};

/// Copies of one upload, on their way to peers. Dropping it aborts them, and the peers keep nothing.
pub struct CopyFan {
    lanes: Vec<Lane>,
    slow_peer: Duration,
    metrics: Arc<TransferMetrics>,
}

impl CopyFan {
    pub(crate) fn start(transfer: &Transfer, prefer: &[NodeId], pin: PinId, size_hint: Option<u64>, wanted: usize) -> Self {
        let candidates = Candidates::new(transfer.copy_targets(&[], prefer));
        let lanes = wanted.min(candidates.len());
        let call = transfer.settings.call;
        let lane = |_| {
            let (peers, candidates) = (Arc::clone(&transfer.peers), candidates.clone());
            Lane::start(async move { candidates.greet(&*peers, call).await }, pieces::start(pin, size_hint))
        };
        Self { lanes: (0..lanes).map(lane).collect(), slow_peer: transfer.settings.slow_peer, metrics: Arc::clone(&transfer.metrics) }
    }

    /// How many copies are still under way.
    #[must_use]
    pub fn live(&self) -> usize {
        self.lanes.len()
    }

    /// Sends the next bytes to all copies. Waits while a peer is behind by more than its queue, for as long as a slow peer may take;
    /// then that copy is dropped.
    ///
    /// Not cancel-safe: after a call that was dropped the copies do not have the same bytes, and finishing will not count them.
    pub async fn send(&mut self, bytes: Bytes) {
        for piece in pieces::cut(bytes) {
            self.send_part(&pieces::data(piece.clone()), piece.len()).await;
        }
    }

    /// Ends the upload. Gives the nodes that hold it by `until`, durable and pinned, and whose bytes have this hash and size.
    pub async fn finish(self, hash: blake3::Hash, size: u64, until: Instant) -> Vec<NodeId> {
        let Self { lanes, slow_peer, metrics } = self;
        let last = pieces::finish(&hash, size);
        let ends = lanes.into_iter().map(|lane| lane.finish(last.clone(), slow_peer, until));
        let mut stored = Vec::new();
        for end in join_all(ends).await {
            match end {
                Ok(node) => {
                    add(&metrics.copies_stored, 1);
                    stored.push(node);
                }
                Err(error) => note(&metrics, &error),
            }
        }
        stored
    }

    /// Gives all copies up. The peers keep nothing.
    pub fn abort(self) {}

    async fn send_part(&mut self, part: &PushPart, len: usize) {
        let sends = self.lanes.iter_mut().map(|lane| lane.send(part.clone(), len, self.slow_peer));
        let mut sent = join_all(sends).await.into_iter();
        let metrics = &self.metrics;
        self.lanes.retain(|_| match sent.next() {
            Some(Err(error)) => {
                note(metrics, &error);
                false
            }
            Some(Ok(())) | None => {
                add(&metrics.bytes_copied, len as u64);
                true
            }
        });
    }
}

/// Writes down that a copy failed.
pub(super) fn note(metrics: &TransferMetrics, error: &LaneError) {
    let counter = match error {
        LaneError::Slow => &metrics.copies_slow,
        _ => &metrics.copies_failed,
    };
    add(counter, 1);
    tracing::warn!(error = error as &dyn std::error::Error, "a copy was not made");
}
