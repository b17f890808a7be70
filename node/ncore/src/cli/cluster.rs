//! `ncore cluster`: which nodes there are, and how they are.

mod backup;
mod recover;
mod restore;

use anyhow::Result;
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{NodeRequest, NodeStatus, StatusReply, StatusRequest};
use serde_json::{Value, json};

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum Cluster {
    /// How the cluster is: leader, voters, what each node holds
    Status {
        /// Also hash the whole state of each node, which reads all of it
        #[arg(long)]
        state_hash: bool,
        #[command(flatten)]
        operator: Operator,
    },
    /// Where the nodes are
    Nodes {
        #[command(flatten)]
        operator: Operator,
    },
    /// Give a node no new work, because it is about to be removed
    Drain(OneNode),
    /// Remove a node for ever; it is cut off at once
    Remove(OneNode),
    /// Make a node a voter
    Promote(OneNode),
    /// Take a voter's vote; it stays as an edge, and the autopilot leaves it alone
    Demote(OneNode),
    /// Make a voter the leader
    TransferLeader(OneNode),
    /// Make a cluster of this stopped node alone, after a majority of the voters is gone for good
    Recover(recover::Recover),
    /// Put the state of the cluster away, without the content of assets
    Backup(backup::Backup),
    /// Make a new cluster of one on this machine, from a backup
    Restore(restore::Restore),
}

#[derive(Args)]
pub(crate) struct OneNode {
    /// Which node: its id or its name
    node: String,
    #[command(flatten)]
    operator: Operator,
}

impl Cluster {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Status { state_hash, operator } => status(&operator, state_hash).await,
            Self::Nodes { operator } => nodes(&operator).await,
            Self::Drain(OneNode { node, operator }) => {
                operator.connect().await?.drain(NodeRequest { node: node.clone() }).await.map_err(said)?;
                report(&operator, &node, "is draining")
            }
            Self::Remove(OneNode { node, operator }) => {
                operator.connect().await?.remove(NodeRequest { node: node.clone() }).await.map_err(said)?;
                report(&operator, &node, "is removed and cut off")
            }
            Self::Promote(OneNode { node, operator }) => {
                operator.connect().await?.promote(NodeRequest { node: node.clone() }).await.map_err(said)?;
                report(&operator, &node, "votes")
            }
            Self::Demote(OneNode { node, operator }) => {
                operator.connect().await?.demote(NodeRequest { node: node.clone() }).await.map_err(said)?;
                report(&operator, &node, "votes no more")
            }
            Self::TransferLeader(OneNode { node, operator }) => {
                operator.connect().await?.transfer_leader(NodeRequest { node: node.clone() }).await.map_err(said)?;
                report(&operator, &node, "leads")
            }
            Self::Recover(recover) => recover.run(),
            Self::Backup(backup) => backup.run().await,
            Self::Restore(restore) => restore.run().await,
        }
    }
}

fn report(operator: &Operator, node: &str, what: &str) -> Result<()> {
    if operator.json {
        return output::json(&json!({ "node": node, "done": true }));
    }
    output::say!("{node} {what}");
    Ok(())
}

async fn fetch(operator: &Operator, state_hash: bool) -> Result<StatusReply> {
    let mut client = operator.connect().await?;
    Ok(client.status(StatusRequest { state_hash }).await.map_err(said)?.into_inner())
}

async fn status(operator: &Operator, state_hash: bool) -> Result<()> {
    let status = fetch(operator, state_hash).await?;
    if operator.json {
        return output::json(&as_json(&status));
    }
    let leader = status.nodes.iter().find(|node| node.id == status.leader).map_or("none", |node| &node.name);
    output::say!("cluster {}  lineage {}  schema level {}  leader {leader}", status.cluster_id, status.lineage, status.schema_level);
    if !status.autopilot.is_empty() {
        output::say!("autopilot: {}", status.autopilot);
    }
    let rows = status.nodes.iter().map(|node| {
        let mut row = vec![
            node.id.to_string(),
            node.name.clone(),
            node.region.clone(),
            node.state.clone(),
            node.role.clone(),
            follows(&status, node),
            if node.reachable { node.applied.to_string() } else { "-".to_owned() },
            freshness(node),
            node.pending.to_string(),
            node.exceptions.to_string(),
            node.software.clone(),
        ];
        if state_hash {
            row.push(node.state_hash.get(..16).unwrap_or_default().to_owned());
        }
        row
    });
    let mut header = vec!["ID", "NAME", "REGION", "STATE", "ROLE", "FOLLOWS", "APPLIED", "FRESH", "PENDING", "EXCEPTIONS", "VERSION"];
    if state_hash {
        header.push("STATE HASH");
    }
    output::table(&header, rows);
    Ok(())
}

/// How old a node's view can be, or why it is fenced.
fn freshness(node: &NodeStatus) -> String {
    match (node.freshness.as_str(), node.staleness_known) {
        ("fresh", true) => format!("{}ms", node.staleness_ms),
        ("fenced", _) => node.fence_reason.clone(),
        _ => "-".to_owned(),
    }
}

/// The hub that a node follows, by name.
fn follows(status: &StatusReply, node: &NodeStatus) -> String {
    let hub = status.nodes.iter().find(|hub| hub.id == node.parent);
    hub.map_or_else(|| "-".to_owned(), |hub| hub.name.clone())
}

async fn nodes(operator: &Operator) -> Result<()> {
    let status = fetch(operator, false).await?;
    if operator.json {
        return output::json(&as_json(&status)["nodes"]);
    }
    let rows = status.nodes.into_iter().map(|node| {
        let role = match (node.voter, node.relay) {
            (true, _) => "voter",
            (false, true) => "relay",
            (false, false) => "edge",
        };
        vec![node.id.to_string(), node.name, node.region, node.state, role.to_owned(), node.cluster_address, node.http_address]
    });
    output::table(&["ID", "NAME", "REGION", "STATE", "ROLE", "CLUSTER ADDRESS", "HTTP ADDRESS"], rows);
    Ok(())
}

fn as_json(status: &StatusReply) -> Value {
    json!({
        "cluster_id": status.cluster_id, "lineage": status.lineage, "leader": status.leader,
        "schema_level": status.schema_level, "this_node": status.this_node, "autopilot": status.autopilot,
        "nodes": status.nodes.iter().map(node_as_json).collect::<Vec<_>>(),
    })
}

fn node_as_json(node: &NodeStatus) -> Value {
    let id = |id: u64| (id != 0).then_some(id);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let staleness = node.staleness_known.then_some(node.staleness_ms);
    let hash = (!node.state_hash.is_empty()).then_some(&node.state_hash);
    json!({
        "id": node.id, "name": node.name, "region": node.region, "state": node.state, "role": node.role, "voter": node.voter,
        "reachable": node.reachable, "applied": node.applied, "term": node.term, "cluster_address": node.cluster_address,
        "http_address": node.http_address, "software": node.software, "schema_min": node.schema_min, "schema_max": node.schema_max,
        "watermark": node.watermark, "pending": node.pending, "exceptions": node.exceptions,
        "relay": node.relay, "parent": id(node.parent), "depth": node.depth, "standby": id(node.standby), "children": node.children,
        "freshness": text(&node.freshness), "fence_reason": text(&node.fence_reason), "staleness_ms": staleness, "ack_lag": node.ack_lag,
        "state_hash": hash, "state_hash_index": node.state_hash_index,
    })
}
