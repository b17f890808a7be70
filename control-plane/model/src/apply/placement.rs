//! Commands about where assets are held, and what other commands change of it.

use super::{ApplyError, Moment, Ruled, rows::Rows};
use crate::{
    client::Client,
    command::SetPlacement,
    id::ClientId,
    outcome::{Outcome, Rejection},
    path::MAX_PATH_BYTES,
    placement::{ClientPlacement, MAX_PLACEMENT_REGIONS, MAX_PLACEMENT_RULES, PlacementMark, PlacementRule},
    table::{Table, Tables},
};

/// The longest name of a region, in bytes.
const MAX_REGION_BYTES: usize = 256;

pub(super) fn set(rows: &mut Rows<'_, impl Tables>, now: Moment, set: &SetPlacement) -> Ruled {
    let regions = &set.policy.regions;
    let is_long = regions.len() > MAX_PLACEMENT_REGIONS || regions.iter().any(|region| region.len() > MAX_REGION_BYTES);
    if is_long || set.prefix.len() > MAX_PATH_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let Some(mut placement) = of_client(rows, &set.client)? else { return Ok(Err(Rejection::ClientUnknown)) };
    let rule = PlacementRule { prefix: set.prefix.clone(), policy: set.policy.clone() };
    match placement.rules.binary_search_by(|rule| rule.prefix.cmp(&set.prefix)) {
        Ok(at) if placement.rules[at] == rule => return Ok(Ok(Outcome::Done)),
        Ok(at) => placement.rules[at] = rule,
        Err(_) if placement.rules.len() >= MAX_PLACEMENT_RULES => return Ok(Err(Rejection::TooManyPlacements)),
        Err(at) => placement.rules.insert(at, rule),
    }
    write(rows, now, &set.client, placement)
}

pub(super) fn remove(rows: &mut Rows<'_, impl Tables>, now: Moment, client: &ClientId, prefix: &str) -> Ruled {
    let Some(mut placement) = of_client(rows, client)? else { return Ok(Err(Rejection::ClientUnknown)) };
    let Ok(at) = placement.rules.binary_search_by(|rule| rule.prefix.as_str().cmp(prefix)) else {
        return Ok(Err(Rejection::PlacementUnknown));
    };
    placement.rules.remove(at);
    write(rows, now, client, placement)
}

/// The nodes, their states or their regions have changed, and with them what each must hold, where a rule says so.
pub(super) fn nodes_changed(rows: &mut Rows<'_, impl Tables>, index: u64) -> Result<(), ApplyError> {
    if rows.get::<PlacementMark>(Table::Placements, &[])?.is_some() {
        rows.put(Table::Placements, &[], &PlacementMark { nodes_at: index, changed_at: index })?;
    }
    Ok(())
}

/// What a client has so far; `None` if there is no such client.
fn of_client(rows: &Rows<'_, impl Tables>, client: &ClientId) -> Result<Option<ClientPlacement>, ApplyError> {
    let key = client.as_str().as_bytes();
    Ok(match rows.get::<Client>(Table::Clients, key)? {
        Some(_) => Some(rows.get(Table::Placements, key)?.unwrap_or_default()),
        None => None,
    })
}

fn write(rows: &mut Rows<'_, impl Tables>, now: Moment, client: &ClientId, placement: ClientPlacement) -> Ruled {
    rows.put(Table::Placements, client.as_str().as_bytes(), &ClientPlacement { changed_at: now.index, ..placement })?;
    let mark = rows.get::<PlacementMark>(Table::Placements, &[])?;
    let mark = PlacementMark { nodes_at: mark.map_or(0, |mark| mark.nodes_at), changed_at: now.index };
    rows.put(Table::Placements, &[], &mark)?;
    Ok(Ok(Outcome::Done))
}
