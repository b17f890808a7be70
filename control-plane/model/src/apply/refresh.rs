//! Commands about refresh tokens.

use super::{ApplyError, Moment, Ruled, client, once, rows::Rows};
use crate::{
    client::{Client, ClientStatus},
    command::{AddRefreshToken, NewRefreshToken, UseRefreshToken},
    id::ClientId,
    outcome::{Outcome, Rejection},
    refresh_token::{MAX_REFRESH_FAMILIES, REFRESH_MARGIN_MS, RefreshFamily},
    table::{Table, Tables},
};

pub(super) fn add(rows: &mut Rows<'_, impl Tables>, now: Moment, add: &AddRefreshToken) -> Ruled {
    if rows.get_raw(Table::Clients, add.client.as_str().as_bytes())?.is_none() {
        return Ok(Err(Rejection::ClientUnknown));
    }
    if !fits(&add.token) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let families = rows.scan_prefix(Table::RefreshFamilies, &key(&add.client, &[]), &[], MAX_REFRESH_FAMILIES)?;
    if families.len() >= MAX_REFRESH_FAMILIES {
        return Ok(Err(Rejection::TooManyRefreshTokens));
    }
    put_new(rows, now, &add.client, &add.token)?;
    Ok(Ok(Outcome::Done))
}

/// The first to show the token that is good now gets the next. Whoever shows another one of the family ends it.
pub(super) fn use_token(rows: &mut Rows<'_, impl Tables>, now: Moment, used: &UseRefreshToken) -> Ruled {
    let key = key(&used.client, &used.family);
    let known = rows.get::<RefreshFamily>(Table::RefreshFamilies, &key)?;
    let Some(family) = known.filter(|family| family.expires_at_ms > now.log_time_ms) else {
        return Ok(Err(Rejection::RefreshUnknown));
    };
    match rows.get::<Client>(Table::Clients, used.client.as_str().as_bytes())? {
        None => return Ok(Err(Rejection::ClientUnknown)),
        Some(client) if client.status == ClientStatus::Suspended => return Ok(Err(Rejection::ClientBlocked)),
        Some(_) => {}
    }
    end(rows, &key, &family);
    if family.secret_hash != used.secret_hash {
        return Ok(Ok(Outcome::RefreshReused));
    }
    let expires_at_ms = now.log_time_ms.saturating_add(family.idle_ms).min(family.ends_at_ms);
    put(rows, &key, &RefreshFamily { secret_hash: used.next_hash, uses: family.uses.saturating_add(1), expires_at_ms, ..family })?;
    Ok(Ok(Outcome::Done))
}

pub(super) fn revoke(rows: &mut Rows<'_, impl Tables>, client: &ClientId, family: &[u8; 16]) -> Ruled {
    let key = key(client, family);
    if let Some(family) = rows.get::<RefreshFamily>(Table::RefreshFamilies, &key)? {
        end(rows, &key, &family);
    }
    Ok(Ok(Outcome::Done))
}

pub(super) fn fits(token: &NewRefreshToken) -> bool {
    token.scopes.len() <= client::MAX_LIST_LEN
}

/// A family, whose first token was not used yet. The caller has seen that it [`fits`].
pub(super) fn put_new(rows: &mut Rows<'_, impl Tables>, now: Moment, client: &ClientId, token: &NewRefreshToken) -> Result<(), ApplyError> {
    let ends_at_ms = now.log_time_ms.saturating_add(token.life_ms);
    let family = RefreshFamily {
        scopes: token.scopes.clone(),
        secret_hash: token.secret_hash,
        uses: 0,
        created_at_ms: now.log_time_ms,
        expires_at_ms: now.log_time_ms.saturating_add(token.idle_ms).min(ends_at_ms),
        idle_ms: token.idle_ms,
        ends_at_ms,
    };
    let key = key(client, &token.family);
    if let Some(before) = rows.get::<RefreshFamily>(Table::RefreshFamilies, &key)? {
        end(rows, &key, &before);
    }
    put(rows, &key, &family)
}

/// Ends every family of a client.
pub(super) fn end_all(rows: &mut Rows<'_, impl Tables>, client: &ClientId) -> Result<(), ApplyError> {
    for (key, _) in rows.scan_prefix(Table::RefreshFamilies, &key(client, &[]), &[], usize::MAX)? {
        if let Some(family) = rows.get::<RefreshFamily>(Table::RefreshFamilies, &key)? {
            end(rows, &key, &family);
        }
    }
    Ok(())
}

fn put(rows: &mut Rows<'_, impl Tables>, key: &[u8], family: &RefreshFamily) -> Result<(), ApplyError> {
    rows.put(Table::RefreshFamilies, key, family)?;
    once::forget_at(rows, forgotten_at_ms(family), Table::RefreshFamilies, key);
    Ok(())
}

fn end(rows: &mut Rows<'_, impl Tables>, key: &[u8], family: &RefreshFamily) {
    rows.delete(Table::RefreshFamilies, key);
    once::keep(rows, forgotten_at_ms(family), Table::RefreshFamilies, key);
}

fn forgotten_at_ms(family: &RefreshFamily) -> u64 {
    family.expires_at_ms.saturating_add(REFRESH_MARGIN_MS)
}

fn key(client: &ClientId, family: &[u8]) -> Vec<u8> {
    [client.as_str().as_bytes(), &[0], family].concat()
}
