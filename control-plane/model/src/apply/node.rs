//! Commands about nodes: joining, announcing themselves, leaving, and what they hold.

use super::{Moment, Ruled, cluster::members, placement, rows::Rows};
use crate::{
    cluster::ClusterState,
    command::{AddNode, CreateJoinToken, UpdateNode},
    id::{JoinTokenId, NodeId},
    join_token::JoinToken,
    node::{Node, NodeState},
    outcome::{Outcome, Rejection},
    replication::{MAX_EXCEPTIONS, NodeReport},
    table::{Table, Tables},
};

/// The longest name, region or address of a node, in bytes.
const MAX_FIELD_BYTES: usize = 256;

pub(super) fn add(rows: &mut Rows<'_, impl Tables>, now: Moment, state: &ClusterState, add: &AddNode) -> Ruled {
    if [&add.name, &add.region, &add.cluster_address, &add.http_address, &add.software].iter().any(|text| text.len() > MAX_FIELD_BYTES) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let Some(token) = rows.get::<JoinToken>(Table::JoinTokens, &add.token.0)? else {
        return Ok(Err(Rejection::TokenUnknown));
    };
    if token.expires_at_ms <= now.log_time_ms {
        return Ok(Err(Rejection::TokenExpired));
    }
    if token.uses_left == 0 {
        return Ok(Err(Rejection::TokenSpent));
    }
    if token.region.as_ref().is_some_and(|region| *region != add.region) {
        return Ok(Err(Rejection::TokenRegion));
    }
    let id = NodeId(now.index);
    if !add.schema.includes(state.schema_level) {
        return Ok(Err(Rejection::SchemaUnsupported { node: id, level: state.schema_level }));
    }
    if members(rows)?.iter().any(|node| node.name == add.name) {
        return Ok(Err(Rejection::NodeNameTaken));
    }
    let node = Node {
        id,
        name: add.name.clone(),
        region: add.region.clone(),
        cluster_address: add.cluster_address.clone(),
        http_address: add.http_address.clone(),
        voter: token.voter,
        state: NodeState::Active,
        schema: add.schema,
        software: add.software.clone(),
        incarnation: 0,
        added_at_ms: now.log_time_ms,
    };
    rows.put(Table::Nodes, &id.0.to_be_bytes(), &node)?;
    placement::nodes_changed(rows, now.index)?;
    // A spent token stays until it expires: a joiner that lost the answer shows its proof again, and gets the same answer.
    rows.put(Table::JoinTokens, &token.id.0, &JoinToken { uses_left: token.uses_left - 1, ..token.clone() })?;
    Ok(Ok(Outcome::NodeAdded(id)))
}

pub(super) fn update(rows: &mut Rows<'_, impl Tables>, now: Moment, state: &ClusterState, update: &UpdateNode) -> Ruled {
    if is_too_long(update) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let node = match member(rows, update.node)? {
        Ok(node) => node,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if update.incarnation < node.incarnation {
        return Ok(Err(Rejection::Superseded));
    }
    if !update.schema.includes(state.schema_level) {
        return Ok(Err(Rejection::SchemaUnsupported { node: node.id, level: state.schema_level }));
    }
    if members(rows)?.iter().any(|other| other.id != node.id && other.name == update.name) {
        return Ok(Err(Rejection::NodeNameTaken));
    }
    let moves = node.region != update.region;
    let updated = Node {
        name: update.name.clone(),
        region: update.region.clone(),
        cluster_address: update.cluster_address.clone(),
        http_address: update.http_address.clone(),
        schema: update.schema,
        software: update.software.clone(),
        incarnation: update.incarnation,
        ..node
    };
    rows.put(Table::Nodes, &updated.id.0.to_be_bytes(), &updated)?;
    if moves {
        placement::nodes_changed(rows, now.index)?;
    }
    Ok(Ok(Outcome::Done))
}

pub(super) fn set_state(rows: &mut Rows<'_, impl Tables>, now: Moment, id: NodeId, state: NodeState) -> Ruled {
    let node = match member(rows, id)? {
        Ok(node) => node,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if node.state != state {
        placement::nodes_changed(rows, now.index)?;
    }
    rows.put(Table::Nodes, &id.0.to_be_bytes(), &Node { state, ..node })?;
    if state == NodeState::Removed {
        rows.delete(Table::Reports, &id.0.to_be_bytes());
        rows.delete(Table::Relays, &id.0.to_be_bytes());
        rows.delete(Table::UsageMarks, &id.0.to_be_bytes());
    }
    Ok(Ok(Outcome::Done))
}

pub(super) fn set_voter(rows: &mut Rows<'_, impl Tables>, id: NodeId, voter: bool) -> Ruled {
    let node = match member(rows, id)? {
        Ok(node) => node,
        Err(rejection) => return Ok(Err(rejection)),
    };
    rows.put(Table::Nodes, &id.0.to_be_bytes(), &Node { voter, ..node })?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn set_relay(rows: &mut Rows<'_, impl Tables>, id: NodeId, relay: bool) -> Ruled {
    if let Err(rejection) = member(rows, id)? {
        return Ok(Err(rejection));
    }
    match relay {
        true => rows.put_raw(Table::Relays, &id.0.to_be_bytes(), &[]),
        false => rows.delete(Table::Relays, &id.0.to_be_bytes()),
    }
    Ok(Ok(Outcome::Done))
}

pub(super) fn create_token(rows: &mut Rows<'_, impl Tables>, now: Moment, create: &CreateJoinToken) -> Ruled {
    if create.region.as_ref().is_some_and(|region| region.len() > MAX_FIELD_BYTES) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    for token in rows.first::<JoinToken>(Table::JoinTokens, usize::MAX)? {
        if token.expires_at_ms <= now.log_time_ms {
            rows.delete(Table::JoinTokens, &token.id.0);
        }
    }
    let token = JoinToken {
        id: create.id,
        verifier: create.verifier,
        voter: create.voter,
        region: create.region.clone(),
        uses_left: create.uses.max(1),
        expires_at_ms: now.log_time_ms.saturating_add(create.lifetime_ms),
    };
    rows.put(Table::JoinTokens, &create.id.0, &token)?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn revoke_token(rows: &mut Rows<'_, impl Tables>, id: JoinTokenId) -> Ruled {
    if rows.get_raw(Table::JoinTokens, &id.0)?.is_none() {
        return Ok(Err(Rejection::TokenUnknown));
    }
    rows.delete(Table::JoinTokens, &id.0);
    Ok(Ok(Outcome::Done))
}

pub(super) fn report(rows: &mut Rows<'_, impl Tables>, report: &NodeReport) -> Ruled {
    if report.exceptions.len() > MAX_EXCEPTIONS {
        return Ok(Err(Rejection::TooManyExceptions));
    }
    if let Err(rejection) = member(rows, report.node)? {
        return Ok(Err(rejection));
    }
    let key = report.node.0.to_be_bytes();
    let newest = rows.get::<NodeReport>(Table::Reports, &key)?.map(|known| (known.incarnation, known.sequence));
    if newest.is_some_and(|newest| newest >= (report.incarnation, report.sequence)) {
        return Ok(Err(Rejection::Superseded));
    }
    rows.put(Table::Reports, &key, report)?;
    Ok(Ok(Outcome::Done))
}

/// Whether a text of the node's description is longer than a row may hold.
pub(super) fn is_too_long(node: &UpdateNode) -> bool {
    [&node.name, &node.region, &node.cluster_address, &node.http_address, &node.software].iter().any(|text| text.len() > MAX_FIELD_BYTES)
}

pub(super) fn member(rows: &Rows<'_, impl Tables>, id: NodeId) -> Result<Result<Node, Rejection>, super::ApplyError> {
    Ok(match rows.get::<Node>(Table::Nodes, &id.0.to_be_bytes())? {
        None => Err(Rejection::NodeUnknown),
        Some(node) if node.state == NodeState::Removed => Err(Rejection::NodeRemoved(id)),
        Some(node) => Ok(node),
    })
}
