//! The nodes of the cluster as `ncore-limits` wants them: those that count requests for each other.

use std::sync::Arc;

use ncore_control::Peers;
use ncore_limits::{BoxError, Nodes};
use ncore_model::{NodeId, Query};
use ncore_replica::Replica;
use tonic::transport::Channel;

pub(super) struct Counters {
    peers: Arc<Peers>,
    replica: Arc<Replica>,
}

impl Counters {
    pub(super) fn new(peers: Arc<Peers>, replica: Arc<Replica>) -> Self {
        Self { peers, replica }
    }
}

impl Nodes for Counters {
    fn members(&self) -> Result<Vec<NodeId>, BoxError> {
        Ok(self.replica.members()?.into_iter().map(|node| node.id).collect())
    }

    fn channel(&self, node: NodeId) -> Result<Channel, BoxError> {
        Ok(self.peers.channel(node)?)
    }
}
