//! Connections for votes, and for the first entry after them, kept open.
//!
//! Followers have nothing to say to each other until their leader is gone, and then it is urgent. A candidate that had to dial first
//! would spend two round trips on TCP and TLS: across oceans that is longer than a vote is waited for, and the election begins anew. And
//! a new leader that had to dial before its first entry would have nothing committed, and so make nobody fresh, for as long again.

use std::time::Duration;

use futures_util::future;
use ncore_proto::raft::v1 as pb;
use openraft::{RPCTypes, async_runtime::watch::WatchReceiver};
use tokio::time;

use super::{Lane, Network};
use crate::types::{Node, ServerMetricsWatch};

/// Calls every other voter now and then, as long as this node is one. Ends with the task.
pub(crate) async fn keep_open(metrics: ServerMetricsWatch, network: Network) {
    loop {
        let voters = other_voters(&metrics, network.peers.node_id());
        let touches = voters.iter().flat_map(|voter| [Lane::Control, Lane::Log].map(|lane| (lane, voter)));
        future::join_all(touches.map(|(lane, (voter, node))| touch(&network, *voter, node, lane))).await;
        time::sleep(PERIOD).await;
    }
}

async fn touch(network: &Network, voter: u64, node: &Node, lane: Lane) {
    let client = network.client(voter, node, lane);
    let request = pb::TouchRequest { route: Some(network.peers.route_to(voter)) };
    // Whether it answers is noted by the client.
    let _ = client.call(lane, LIMIT, RPCTypes::Vote, |mut raft| async move { raft.touch(request).await }).await;
}

/// None, unless this node votes itself.
fn other_voters(metrics: &ServerMetricsWatch, own: u64) -> Vec<(u64, Node)> {
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    if membership.voter_ids().all(|voter| voter != own) {
        return Vec::new();
    }
    let others = membership.voter_ids().filter(|voter| *voter != own);
    others.filter_map(|voter| Some((voter, membership.get_node(&voter)?.clone()))).collect()
}

/// How often. A connection that broke is back after this.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a voter may take to answer.
const LIMIT: Duration = Duration::from_secs(1);
