//! Commands about zones, and what keeps their host names apart from those of clients and nodes.

use std::collections::BTreeSet;

use super::{ApplyError, Moment, Ruled, asset::may_write, rows::Rows};
use crate::{
    account::Account,
    client::Client,
    id::{ClientId, RequestId, ZoneId},
    node::{Node, NodeState},
    outcome::{Outcome, Rejection},
    table::{Table, TableError, Tables},
    zone::{
        CreateShieldedZone, CreateZone, MAX_PURGE_TARGETS, MAX_ZONE_PURGE_WEIGHT, MAX_ZONES, PurgeZone, RemoveZone, ShieldZone, UpdateZone,
        Zone, ZoneField, ZonePurge, ZonePurgeMark, ZonePurgeTarget, ZoneShield,
    },
};

pub(super) fn create(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, create: &CreateZone) -> Ruled {
    if let Err(rejection) = may_write(rows, &create.client)? {
        return Ok(Err(rejection));
    }
    let zone = Zone {
        id: ZoneId::from_request(request),
        number: now.index,
        client: create.client.clone(),
        name: create.name.clone(),
        origins: create.origins.clone(),
        host_header: create.host_header.clone(),
        cdn_hostname: format!("{}.{}", ZoneId::host_label(request), create.cdn_suffix),
        domains: create.domains.clone(),
        settings: create.settings.clone(),
        created_at_ms: now.log_time_ms,
        updated_at_ms: now.log_time_ms,
        version: now.index,
    };
    if let Some(field) = zone.fault() {
        return Ok(Err(Rejection::ZoneInvalid { field }));
    }
    let quota = quota(rows, &zone.client)?;
    if rows.with_prefix(Table::ClientZones, &of_client(&zone.client), quota as usize + 1)?.len() >= quota as usize {
        return Ok(Err(Rejection::TooManyZones { quota }));
    }
    // Two requests of which the same follows would be a wonder, and still do no harm.
    if rows.get_raw(Table::Zones, &zone.id.0)?.is_some() {
        return Ok(Err(Rejection::HostTaken { host: zone.cdn_hostname }));
    }
    if let Some(host) = taken(rows, &zone, &zone.hosts().collect())? {
        return Ok(Err(Rejection::HostTaken { host }));
    }
    for host in zone.hosts() {
        rows.put_raw(Table::ZoneHosts, host.as_bytes(), &zone.id.0);
    }
    rows.put_raw(Table::ClientZones, &client_key(&zone), &zone.id.0);
    rows.put(Table::Zones, &zone.id.0, &zone)?;
    Ok(Ok(Outcome::ZoneCreated(zone.id)))
}

pub(super) fn create_shielded(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, shielded: &CreateShieldedZone) -> Ruled {
    let CreateShieldedZone { zone, region } = shielded;
    if !has_node(rows, region)? {
        return Ok(Err(Rejection::ZoneInvalid { field: ZoneField::ShieldRegion }));
    }
    let made = create(rows, now, request, zone)?;
    if let Ok(Outcome::ZoneCreated(id)) = &made {
        rows.put(Table::ZoneShields, &id.0, &ZoneShield { region: region.clone() })?;
    }
    Ok(made)
}

pub(super) fn update(rows: &mut Rows<'_, impl Tables>, now: Moment, update: &UpdateZone) -> Ruled {
    let before = match owned(rows, &update.client, update.zone, update.versions.as_deref())? {
        Ok(zone) => zone,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let zone = Zone {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        origins: update.origins.clone().unwrap_or_else(|| before.origins.clone()),
        host_header: update.host_header.clone().unwrap_or_else(|| before.host_header.clone()),
        domains: update.domains.clone().unwrap_or_else(|| before.domains.clone()),
        settings: before.settings.patched(&update.settings),
        updated_at_ms: now.log_time_ms,
        version: now.index,
        ..before.clone()
    };
    if let Some(field) = zone.fault() {
        return Ok(Err(Rejection::ZoneInvalid { field }));
    }
    let had: BTreeSet<&str> = before.hosts().collect();
    let has: BTreeSet<&str> = zone.hosts().collect();
    if let Some(host) = taken(rows, &zone, &has.difference(&had).copied().collect())? {
        return Ok(Err(Rejection::HostTaken { host }));
    }
    for gone in had.difference(&has) {
        rows.delete(Table::ZoneHosts, gone.as_bytes());
    }
    for new in has.difference(&had) {
        rows.put_raw(Table::ZoneHosts, new.as_bytes(), &zone.id.0);
    }
    rows.put(Table::Zones, &zone.id.0, &zone)?;
    Ok(Ok(Outcome::Done))
}

/// The row of the zone changes with it in any case, so who looks for changes of zones finds this one there.
pub(super) fn shield(rows: &mut Rows<'_, impl Tables>, now: Moment, shield: &ShieldZone) -> Ruled {
    let region = shield.region.as_ref();
    if let Some(region) = region
        && !has_node(rows, region)?
    {
        return Ok(Err(Rejection::ZoneInvalid { field: ZoneField::ShieldRegion }));
    }
    let changed = update(rows, now, &shield.update)?;
    if changed.is_ok() {
        let id = &shield.update.zone.0;
        match region {
            Some(region) => rows.put(Table::ZoneShields, id, &ZoneShield { region: region.clone() })?,
            None => rows.delete(Table::ZoneShields, id),
        }
    }
    Ok(changed)
}

/// The end of a zone. Its number is never used again, so nothing that is kept under it is ever found.
pub(super) fn remove(rows: &mut Rows<'_, impl Tables>, remove: &RemoveZone) -> Ruled {
    let zone = match owned(rows, &remove.client, remove.zone, remove.versions.as_deref())? {
        Ok(zone) => zone,
        Err(rejection) => return Ok(Err(rejection)),
    };
    for host in zone.hosts() {
        rows.delete(Table::ZoneHosts, host.as_bytes());
    }
    rows.delete(Table::ClientZones, &client_key(&zone));
    let number = zone.number.to_be_bytes();
    // No more rows than are kept of one zone.
    for (purge, _) in rows.with_prefix(Table::ZonePurges, &number, usize::MAX)? {
        rows.delete(Table::ZonePurges, &purge);
    }
    rows.delete(Table::ZonePurgeMarks, &number);
    rows.delete(Table::ZoneShields, &zone.id.0);
    rows.delete(Table::Zones, &zone.id.0);
    Ok(Ok(Outcome::Done))
}

pub(super) fn purge(rows: &mut Rows<'_, impl Tables>, now: Moment, purge: &PurgeZone) -> Ruled {
    let zone = match owned(rows, &purge.client, purge.zone, None)? {
        Ok(zone) => zone,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if !(1..=MAX_PURGE_TARGETS).contains(&purge.targets.len()) || !purge.targets.iter().all(ZonePurgeTarget::is_valid) {
        return Ok(Err(Rejection::ZoneInvalid { field: ZoneField::Paths }));
    }
    let number = zone.number.to_be_bytes();
    let row = ZonePurge { targets: purge.targets.clone(), at_ms: now.log_time_ms };
    let mut mark: ZonePurgeMark = rows.get(Table::ZonePurgeMarks, &number)?.unwrap_or_default();
    if row.targets.contains(&ZonePurgeTarget::Zone) {
        mark.zone_at = now.index;
    }
    mark.weight = mark.weight.saturating_add(row.weight());
    rows.put(Table::ZonePurges, &[number, now.index.to_be_bytes()].concat(), &row)?;
    while mark.weight > MAX_ZONE_PURGE_WEIGHT {
        let (index, weight) = forget_oldest(rows, &number)?;
        mark.floor = mark.floor.max(index);
        mark.weight = mark.weight.saturating_sub(weight);
    }
    rows.put(Table::ZonePurgeMarks, &number, &mark)?;
    Ok(Ok(Outcome::Purged))
}

/// Drops the oldest purge of a zone. Gives its index and its weight.
fn forget_oldest(rows: &mut Rows<'_, impl Tables>, number: &[u8; 8]) -> Result<(u64, u32), ApplyError> {
    let dangling = || ApplyError::Table(TableError::Dangling { table: Table::ZonePurgeMarks });
    let (key, _) = rows.with_prefix(Table::ZonePurges, number, 1)?.into_iter().next().ok_or_else(dangling)?;
    let oldest: ZonePurge = rows.get(Table::ZonePurges, &key)?.ok_or_else(dangling)?;
    let index = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    rows.delete(Table::ZonePurges, &key);
    Ok((index.ok_or(ApplyError::Table(TableError::Key { table: Table::ZonePurges }))?, oldest.weight()))
}

/// Whether a client has a zone.
pub(super) fn has_any(rows: &Rows<'_, impl Tables>, client: &ClientId) -> Result<bool, ApplyError> {
    Ok(!rows.with_prefix(Table::ClientZones, &of_client(client), 1)?.is_empty())
}

/// The first of these domains of a client that a zone has.
pub(super) fn has_domain(rows: &Rows<'_, impl Tables>, domains: &[String]) -> Result<Option<String>, ApplyError> {
    for domain in domains {
        let name = as_host(domain);
        if !name.is_empty() && rows.get_raw(Table::ZoneHosts, name.as_bytes())?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The first of the host names that `zone` would get which is another zone's, a client's or a node's.
fn taken(rows: &Rows<'_, impl Tables>, zone: &Zone, new: &BTreeSet<&str>) -> Result<Option<String>, ApplyError> {
    if new.is_empty() {
        return Ok(None);
    }
    for host in new {
        if rows.get_raw(Table::ZoneHosts, host.as_bytes())?.is_some() {
            return Ok(Some((*host).to_owned()));
        }
    }
    for node in rows.first::<Node>(Table::Nodes, usize::MAX)? {
        let name = host_of_url(&node.http_address);
        if node.state != NodeState::Removed && new.contains(name.as_str()) {
            return Ok(Some(name));
        }
    }
    for client in rows.first::<Client>(Table::Clients, usize::MAX)? {
        for domain in &client.domains {
            let name = as_host(domain);
            // What a client has below `*.` is not for others to take; the cluster gives out what it gives out.
            let is_below = |host: &&&str| {
                client.id != zone.client && **host != zone.cdn_hostname && name.strip_prefix('*').is_some_and(|end| host.ends_with(end))
            };
            if let Some(host) = new.get(name.as_str()).or_else(|| new.iter().find(is_below)) {
                return Ok(Some((*host).to_owned()));
            }
        }
    }
    Ok(None)
}

/// The zone with this id, if `client` may change it and it has one of these versions. One of another client is as if it were not there.
fn owned(
    rows: &Rows<'_, impl Tables>,
    client: &ClientId,
    id: ZoneId,
    versions: Option<&[u64]>,
) -> Result<Result<Zone, Rejection>, ApplyError> {
    if let Err(rejection) = may_write(rows, client)? {
        return Ok(Err(rejection));
    }
    Ok(match rows.get::<Zone>(Table::Zones, &id.0)? {
        Some(zone) if zone.client != *client => Err(Rejection::ZoneUnknown),
        Some(zone) if versions.is_some_and(|versions| !versions.contains(&zone.version)) => Err(Rejection::PreconditionFailed),
        Some(zone) => Ok(zone),
        None => Err(Rejection::ZoneUnknown),
    })
}

/// Whether a node of the cluster is in a region.
fn has_node(rows: &Rows<'_, impl Tables>, region: &str) -> Result<bool, ApplyError> {
    let nodes = rows.first::<Node>(Table::Nodes, usize::MAX)?;
    Ok(nodes.iter().any(|node| node.state != NodeState::Removed && node.region == region))
}

/// How many zones a client may have.
fn quota(rows: &Rows<'_, impl Tables>, client: &ClientId) -> Result<u32, ApplyError> {
    let most = u32::try_from(MAX_ZONES).unwrap_or(u32::MAX);
    let account = rows.get::<Account>(Table::Accounts, client.as_str().as_bytes())?;
    Ok(account.and_then(|account| account.plan.zones).map_or(most, |zones| zones.min(most)))
}

fn of_client(client: &ClientId) -> Vec<u8> {
    [client.as_str().as_bytes(), &[0]].concat()
}

fn client_key(zone: &Zone) -> Vec<u8> {
    [of_client(&zone.client).as_slice(), &zone.number.to_be_bytes()].concat()
}

/// A domain of a client as a host name is written.
fn as_host(domain: &str) -> String {
    domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase()
}

/// The host in a base URL.
fn host_of_url(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    as_host(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
}
