//! A copy of a blob that is here.
//!
//! Peers are tried in turn, as many at a time as copies are missing. A peer that may have the blob already is asked to read and pin
//! its own copy, which costs it a read and the network nothing; otherwise the blob is pushed, verified as it is read.

use std::future::ready;

use futures_util::{StreamExt, stream::FuturesUnordered};
use ncore_model::NodeId;
use ncore_proto::blobs::v1::{PinRequest, pin_reply};
use ncore_store::{PinId, ReadError, slice_count};
use tokio::time::{Instant, timeout_at};

use super::{
    fan::note,
    greet::Candidates,
    lane::{Lane, LaneError},
    pieces,
};
use crate::{
    call::Client,
    error::CallError,
    metrics::add,
    transfer::Transfer,
    wire::{hash_to, pin_to},
};

/// A blob that is to be on more nodes.
pub(crate) struct ExistingCopy<'a> {
    pub(crate) transfer: &'a Transfer,
    pub(crate) hash: blake3::Hash,
    pub(crate) size: u64,
    pub(crate) pin: PinId,
    /// When all of it is over.
    pub(crate) until: Instant,
}

/// Why there is no copy on one peer.
enum CopyError {
    Peer(LaneError),
    Local(ReadError),
}

impl ExistingCopy<'_> {
    /// Copies to `wanted` peers that are not in `exclude`. Gives those that have it in time.
    pub(crate) async fn to_peers(&self, exclude: &[NodeId], wanted: usize) -> Vec<NodeId> {
        let candidates = Candidates::new(self.transfer.copy_targets(exclude, &[]));
        let mut running: FuturesUnordered<_> = (0..wanted).map(|_| self.to_one_of(&candidates)).collect();
        let mut stored = Vec::new();
        let all = async {
            while let Some(end) = running.next().await {
                stored.extend(end);
            }
        };
        if timeout_at(self.until, all).await.is_err() {
            tracing::debug!(hash = %self.hash, "the time to copy a blob is over");
        }
        stored
    }

    /// Copies to the first candidate that answers and takes it.
    async fn to_one_of(&self, candidates: &Candidates) -> Option<NodeId> {
        let metrics = &self.transfer.metrics;
        loop {
            let (node, client) = match candidates.greet(&*self.transfer.peers, self.transfer.settings.call).await {
                Ok(greeted) => greeted,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a blob is not copied");
                    return None;
                }
            };
            match self.to(node, client).await {
                Ok(()) => {
                    add(&metrics.copies_stored, 1);
                    return Some(node);
                }
                Err(CopyError::Peer(error)) => note(metrics, &error),
                // Another peer does not help.
                Err(CopyError::Local(error)) => {
                    add(&metrics.copies_failed, 1);
                    tracing::error!(hash = %self.hash, error = &error as &dyn std::error::Error, "a blob cannot be read to be copied");
                    return None;
                }
            }
        }
    }

    async fn to(&self, node: NodeId, mut client: Client) -> Result<(), CopyError> {
        match self.pin_on(&mut client).await {
            Ok(true) => Ok(()),
            Ok(false) => self.push_to(node, client).await,
            Err(source) => Err(CopyError::Peer(LaneError::Call { node, source })),
        }
    }

    /// Whether the peer has a good copy and has pinned it.
    async fn pin_on(&self, client: &mut Client) -> Result<bool, CallError> {
        let request = PinRequest { hash: hash_to(&self.hash), pin_id: pin_to(self.pin) };
        let reply = client.pin(request).await.map_err(CallError::Failed)?;
        match reply.into_inner().outcome() {
            pin_reply::Outcome::Pinned => Ok(true),
            pin_reply::Outcome::Absent | pin_reply::Outcome::Corrupt => Ok(false),
            pin_reply::Outcome::Unspecified => Err(CallError::Malformed("an outcome that is not known here")),
        }
    }

    async fn push_to(&self, node: NodeId, client: Client) -> Result<(), CopyError> {
        let Transfer { settings, store, metrics, .. } = self.transfer;
        let mut lane = Lane::start(ready(Ok((node, client))), pieces::start(self.pin, Some(self.size)));
        for slice in 0..slice_count(self.size) {
            let bytes = store.read_slice_from_disk(self.hash, self.size, slice).await.map_err(CopyError::Local)?;
            for piece in pieces::cut(bytes) {
                let len = piece.len();
                lane.send(pieces::data(piece), len, settings.slow_peer).await.map_err(CopyError::Peer)?;
                add(&metrics.bytes_copied, len as u64);
            }
        }
        let last = pieces::finish(&self.hash, self.size);
        lane.finish(last, settings.slow_peer, self.until).await.map(drop).map_err(CopyError::Peer)
    }
}
