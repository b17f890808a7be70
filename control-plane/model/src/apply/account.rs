//! Commands about the accounts of clients, and what changes of assets add to and take from them.

use super::{ApplyError, Moment, Ruled, client, refresh, rows::Rows, zone};
use crate::{
    account::{Account, Plan, Stored},
    asset::Asset,
    client::Client,
    command::{RegisterClient, RotateSecret, UpdateClient},
    id::{ClientId, RequestId},
    outcome::{Outcome, Rejection},
    table::{Table, TableError, Tables},
};

/// How many assets are counted at a time.
const CHUNK: usize = 1_000;
/// The most ranges of addresses of a client.
const MAX_IP_RANGES: usize = 100;

pub(super) fn register(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, register: &RegisterClient) -> Ruled {
    let client = Client {
        id: ClientId::from_request(request),
        name: register.name.clone(),
        secret_hash: register.secret_hash.clone(),
        scopes: register.scopes.clone(),
        domains: register.domains.clone(),
        status: register.status,
        created_at_ms: now.log_time_ms,
    };
    let account = Account {
        plan: register.plan.clone(),
        ip_ranges: register.ip_ranges.clone(),
        since_ms: register.since_ms.unwrap_or(now.log_time_ms),
        secret_set_at: now.index,
    };
    if !fits(&client, &account) || register.refresh.as_ref().is_some_and(|refresh| !refresh::fits(refresh)) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Some(host) = zone::has_domain(rows, &client.domains)? {
        return Ok(Err(Rejection::HostTaken { host }));
    }
    let key = client.id.as_str().as_bytes();
    rows.put(Table::Clients, key, &client)?;
    rows.put(Table::Accounts, key, &account)?;
    rows.put(Table::Stored, key, &Stored::default())?;
    if let Some(first) = &register.refresh {
        refresh::put_new(rows, now, &client.id, first)?;
    }
    Ok(Ok(Outcome::ClientAdded(client.id)))
}

pub(super) fn update(rows: &mut Rows<'_, impl Tables>, update: &UpdateClient) -> Ruled {
    let key = update.client.as_str().as_bytes();
    let Some(before) = rows.get::<Client>(Table::Clients, key)? else {
        return Ok(Err(Rejection::ClientUnknown));
    };
    let account = of(rows, &before)?;
    let client = Client {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        scopes: update.scopes.clone().unwrap_or_else(|| before.scopes.clone()),
        domains: update.domains.clone().unwrap_or_else(|| before.domains.clone()),
        status: update.status.unwrap_or(before.status),
        ..before
    };
    let account = Account {
        plan: update.plan.clone().unwrap_or_else(|| account.plan.clone()),
        ip_ranges: update.ip_ranges.clone().unwrap_or_else(|| account.ip_ranges.clone()),
        ..account
    };
    if !fits(&client, &account) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Some(host) = zone::has_domain(rows, update.domains.as_deref().unwrap_or_default())? {
        return Ok(Err(Rejection::HostTaken { host }));
    }
    rows.put(Table::Clients, key, &client)?;
    keep(rows, &client.id, &account)
}

/// Another secret. What was got with the one before is good for nothing any more.
pub(super) fn rotate_secret(rows: &mut Rows<'_, impl Tables>, now: Moment, rotate: &RotateSecret) -> Ruled {
    let key = rotate.client.as_str().as_bytes();
    let Some(before) = rows.get::<Client>(Table::Clients, key)? else {
        return Ok(Err(Rejection::ClientUnknown));
    };
    let account = Account { secret_set_at: now.index, ..of(rows, &before)? };
    let client = Client { secret_hash: rotate.secret_hash.clone(), ..before };
    if !fits(&client, &account) || rotate.refresh.as_ref().is_some_and(|refresh| !refresh::fits(refresh)) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    rows.put(Table::Clients, key, &client)?;
    refresh::end_all(rows, &client.id)?;
    if let Some(first) = &rotate.refresh {
        refresh::put_new(rows, now, &client.id, first)?;
    }
    keep(rows, &client.id, &account)
}

/// The end of a client that has neither assets nor zones. Its id is never used again.
pub(super) fn delete(rows: &mut Rows<'_, impl Tables>, client: &ClientId) -> Ruled {
    let key = client.as_str().as_bytes();
    if rows.get_raw(Table::Clients, key)?.is_none() {
        return Ok(Err(Rejection::ClientUnknown));
    }
    if !rows.scan_prefix(Table::ClientAssets, &rows_of(client), &[], 1)?.is_empty() {
        return Ok(Err(Rejection::ClientHasAssets));
    }
    if zone::has_any(rows, client)? {
        return Ok(Err(Rejection::ClientHasZones));
    }
    refresh::end_all(rows, client)?;
    for table in [Table::Clients, Table::Accounts, Table::Stored, Table::Placements] {
        rows.delete(table, key);
    }
    // No more rows than are kept of one client.
    for table in [Table::UsageHours, Table::UsageDays] {
        for (used, _) in rows.scan_prefix(table, &rows_of(client), &[], usize::MAX)? {
            rows.delete(table, &used);
        }
    }
    Ok(Ok(Outcome::Done))
}

/// Counts what becomes of the assets of a client: one of `before` bytes gives way to one of `after` bytes. Refused if the client then
/// has more than its plan allows, and more than it had. Nothing is written then.
pub(super) fn count(
    rows: &mut Rows<'_, impl Tables>,
    client: &ClientId,
    before: Option<u64>,
    after: Option<u64>,
) -> Result<Result<(), Rejection>, ApplyError> {
    let key = client.as_str().as_bytes();
    let Some(stored) = rows.get::<Stored>(Table::Stored, key)? else { return Ok(Ok(())) };
    let used = Stored {
        assets: stored.assets.saturating_sub(u64::from(before.is_some())).saturating_add(u64::from(after.is_some())),
        bytes: stored.bytes.saturating_sub(before.unwrap_or(0)).saturating_add(after.unwrap_or(0)),
    };
    let account = rows.get::<Account>(Table::Accounts, key)?;
    match account.and_then(|account| account.plan.storage_bytes) {
        Some(quota) if used.bytes > quota && used.bytes > stored.bytes => Ok(Err(Rejection::StorageQuota { quota, used: stored.bytes })),
        _ => {
            rows.put(Table::Stored, key, &used)?;
            Ok(Ok(()))
        }
    }
}

/// The account of a client: a new one for a client that is older than accounts are.
fn of(rows: &Rows<'_, impl Tables>, client: &Client) -> Result<Account, ApplyError> {
    let account = rows.get::<Account>(Table::Accounts, client.id.as_str().as_bytes())?;
    Ok(account.unwrap_or_else(|| Account { since_ms: client.created_at_ms, ..Account::default() }))
}

/// Writes the account. From the first time on, what the client uses is counted.
fn keep(rows: &mut Rows<'_, impl Tables>, client: &ClientId, account: &Account) -> Ruled {
    let key = client.as_str().as_bytes();
    if rows.get_raw(Table::Stored, key)?.is_none() {
        let stored = used(rows, client)?;
        rows.put(Table::Stored, key, &stored)?;
    }
    rows.put(Table::Accounts, key, account)?;
    Ok(Ok(Outcome::Done))
}

/// What a client uses, asset by asset.
fn used(rows: &Rows<'_, impl Tables>, client: &ClientId) -> Result<Stored, ApplyError> {
    let prefix = rows_of(client);
    let mut stored = Stored::default();
    let mut from = Vec::new();
    loop {
        let keys = rows.scan_prefix(Table::ClientAssets, &prefix, &from, CHUNK)?;
        for (key, _) in &keys {
            let asset = rows.get::<Asset>(Table::Assets, &key[prefix.len()..])?;
            let asset = asset.ok_or(ApplyError::Table(TableError::Dangling { table: Table::ClientAssets }))?;
            stored = Stored { assets: stored.assets + 1, bytes: stored.bytes.saturating_add(asset.size) };
        }
        match keys.last() {
            Some((last, _)) if keys.len() == CHUNK => from = [last.as_slice(), &[0]].concat(),
            _ => return Ok(stored),
        }
    }
}

fn rows_of(client: &ClientId) -> Vec<u8> {
    [client.as_str().as_bytes(), &[0]].concat()
}

fn fits(client: &Client, Account { plan: Plan { name, .. }, ip_ranges, .. }: &Account) -> bool {
    client::fits(client) && name.len() <= client::MAX_FIELD_BYTES && ip_ranges.len() <= MAX_IP_RANGES
}
