//! The other nodes as `ncore-transfer` wants them, from the control plane's.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ncore_control::Peers;
use ncore_model::{BlobHash, NodeId, NodeState, Query};
use ncore_replica::Replica;
use ncore_transfer::{Peer, PeerError};
use tonic::transport::Channel;

pub(super) struct NearestNodes {
    peers: Arc<Peers>,
    replica: Arc<Replica>,
    region: String,
}

impl NearestNodes {
    pub(super) fn new(peers: Arc<Peers>, replica: Arc<Replica>, region: String) -> Self {
        Self { peers, replica, region }
    }
}

impl ncore_transfer::Peers for NearestNodes {
    fn nearest_first(&self) -> Vec<Peer> {
        let nodes = self.peers.nearest_first().unwrap_or_else(|error| {
            tracing::error!(%error, "the other nodes cannot be read from the state");
            Vec::new()
        });
        nodes
            .into_iter()
            .map(|node| Peer {
                node: node.id,
                same_region: node.region == self.region,
                region: node.region,
                reachable: self.peers.is_near(node.id),
                takes_copies: node.state == NodeState::Active,
            })
            .collect()
    }

    fn channel(&self, node: NodeId) -> BoxFuture<'_, Result<Channel, PeerError>> {
        let channel = self.peers.channel(node).map_err(|error| match error {
            ncore_control::PeerError::Unknown(node) => PeerError::Unknown(node),
            error => PeerError::Unreachable { node, source: Box::new(error) },
        });
        Box::pin(async move { channel })
    }

    fn holders(&self, hash: &blake3::Hash) -> Vec<NodeId> {
        let blob = self.replica.blob(BlobHash::from(*hash)).ok().flatten();
        blob.map(|blob| blob.holders).unwrap_or_default()
    }
}
