//! Commands about what clients use.

use super::{ApplyError, Moment, Ruled, node::member, rows::Rows};
use crate::{
    client::Client,
    id::ClientId,
    outcome::{Outcome, Rejection},
    table::{Table, TableError, Tables},
    usage::{MAX_USAGE_COUNTS, USAGE_DAYS_KEPT, USAGE_HOURS_KEPT, UsageCounts, UsageMark, UsageReport, usage_prefix},
};

/// How many old rows a new one has deleted at most: more than one, so that a client's rows become no more than are kept.
const FORGET_PER_ROW: usize = 2;

pub(super) fn report(rows: &mut Rows<'_, impl Tables>, now: Moment, report: &UsageReport) -> Ruled {
    if report.counts.len() > MAX_USAGE_COUNTS {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Err(rejection) = member(rows, report.node)? {
        return Ok(Err(rejection));
    }
    let key = report.node.0.to_be_bytes();
    if rows.get::<UsageMark>(Table::UsageMarks, &key)?.is_some_and(|taken| taken >= report.mark()) {
        return Ok(Err(Rejection::Superseded));
    }
    rows.put(Table::UsageMarks, &key, &report.mark())?;
    let this_hour = u32::try_from(now.log_time_ms / HOUR_MS).unwrap_or(u32::MAX);
    let (hours_from, days_from) = ((this_hour + 1).saturating_sub(USAGE_HOURS_KEPT), (this_hour / 24 + 1).saturating_sub(USAGE_DAYS_KEPT));
    for count in &report.counts {
        if rows.get::<Client>(Table::Clients, count.client.as_str().as_bytes())?.is_none() {
            continue;
        }
        // A clock that runs ahead of the log's makes no hour that has not come.
        let hour = count.hour.min(this_hour);
        add(rows, Table::UsageHours, &count.client, hour, hours_from, &count.counts)?;
        add(rows, Table::UsageDays, &count.client, hour / 24, days_from, &count.counts)?;
    }
    Ok(Ok(Outcome::Done))
}

/// Adds to the row of `unit`, unless it is older than what is kept, and forgets what has become older.
fn add(
    rows: &mut Rows<'_, impl Tables>,
    table: Table,
    client: &ClientId,
    unit: u32,
    kept_from: u32,
    counts: &UsageCounts,
) -> Result<(), ApplyError> {
    if unit < kept_from {
        return Ok(());
    }
    let prefix = usage_prefix(client);
    let key = [prefix.as_slice(), &unit.to_be_bytes()].concat();
    let known = rows.get::<UsageCounts>(table, &key)?;
    if known.is_none() {
        forget(rows, table, &prefix, kept_from)?;
    }
    let mut sum = known.unwrap_or_default();
    sum.add(counts);
    rows.put(table, &key, &sum)
}

fn forget(rows: &mut Rows<'_, impl Tables>, table: Table, prefix: &[u8], kept_from: u32) -> Result<(), ApplyError> {
    for (key, _) in rows.scan_raw(table, prefix, FORGET_PER_ROW)? {
        let Some(unit) = key.strip_prefix(prefix) else { break };
        let unit: [u8; 4] = unit.try_into().map_err(|_| ApplyError::Table(TableError::Key { table }))?;
        if u32::from_be_bytes(unit) >= kept_from {
            break;
        }
        rows.delete(table, &key);
    }
    Ok(())
}

const HOUR_MS: u64 = 60 * 60 * 1_000;
