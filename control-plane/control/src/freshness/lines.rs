//! Connections to the other voters, open before one of them leads.
//!
//! To dial takes several round trips, which across an ocean is as long as an election. A node in Raft whose pings wait for that could be
//! fenced, and all that follow it. Apart from the connections that everybody shares, so that no ping waits behind the content of assets.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use ncore_model::NodeId;
use ncore_proto::cluster::v1::{InspectRequest, cluster_client::ClusterClient};
use ncore_replica::Replica;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use crate::{
    peers::{PeerError, Peers},
    status,
};

/// How often each is used, so that one that broke is made again.
const PERIOD: Duration = Duration::from_secs(2);
/// How long a voter may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// One connection to each of the other voters.
pub(super) struct Lines {
    own: NodeId,
    peers: Arc<Peers>,
    replica: Arc<Replica>,
    open: Mutex<HashMap<NodeId, Channel>>,
}

impl Lines {
    pub(super) fn new(own: NodeId, peers: Arc<Peers>, replica: Arc<Replica>) -> Self {
        Self { own, peers, replica, open: Mutex::default() }
    }

    /// The connection to a voter.
    pub(super) fn channel(&self, node: NodeId) -> Result<Channel, PeerError> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(&node) {
            return Ok(channel.clone());
        }
        let channel = self.peers.fresh_channel(node, "")?;
        open.insert(node, channel.clone());
        Ok(channel)
    }

    /// Has a new one made the next time: the voter may have moved.
    pub(super) fn forget(&self, node: NodeId) {
        self.open.lock().remove(&node);
    }

    /// Keeps them open. Never ends.
    pub(super) async fn keep_open(&self) {
        loop {
            let mut voters = status::members(&self.replica).voters;
            voters.remove(&self.own.0);
            self.open.lock().retain(|node, _| voters.contains(&node.0));
            join_all(voters.into_iter().map(|voter| self.use_once(NodeId(voter)))).await;
            sleep(PERIOD).await;
        }
    }

    async fn use_once(&self, node: NodeId) {
        let Ok(channel) = self.channel(node) else { return };
        let answer = timeout(LIMIT, ClusterClient::new(channel).inspect(InspectRequest { state_hash: false })).await;
        if !answer.is_ok_and(|answer| answer.is_ok()) {
            self.forget(node);
        }
    }
}
