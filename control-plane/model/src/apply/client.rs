//! Commands about clients.

use super::{Moment, Ruled, rows::Rows};
use crate::{
    client::{Client, ClientStatus},
    command::{AddClient, SetClientStatus},
    id::{ClientId, RequestId},
    outcome::{Outcome, Rejection},
    table::{Table, Tables},
};

/// The longest name, hash of a secret or domain of a client, in bytes.
const MAX_FIELD_BYTES: usize = 256;
/// The most domains, or scopes, of a client.
const MAX_LIST_LEN: usize = 1_000;

pub(super) fn add(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, add: &AddClient) -> Ruled {
    if [&add.name, &add.secret_hash].into_iter().chain(&add.domains).any(|text| text.len() > MAX_FIELD_BYTES)
        || add.domains.len().max(add.scopes.len()) > MAX_LIST_LEN
    {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let client = Client {
        id: ClientId::from_request(request),
        name: add.name.clone(),
        secret_hash: add.secret_hash.clone(),
        scopes: add.scopes.clone(),
        domains: add.domains.clone(),
        status: ClientStatus::Active,
        created_at_ms: now.log_time_ms,
    };
    rows.put(Table::Clients, client.id.as_str().as_bytes(), &client)?;
    Ok(Ok(Outcome::ClientAdded(client.id)))
}

pub(super) fn set_status(rows: &mut Rows<'_, impl Tables>, change: &SetClientStatus) -> Ruled {
    let key = change.client.as_str().as_bytes();
    let Some(client) = rows.get::<Client>(Table::Clients, key)? else {
        return Ok(Err(Rejection::ClientUnknown));
    };
    rows.put(Table::Clients, key, &Client { status: change.status, ..client })?;
    Ok(Ok(Outcome::Done))
}
