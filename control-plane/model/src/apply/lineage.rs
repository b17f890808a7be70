//! The beginning of a lineage: the one change of the state that is no command.
//!
//! No log carries it, so nobody can propose it, it needs no number among the commands and no schema level, and it works at
//! whatever level the cluster was when it lost its quorum. It is made once, offline, by the node that the lineage begins with;
//! every other node of the lineage gets it within a checkpoint.

use super::{ApplyError, cluster::members, node::is_too_long, placement, rows::Rows};
use crate::{
    cluster::ClusterState,
    id::NodeId,
    join_token::JoinToken,
    lineage::{BeginLineage, Begun, Founder, Lineage, NotBegun},
    node::{Node, NodeState},
    schema::SchemaRange,
    signing_key::SigningKey,
    table::{Table, Tables},
};

/// Makes the state that of a cluster of one node, in a lineage that begins at `index`.
///
/// All other nodes are cut off for ever, with what they reported. The join tokens end too: how often they were used in what is
/// lost is not known. Nothing is written if the lineage cannot begin.
///
/// # Errors
/// [`ApplyError`]: the state cannot be read or written, and is not to be used.
pub fn begin_lineage(tables: &mut impl Tables, index: u64, begin: &BeginLineage) -> Result<Result<Begun, NotBegun>, ApplyError> {
    let mut rows = Rows::new(tables);
    let Some(state) = rows.get::<ClusterState>(Table::Cluster, &[])? else {
        return Ok(Err(NotBegun::NotInitialised));
    };
    let members = members(&rows)?;
    if let Err(refusal) = check(&state, &members, index, begin) {
        return Ok(Err(refusal));
    }
    let log_time_ms = state.log_time_ms.max(begin.at_ms);
    let (founder, cluster_id) = match &begin.founder {
        Founder::Survivor(id) => (*id, state.cluster_id),
        Founder::Stranger { cluster_id, node } => (node.node, *cluster_id),
    };
    let mut removed = Vec::new();
    for node in members {
        let key = node.id.0.to_be_bytes();
        if node.id == founder {
            rows.put(Table::Nodes, &key, &Node { voter: true, state: NodeState::Active, ..node })?;
            continue;
        }
        rows.put(Table::Nodes, &key, &Node { state: NodeState::Removed, ..node.clone() })?;
        rows.delete(Table::Reports, &key);
        removed.push(node);
    }
    for token in rows.first::<JoinToken>(Table::JoinTokens, usize::MAX)? {
        rows.delete(Table::JoinTokens, &token.id.0);
    }
    if let Founder::Stranger { node, .. } = &begin.founder {
        for key in rows.first::<SigningKey>(Table::SigningKeys, usize::MAX)? {
            rows.delete(Table::SigningKeys, key.id.as_bytes());
        }
        rows.put(Table::Nodes, &node.node.0.to_be_bytes(), &Node::first(node, log_time_ms))?;
    }
    placement::nodes_changed(&mut rows, index)?;
    let lineage = Lineage { number: begin.number, base: begin.base, node: founder, began_at_ms: log_time_ms };
    rows.put(Table::Cluster, &begin.number.to_be_bytes(), &lineage)?;
    rows.put(Table::Cluster, &[], &ClusterState { cluster_id, lineage: begin.number, log_time_ms, ..state })?;
    Ok(Ok(Begun { lineage, removed }))
}

fn check(state: &ClusterState, members: &[Node], index: u64, begin: &BeginLineage) -> Result<(), NotBegun> {
    if begin.number <= state.lineage {
        return Err(NotBegun::NotLater { lineage: state.lineage });
    }
    if begin.base >= index {
        return Err(NotBegun::NotAfter { index, base: begin.base });
    }
    let schema = match &begin.founder {
        Founder::Survivor(id) if members.iter().any(|node| node.id == *id) => SchemaRange::BUILD,
        Founder::Survivor(id) => return Err(NotBegun::NotMember(*id)),
        Founder::Stranger { node, .. } if is_too_long(node) || node.node != NodeId(index) => return Err(NotBegun::Description),
        Founder::Stranger { node, .. } => node.schema,
    };
    if schema.includes(state.schema_level) { Ok(()) } else { Err(NotBegun::Schema { level: state.schema_level }) }
}
