//! Applying one entry of the log to the state.
//!
//! This file holds what is the same for every command: the time of the log, answers that are known already, the schema level,
//! and the answers that are kept. What a command does stands in a file of its own kind.

mod account;
mod administrator;
mod asset;
mod client;
mod cluster;
mod lineage;
mod node;
mod once;
mod placement;
mod refresh;
mod rows;
mod upload;
mod usage;
mod zone;

pub use lineage::begin_lineage;
pub use once::{IDEMPOTENCY_RETENTION_MS, REQUEST_RETENTION_MS};

use crate::{
    cluster::ClusterState,
    codec::CodecError,
    command::Command,
    outcome::{Outcome, Rejection},
    proposal::Proposal,
    revision::Revision,
    table::{Table, TableError, Tables},
};
use rows::Rows;

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The outcome; of the first time, if the request was applied before.
    pub outcome: Outcome,
    /// The index at which it was applied: an earlier one, if it was applied before.
    pub index: u64,
    /// The lineage of the state after it.
    pub lineage: u32,
}

/// Why an entry cannot be applied. The node stops.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The state cannot be read.
    #[error("the state cannot be read")]
    Table(#[source] TableError),
    /// A record cannot be written.
    #[error("a record cannot be encoded")]
    Encode(#[source] CodecError),
}

/// What a command's own rule gives: an outcome, or the reason why nothing was done.
type Ruled = Result<Result<Outcome, Rejection>, ApplyError>;

/// When and where an entry is applied.
#[derive(Debug, Clone, Copy)]
struct Moment {
    index: u64,
    log_time_ms: u64,
}

/// Applies the entry at `index`. Rows are written only if the command is carried out, apart from the time of the log and the
/// record of the answer.
///
/// # Errors
/// [`ApplyError`], and then the node must stop: its state is not to be used any more.
pub fn apply(tables: &mut impl Tables, index: u64, proposal: &Proposal) -> Result<Applied, ApplyError> {
    let mut rows = Rows::new(tables);
    let state: Option<ClusterState> = rows.get(Table::Cluster, &[])?;
    let log_time_ms = proposal.log_time_ms.max(state.as_ref().map_or(0, |state| state.log_time_ms));
    let moment = Moment { index, log_time_ms };

    if let Some(state) = &state {
        let forgotten_until_ms = once::forget_expired(&mut rows, state.forgotten_until_ms, log_time_ms)?;
        rows.put(Table::Cluster, &[], &ClusterState { log_time_ms, forgotten_until_ms, ..state.clone() })?;
    }
    let lineage = state.as_ref().map_or(Revision::FIRST_LINEAGE, |state| state.lineage);
    if let Some(known) = once::known_answer(&mut rows, proposal, moment)? {
        return Ok(Applied { lineage, ..known });
    }
    let outcome = rule(&mut rows, moment, state.as_ref(), proposal)?.unwrap_or_else(Outcome::Rejected);
    once::remember(&mut rows, proposal, moment, &outcome)?;
    Ok(Applied { outcome, index, lineage })
}

fn rule(rows: &mut Rows<'_, impl Tables>, now: Moment, state: Option<&ClusterState>, proposal: &Proposal) -> Ruled {
    let command = &proposal.command;
    if let Command::InitCluster(init) = command {
        return cluster::init(rows, now, state, init);
    }
    let Some(state) = state else {
        return Ok(Err(Rejection::NotInitialised));
    };
    let needed = command.schema_level();
    if needed > state.schema_level {
        return Ok(Err(Rejection::SchemaTooLow { needed, level: state.schema_level }));
    }
    match command {
        Command::InitCluster(_) => Ok(Err(Rejection::AlreadyInitialised)),
        Command::RaiseSchema { level } => cluster::raise_schema(rows, *level),
        Command::AddSigningKey(key) => cluster::add_signing_key(rows, now, key),
        Command::AddNode(node) => node::add(rows, now, state, node),
        Command::UpdateNode(node) => node::update(rows, now, state, node),
        Command::SetNodeState { node, state } => node::set_state(rows, now, *node, *state),
        Command::SetVoter { node, voter } => node::set_voter(rows, *node, *voter),
        Command::SetRelay { node, relay } => node::set_relay(rows, *node, *relay),
        Command::CreateJoinToken(token) => node::create_token(rows, now, token),
        Command::RevokeJoinToken { id } => node::revoke_token(rows, *id),
        Command::ReportHoldings(report) => node::report(rows, report),
        Command::AddClient(client) => client::add(rows, now, proposal.request, client),
        Command::SetClientStatus(change) => client::set_status(rows, change),
        Command::PutAsset(put) => asset::put(rows, now, proposal.request, put),
        Command::DeleteAsset(delete) => asset::delete(rows, delete),
        Command::PatchAsset(patch) => asset::patch(rows, now, patch),
        Command::PurgeAssets(purge) => asset::purge(rows, now, purge),
        Command::RevokeToken(revoke) => client::revoke_token(rows, now, revoke),
        Command::SetPlacement(set) => placement::set(rows, now, set),
        Command::RemovePlacement { client, prefix } => placement::remove(rows, now, client, prefix),
        Command::PutAssetAs(put) => asset::put_as(rows, now, proposal.request, put),
        Command::DescribeAsset(describe) => asset::describe(rows, now, describe),
        Command::MoveAsset(change) => asset::move_to(rows, now, change),
        Command::ReportUsage(report) => usage::report(rows, now, report),
        Command::RegisterClient(register) => account::register(rows, now, proposal.request, register),
        Command::UpdateClient(update) => account::update(rows, update),
        Command::RotateSecret(rotate) => account::rotate_secret(rows, now, rotate),
        Command::DeleteClient { client } => account::delete(rows, client),
        Command::AddRefreshToken(add) => refresh::add(rows, now, add),
        Command::UseRefreshToken(used) => refresh::use_token(rows, now, used),
        Command::RevokeRefreshToken { client, family } => refresh::revoke(rows, client, family),
        Command::RemoveSigningKey { id } => cluster::remove_signing_key(rows, id),
        Command::AddAdministrator(add) => administrator::add(rows, now, proposal.request, add),
        Command::RemoveAdministrator { administrator } => administrator::remove(rows, administrator),
        Command::CreateUpload(create) => upload::create(rows, now, proposal.request, create),
        Command::AppendUpload(append) => upload::append(rows, now, append),
        Command::CompleteUpload(complete) => upload::complete(rows, now, proposal.request, complete),
        Command::EndUpload(end) => upload::end(rows, now, end),
        Command::DeleteAssets(delete) => asset::delete_all(rows, delete),
        Command::PurgeWithin(within) => asset::purge_within(rows, now, within),
        Command::CreateZone(create) => zone::create(rows, now, proposal.request, create),
        Command::CreateShieldedZone(create) => zone::create_shielded(rows, now, proposal.request, create),
        Command::UpdateZone(update) => zone::update(rows, now, update),
        Command::ShieldZone(shield) => zone::shield(rows, now, shield),
        Command::RemoveZone(remove) => zone::remove(rows, remove),
        Command::PurgeZone(purge) => zone::purge(rows, now, purge),
    }
}
