//! A copy of a blob that is here.
//!
//! Peers are tried in turn, as many at a time as copies are missing. A peer that may have the blob already is asked to read and pin
//! its own copy, which costs it a read and the network nothing; otherwise the blob is pushed, verified as it is read.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use ncore_model::NodeId;
use ncore_proto::blobs::v1::{PinRequest, pin_reply};
use ncore_store::{PinId, ReadError, slice_count};
use parking_lot::Mutex;

use super::{
    fan::note,
    lane::{Lane, LaneError},
    pieces,
};
use crate::{
    call::{client, within},
    error::CallError,
    metrics::add,
    transfer::Transfer,
    wire::{hash_to, pin_to},
};

/// The slowest disk that a peer may have, in bytes a second: it bounds the wait for a copy that is read in full.
const PEER_DISK_BYTES_S: u64 = 32 << 20;

pub(crate) async fn copy_existing(
    transfer: &Transfer,
    hash: blake3::Hash,
    size: u64,
    pin: PinId,
    exclude: &[NodeId],
    wanted: usize,
) -> Vec<NodeId> {
    let copy = ExistingCopy { transfer, hash, size, pin };
    let mut targets = transfer.copy_targets(exclude).into_iter();
    let mut running: FuturesUnordered<_> = targets.by_ref().take(wanted).map(|node| copy.to(node)).collect();
    let mut stored = Vec::new();
    while let Some(end) = running.next().await {
        match end {
            Ok(node) => {
                add(&transfer.metrics.copies_stored, 1);
                stored.push(node);
            }
            Err(CopyError::Peer(error)) => {
                note(&transfer.metrics, &error);
                running.extend(targets.next().map(|node| copy.to(node)));
            }
            // Another peer does not help. Those that are under way meet the same, or are past it.
            Err(CopyError::Local(error)) => {
                add(&transfer.metrics.copies_failed, 1);
                tracing::error!(%hash, error = &error as &dyn std::error::Error, "a blob cannot be read to be copied");
            }
        }
    }
    stored
}

struct ExistingCopy<'a> {
    transfer: &'a Transfer,
    hash: blake3::Hash,
    size: u64,
    pin: PinId,
}

/// Why there is no copy on one peer.
enum CopyError {
    Peer(LaneError),
    Local(ReadError),
}

impl ExistingCopy<'_> {
    async fn to(&self, node: NodeId) -> Result<NodeId, CopyError> {
        match self.pin_on(node).await {
            Ok(true) => Ok(node),
            Ok(false) => self.push_to(node).await,
            Err(source) => Err(CopyError::Peer(LaneError::Call { node, source })),
        }
    }

    /// Whether the peer has a good copy and has pinned it.
    async fn pin_on(&self, node: NodeId) -> Result<bool, CallError> {
        let request = PinRequest { hash: hash_to(&self.hash), pin_id: pin_to(self.pin) };
        let call = async {
            let mut client = client(&*self.transfer.peers, node).await?;
            client.pin(request).await.map_err(CallError::Failed)
        };
        let reading = Duration::from_secs(self.size / PEER_DISK_BYTES_S);
        let reply = within(self.transfer.settings.durable + reading, call).await?;
        match reply.into_inner().outcome() {
            pin_reply::Outcome::Pinned => Ok(true),
            pin_reply::Outcome::Absent | pin_reply::Outcome::Corrupt => Ok(false),
            pin_reply::Outcome::Unspecified => Err(CallError::Malformed("an outcome that is not known here")),
        }
    }

    async fn push_to(&self, node: NodeId) -> Result<NodeId, CopyError> {
        let Transfer { peers, settings, store, .. } = self.transfer;
        let candidates = Arc::new(Mutex::new([node].into()));
        let mut lane = Lane::start(Arc::clone(peers), candidates, settings.call, pieces::start(self.pin, Some(self.size)));
        for slice in 0..slice_count(self.size) {
            let bytes = store.read_slice_from_disk(self.hash, self.size, slice).await.map_err(CopyError::Local)?;
            for piece in pieces::cut(bytes) {
                let len = piece.len();
                lane.send(pieces::data(piece), len, settings.slow_peer).await.map_err(CopyError::Peer)?;
                add(&self.transfer.metrics.bytes_copied, len as u64);
            }
        }
        let last = pieces::finish(&self.hash, self.size);
        lane.finish(last, settings.slow_peer, settings.durable).await.map_err(CopyError::Peer)
    }
}
