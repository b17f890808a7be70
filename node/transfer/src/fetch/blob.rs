//! A whole blob for the store.
//!
//! ```text
//!   turn ─► partial (kept from before, or new) ─► pull from peer after peer ─► finish ─► commit with the pin
//!                                                   │ break, bad frame: the next peer, at the next slice
//!                                                   └ a whole round without one slice: give up, keep the partial
//! ```
//!
//! So the number of tries is bounded by the number of slices, and a peer that sends less than a slice in the deadline of a frame is
//! left for another.
//!
//! # Why a limited transfer asks for a few slices at a time
//! Bytes that arrive and are not read stand in the flow-control window of the connection, which other calls to the same peer share.
//! A transfer that slept with its stream open would hold them up. So the tokens for a few slices are taken before these are asked for.

use std::ops::Range;

use ncore_model::NodeId;
use ncore_store::{Commit, PartialBlob, PinId, SLICE_BYTES, StoreError, slice_count, slice_range};
use tokio::time::timeout;

use super::frames::Frames;
use crate::{
    error::{CallError, FetchBlobError, FetchError, Tally, TryError},
    metrics::add,
    transfer::Transfer,
};

/// The most slices that a limited transfer asks for at a time.
const LIMITED_SLICES_MAX: u64 = 8;

pub(crate) async fn fetch_blob(transfer: &Transfer, hash: blake3::Hash, size: u64, pin: PinId) -> Result<Commit, FetchBlobError> {
    let fetched = BlobFetch { transfer, hash, size }.run(pin).await;
    let counter = if fetched.is_ok() { &transfer.metrics.blobs_fetched } else { &transfer.metrics.blobs_failed };
    add(counter, 1);
    fetched
}

struct BlobFetch<'a> {
    transfer: &'a Transfer,
    hash: blake3::Hash,
    size: u64,
}

/// Why pulling from one peer ended early.
enum PullError {
    /// It is the peer's doing.
    Peer(TryError),
    /// It is ours.
    Store(StoreError),
}

impl BlobFetch<'_> {
    async fn run(&self, pin: PinId) -> Result<Commit, FetchBlobError> {
        let turn = self.transfer.blob_turns.acquire().await;
        let _turn = turn.map_err(|_| FetchBlobError::Store(StoreError::ShuttingDown))?;
        let partial = self.transfer.store.resume_or_start(self.hash, self.size).await;
        let mut partial = partial.map_err(|error| match error {
            StoreError::Busy => FetchBlobError::InProgress,
            error => FetchBlobError::Store(error),
        })?;
        self.fill(&mut partial).await?;
        let staged = partial.finish().await.map_err(FetchBlobError::Store)?;
        staged.commit(pin).await.map_err(FetchBlobError::Store)
    }

    /// Pulls from peer after peer until all slices are there.
    async fn fill(&self, partial: &mut PartialBlob) -> Result<(), FetchBlobError> {
        while let Some(before) = partial.next_slice() {
            let nodes = self.transfer.sources(&self.hash);
            if nodes.is_empty() {
                return Err(FetchBlobError::Peers(FetchError::NoPeers));
            }
            let mut tally = Tally::default();
            for node in nodes {
                match self.pull(node, partial).await {
                    Ok(()) => return Ok(()),
                    Err(PullError::Store(error)) => return Err(FetchBlobError::Store(error)),
                    Err(PullError::Peer(error)) => {
                        self.transfer.note_failed_try(node, &self.hash, &error);
                        tally.add(error.tally());
                    }
                }
            }
            if partial.next_slice().is_some_and(|next| next <= before) {
                return Err(FetchBlobError::Peers(FetchError::Exhausted(tally)));
            }
        }
        Ok(())
    }

    /// Pulls what is still needed from one peer.
    async fn pull(&self, node: NodeId, partial: &mut PartialBlob) -> Result<(), PullError> {
        if partial.next_slice().is_some_and(|next| next > 0) {
            add(&self.transfer.metrics.resumed, 1);
        }
        while let Some(next) = partial.next_slice() {
            let slices = next..self.end_of_batch(next);
            let cost = self.bytes_of(&slices);
            self.transfer.throttle.take(cost).await;
            let mut frames = match self.in_time(Frames::open(&*self.transfer.peers, node, self.hash, self.size, slices)).await {
                Ok(frames) => frames,
                Err(error) => {
                    self.transfer.throttle.give_back(cost);
                    return Err(PullError::Peer(error));
                }
            };
            while let Some((slice, bytes)) = self.in_time(frames.next()).await.map_err(PullError::Peer)? {
                let len = bytes.len() as u64;
                partial.append_verified(slice, bytes).await.map_err(PullError::Store)?;
                add(&self.transfer.metrics.bytes_fetched, len);
            }
        }
        Ok(())
    }

    fn end_of_batch(&self, next: u64) -> u64 {
        let end = slice_count(self.size);
        match self.transfer.throttle.bytes_s() {
            None => end,
            Some(limit) => end.min(next + (limit / SLICE_BYTES as u64).clamp(1, LIMITED_SLICES_MAX)),
        }
    }

    fn bytes_of(&self, slices: &Range<u64>) -> u64 {
        let start = slices.start * SLICE_BYTES as u64;
        slice_range(self.size, slices.end - 1).map_or(0, |last| last.end.saturating_sub(start))
    }

    async fn in_time<T>(&self, wait: impl Future<Output = Result<T, TryError>>) -> Result<T, TryError> {
        let deadline = self.transfer.settings.frame;
        timeout(deadline, wait).await.unwrap_or(Err(TryError::Call(CallError::Deadline(deadline))))
    }
}
