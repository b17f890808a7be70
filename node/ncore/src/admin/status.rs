//! How the cluster is, as one node finds it by asking all of them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use ncore_control::{Control, ControlPlane};
use ncore_model::{Node, NodeId, Query};
use ncore_proto::{
    admin::v1 as wire,
    cluster::v1::{InspectReply, InspectRequest, cluster_client::ClusterClient},
};
use tokio::time::timeout;
use tonic::Status;

use super::internal;

/// How long a node may take to answer; longer when it is to read all of its state.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_FOR_HASH: Duration = Duration::from_secs(60);
/// How many versions above a watermark are counted.
const PENDING_MAX: usize = 10_000;

pub(super) async fn status(control: &Arc<Control>, state_hash: bool) -> Result<wire::StatusReply, Status> {
    let cluster = control.replica().cluster().map_err(internal)?.ok_or_else(|| Status::unavailable("there is no cluster yet"))?;
    let members = control.replica().members().map_err(internal)?;
    let answers: HashMap<NodeId, InspectReply> =
        join_all(members.iter().map(|node| inspect(control, node.id, state_hash))).await.into_iter().flatten().collect();
    let relays = control.replica().relays().map_err(internal)?;
    let voters = control.status().members.voters;
    let nodes = members.into_iter().map(|node| {
        let voter = voters.contains(&node.id.0);
        describe(control, &node, voter, &relays, answers.get(&node.id))
    });
    Ok(wire::StatusReply {
        cluster_id: control.identity().current().cluster_id().to_string(),
        lineage: cluster.lineage,
        leader: control.leader().unwrap_or(0),
        schema_level: cluster.schema_level,
        this_node: control.id().0,
        autopilot: control
            .leader()
            .and_then(|leader| answers.get(&NodeId(leader)))
            .map(|leader| leader.autopilot.clone())
            .unwrap_or_default(),
        nodes: nodes.collect::<Result<_, _>>()?,
    })
}

async fn inspect(control: &Arc<Control>, node: NodeId, state_hash: bool) -> Option<(NodeId, InspectReply)> {
    if node == control.id() {
        return control.inspect(state_hash).await.ok().map(|reply| (node, reply));
    }
    let channel = control.peers().channel(node).ok()?;
    let patience = if state_hash { PATIENCE_FOR_HASH } else { PATIENCE };
    let reply = timeout(patience, ClusterClient::new(channel).inspect(InspectRequest { state_hash })).await.ok()?.ok()?;
    Some((node, reply.into_inner()))
}

fn following(answer: &InspectReply) -> Vec<u64> {
    answer.children.iter().filter(|child| child.following).map(|child| child.node_id).collect()
}

fn ack_lag(answer: &InspectReply) -> u64 {
    let behind = answer.children.iter().filter(|child| child.following).map(|child| child.next).min();
    behind.map_or(0, |next| (answer.applied + 1).saturating_sub(next))
}

fn describe(
    control: &Control,
    node: &Node,
    voter: bool,
    relays: &[NodeId],
    answer: Option<&InspectReply>,
) -> Result<wire::NodeStatus, Status> {
    let report = control.replica().report(node.id).map_err(internal)?;
    let watermark = report.as_ref().map_or(0, |report| report.watermark);
    let pending = control.replica().versions_from(watermark + 1, PENDING_MAX).map_err(internal)?.len();
    let exceptions = report.map_or(0, |report| report.exceptions.len());
    Ok(wire::NodeStatus {
        id: node.id.0,
        name: node.name.clone(),
        region: node.region.clone(),
        state: node.state.as_str().to_owned(),
        role: answer.map_or_else(|| "unreachable".to_owned(), |answer| answer.role.clone()),
        voter,
        applied: answer.map_or(0, |answer| answer.applied),
        term: answer.map_or(0, |answer| answer.term),
        cluster_address: node.cluster_address.clone(),
        http_address: node.http_address.clone(),
        software: node.software.clone(),
        schema_min: node.schema.min,
        schema_max: node.schema.max,
        watermark,
        pending: pending as u64,
        exceptions: u32::try_from(exceptions).unwrap_or(u32::MAX),
        state_hash: answer.map(|answer| hex::encode(&answer.state_hash)).unwrap_or_default(),
        state_hash_index: answer.map_or(0, |answer| answer.state_hash_index),
        reachable: answer.is_some(),
        relay: relays.contains(&node.id),
        parent: answer.map_or(0, |answer| answer.parent),
        depth: answer.map_or(0, |answer| answer.depth),
        standby: answer.map_or(0, |answer| answer.standby),
        children: answer.map(following).unwrap_or_default(),
        freshness: answer.map(|answer| answer.freshness.clone()).unwrap_or_default(),
        fence_reason: answer.map(|answer| answer.fence_reason.clone()).unwrap_or_default(),
        staleness_ms: answer.map_or(0, |answer| answer.staleness_ms),
        staleness_known: answer.is_some_and(|answer| answer.staleness_known),
        ack_lag: answer.map_or(0, ack_lag),
    })
}
