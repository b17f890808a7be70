//! Commands about clients.

use super::{Moment, Ruled, once, rows::Rows, zone};
use crate::{
    client::{Client, ClientStatus},
    command::{AddClient, RevokeToken, SetClientStatus},
    id::{ClientId, RequestId},
    outcome::{Outcome, Rejection},
    signing_key::RevokedToken,
    table::{Table, Tables},
};

/// The longest name, hash of a secret or domain of a client, in bytes.
pub(super) const MAX_FIELD_BYTES: usize = 256;
/// The most domains, or scopes, of a client.
pub(super) const MAX_LIST_LEN: usize = 1_000;
/// The longest id of a token, in bytes.
const MAX_TOKEN_ID_BYTES: usize = 64;
/// How long a revocation is kept beyond the end of its token, in milliseconds of log time: longer than the clock of any node that
/// checks tokens may be behind that of the log.
const REVOCATION_MARGIN_MS: u64 = 60 * 60 * 1_000;
/// The longest that a revocation is kept at all, in milliseconds of log time. It bounds what a wrong time of a token can cost.
const REVOCATION_MAX_MS: u64 = 32 * 24 * 60 * 60 * 1_000;

pub(super) fn add(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, add: &AddClient) -> Ruled {
    let client = Client {
        id: ClientId::from_request(request),
        name: add.name.clone(),
        secret_hash: add.secret_hash.clone(),
        scopes: add.scopes.clone(),
        domains: add.domains.clone(),
        status: ClientStatus::Active,
        created_at_ms: now.log_time_ms,
    };
    if !fits(&client) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Some(host) = zone::has_domain(rows, &client.domains)? {
        return Ok(Err(Rejection::HostTaken { host }));
    }
    rows.put(Table::Clients, client.id.as_str().as_bytes(), &client)?;
    Ok(Ok(Outcome::ClientAdded(client.id)))
}

/// Whether a row may hold the client.
pub(super) fn fits(client: &Client) -> bool {
    [&client.name, &client.secret_hash].into_iter().chain(&client.domains).all(|text| text.len() <= MAX_FIELD_BYTES)
        && client.domains.len().max(client.scopes.len()) <= MAX_LIST_LEN
}

pub(super) fn set_status(rows: &mut Rows<'_, impl Tables>, change: &SetClientStatus) -> Ruled {
    let key = change.client.as_str().as_bytes();
    let Some(client) = rows.get::<Client>(Table::Clients, key)? else {
        return Ok(Err(Rejection::ClientUnknown));
    };
    rows.put(Table::Clients, key, &Client { status: change.status, ..client })?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn revoke_token(rows: &mut Rows<'_, impl Tables>, now: Moment, revoke: &RevokeToken) -> Ruled {
    if revoke.token.is_empty() || revoke.token.len() > MAX_TOKEN_ID_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if rows.get::<Client>(Table::Clients, revoke.client.as_str().as_bytes())?.is_none() {
        return Ok(Err(Rejection::ClientUnknown));
    }
    let key = revoke.token.as_bytes();
    let until = revoke.expires_at_ms.saturating_add(REVOCATION_MARGIN_MS).min(now.log_time_ms.saturating_add(REVOCATION_MAX_MS));
    // Of a token whose time is long over there is nothing to keep; and what is kept stays kept until the first time that it was given.
    if until > now.log_time_ms && rows.get_raw(Table::RevokedTokens, key)?.is_none() {
        rows.put(Table::RevokedTokens, key, &RevokedToken { client: revoke.client.clone(), revoked_at_ms: now.log_time_ms })?;
        once::forget_at(rows, until, Table::RevokedTokens, key);
    }
    Ok(Ok(Outcome::Done))
}
