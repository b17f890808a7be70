//! Commands about the cluster as a whole.

use super::{ApplyError, Moment, Ruled, node::is_too_long, rows::Rows};
use crate::{
    cluster::ClusterState,
    command::{AddSigningKey, InitCluster},
    node::{Node, NodeState},
    outcome::{Outcome, Rejection},
    revision::Revision,
    schema::SCHEMA_MIN,
    signing_key::SigningKey,
    table::{Table, Tables},
};

/// The longest name or public half of a signing key, in bytes.
const MAX_KEY_FIELD_BYTES: usize = 256;
/// The longest sealed private half of a signing key, in bytes.
const MAX_SEALED_BYTES: usize = 4_096;

pub(super) fn init(rows: &mut Rows<'_, impl Tables>, now: Moment, state: Option<&ClusterState>, init: &InitCluster) -> Ruled {
    if state.is_some() {
        return Ok(Err(Rejection::AlreadyInitialised));
    }
    let node = &init.node;
    if is_too_long(node) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if !node.schema.includes(SCHEMA_MIN) {
        return Ok(Err(Rejection::SchemaUnsupported { node: node.node, level: SCHEMA_MIN }));
    }
    let cluster = ClusterState {
        cluster_id: init.cluster_id,
        lineage: Revision::FIRST_LINEAGE,
        schema_level: SCHEMA_MIN,
        log_time_ms: now.log_time_ms,
        forgotten_until_ms: 0,
    };
    rows.put(Table::Cluster, &[], &cluster)?;
    let first = Node::first(node, now.log_time_ms);
    rows.put(Table::Nodes, &first.id.0.to_be_bytes(), &first)?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn raise_schema(rows: &mut Rows<'_, impl Tables>, level: u32) -> Ruled {
    let Some(state) = rows.get::<ClusterState>(Table::Cluster, &[])? else {
        return Ok(Err(Rejection::NotInitialised));
    };
    if level != state.schema_level + 1 {
        return Ok(Err(Rejection::SchemaNotNext { level: state.schema_level }));
    }
    if let Some(node) = members(rows)?.iter().find(|node| !node.schema.includes(level)) {
        return Ok(Err(Rejection::SchemaUnsupported { node: node.id, level }));
    }
    rows.put(Table::Cluster, &[], &ClusterState { schema_level: level, ..state })?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn add_signing_key(rows: &mut Rows<'_, impl Tables>, now: Moment, key: &AddSigningKey) -> Ruled {
    if key.id.len() > MAX_KEY_FIELD_BYTES || key.public.len() > MAX_KEY_FIELD_BYTES || key.sealed_private.len() > MAX_SEALED_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let row = SigningKey {
        id: key.id.clone(),
        public: key.public.clone(),
        sealed_private: key.sealed_private.clone(),
        created_at_ms: now.log_time_ms,
    };
    rows.put(Table::SigningKeys, key.id.as_bytes(), &row)?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn remove_signing_key(rows: &mut Rows<'_, impl Tables>, id: &str) -> Ruled {
    if rows.get_raw(Table::SigningKeys, id.as_bytes())?.is_none() {
        return Ok(Err(Rejection::SigningKeyUnknown));
    }
    rows.delete(Table::SigningKeys, id.as_bytes());
    Ok(Ok(Outcome::Done))
}

/// The nodes that were not removed.
pub(super) fn members(rows: &Rows<'_, impl Tables>) -> Result<Vec<Node>, ApplyError> {
    let mut nodes: Vec<Node> = rows.first(Table::Nodes, usize::MAX)?;
    nodes.retain(|node| node.state != NodeState::Removed);
    Ok(nodes)
}
