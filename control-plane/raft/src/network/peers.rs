//! Connections to other nodes, and the route every message carries.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use ncore_proto::raft::v1::{self as pb, raft_client::RaftClient};
use parking_lot::Mutex;
use tonic::{Status, transport::Channel};

use super::{ConnectError, Lane, MAX_MESSAGE, PeerConnector, PeerIdentity, granted::Granted, pauses::Pauses, reach::Reach};
use crate::config::RaftConfig;

/// Shared by everything that talks to other nodes.
pub(crate) struct Peers {
    connector: Arc<dyn PeerConnector>,
    cluster_id: [u8; 16],
    node_id: u64,
    address: String,
    pub(crate) timeouts: Timeouts,
    /// Which of them answer.
    pub(crate) reach: Reach,
    /// When heartbeats to those that take no connection may be tried again.
    pub(crate) pauses: Pauses,
    /// Where the logs of those ended that voted for this node.
    pub(crate) granted: Granted,
    /// Channels in use. A peer that moved to another address has another entry; there are few peers.
    open: Mutex<HashMap<(u64, String, Lane), Channel>>,
}

/// How long to wait for other nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For the answer to entries that were sent.
    pub(crate) append: Duration,
    /// For the next sign of life of a node that pulls a snapshot.
    pub(crate) snapshot_idle: Duration,
    /// For a received snapshot to be installed.
    pub(crate) snapshot_install: Duration,
}

impl Peers {
    pub(crate) fn new(connector: Arc<dyn PeerConnector>, config: &RaftConfig) -> Self {
        let timeouts =
            Timeouts { append: config.append_timeout, snapshot_idle: config.snapshot_idle, snapshot_install: config.snapshot_install };
        let (cluster_id, node_id, address) = (config.cluster_id, config.node_id, config.address.clone());
        let reach = Reach::new(config.election_max);
        // A peer that is back hears from its leader before it stands for election.
        let pauses = Pauses::new(config.election_min);
        Self { connector, cluster_id, node_id, address, timeouts, reach, pauses, granted: Granted::default(), open: Mutex::default() }
    }

    pub(crate) fn node_id(&self) -> u64 {
        self.node_id
    }

    /// Where others find this node.
    pub(crate) fn own_member(&self) -> pb::Member {
        pb::Member { node: self.node_id, address: self.address.clone() }
    }

    /// A client of `node_id`, over a connection that is reused until [`Self::forget`].
    pub(crate) async fn client(&self, node_id: u64, address: &str, lane: Lane) -> Result<RaftClient<Channel>, ConnectError> {
        let key = (node_id, address.to_owned(), lane);
        let open = self.open.lock().get(&key).cloned();
        let channel = match open {
            Some(channel) => channel,
            None => {
                let channel = self.connector.channel(node_id, address, lane).await?;
                self.open.lock().insert(key, channel.clone());
                channel
            }
        };
        Ok(RaftClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
    }

    /// Drops the connection, so that the next client gets a new one.
    pub(crate) fn forget(&self, node_id: u64, address: &str, lane: Lane) {
        self.open.lock().remove(&(node_id, address.to_owned(), lane));
    }

    pub(crate) fn route_to(&self, node_id: u64) -> pb::Route {
        pb::Route { cluster_id: Bytes::copy_from_slice(&self.cluster_id), from: self.node_id, to: node_id }
    }

    /// Checks a message's route against the peer that sent it. Returns the sender.
    pub(crate) fn admit(&self, route: Option<&pb::Route>, peer: PeerIdentity) -> Result<u64, Box<Status>> {
        let refused = |why| Err(Box::new(Status::permission_denied(why)));
        let Some(route) = route else { return refused("the message carries no route") };
        if route.cluster_id != self.cluster_id.as_slice() {
            return refused("the message is for another cluster");
        }
        if route.to != self.node_id {
            return refused("the message is for another node");
        }
        if route.from != peer.node_id {
            return refused("the message claims another sender than the peer it came from");
        }
        Ok(route.from)
    }
}
