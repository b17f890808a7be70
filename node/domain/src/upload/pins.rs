//! The pins of one upload, on this node and on others.
//!
//! They hold the content from before the cluster is asked until the answer is known. Releasing them is best effort: what is
//! not released ends by its age.

use std::sync::Arc;

use futures_util::future::join_all;
use ncore_model::NodeId;
use ncore_store::{BlobStore, PinId};
use tokio::{sync::OwnedSemaphorePermit, task};
use tracing::Instrument;

use crate::copies::Copies;

/// The pins of one upload. Dropped without [`release`](Self::release) they stay.
#[must_use = "pins that are not released stay until they are old"]
pub(super) struct Pins {
    store: BlobStore,
    copies: Arc<dyn Copies>,
    /// The upload's turn, kept until the pins are gone: it bounds how many releases are under way.
    turn: OwnedSemaphorePermit,
    hash: blake3::Hash,
    pin: PinId,
    is_here: bool,
    peers: Vec<NodeId>,
}

impl Pins {
    pub(super) fn new(store: BlobStore, copies: Arc<dyn Copies>, turn: OwnedSemaphorePermit, hash: blake3::Hash, pin: PinId) -> Self {
        Self { store, copies, turn, hash, pin, is_here: false, peers: Vec::new() }
    }

    pub(super) fn add_here(&mut self) {
        self.is_here = true;
    }

    pub(super) fn add_peers(&mut self, peers: &[NodeId]) {
        self.peers.extend_from_slice(peers);
    }

    /// Ends the pins, in the background.
    pub(super) fn release(self) {
        task::spawn(self.release_all().in_current_span());
    }

    async fn release_all(self) {
        if self.is_here
            && let Err(error) = self.store.unpin(self.hash, self.pin).await
        {
            tracing::warn!(hash = %self.hash, error = &error as &dyn std::error::Error, "a pin of this node stays until it is old");
        }
        let unpins = self.peers.iter().map(|node| self.copies.unpin(*node, self.hash, self.pin));
        for error in join_all(unpins).await.into_iter().filter_map(Result::err) {
            tracing::debug!(hash = %self.hash, error = &error as &dyn std::error::Error, "a pin on another node stays until it is old");
        }
        drop(self.turn);
    }
}
