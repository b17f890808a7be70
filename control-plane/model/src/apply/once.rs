//! "At most once": the answers to requests, kept for a time of the log's own clock.
//!
//! An answer is kept by request id, for forwarding nodes that retry, and by idempotency key, for callers that do. A request id
//! carries when it was made, so one whose answer may have been forgotten is refused and never done a second time. An answer
//! found by its key is kept by the new request id too: a late second delivery of that request must not outlive the key.

use serde::{Deserialize, Serialize};

use super::{Applied, ApplyError, Moment, rows::Rows, upload};
use crate::{
    codec::Record,
    outcome::{Outcome, Rejection},
    proposal::Proposal,
    revision::Revision,
    table::{Table, TableError, Tables},
};

/// How long the answer to a request id is kept, in milliseconds of log time.
pub const REQUEST_RETENTION_MS: u64 = 60 * 60 * 1_000;
/// How long the answer to an idempotency key is kept, in milliseconds of log time.
pub const IDEMPOTENCY_RETENTION_MS: u64 = 24 * 60 * 60 * 1_000;
/// The most answers that one entry forgets: it bounds the work of an entry, and is more than one entry adds.
const FORGET_PER_ENTRY: usize = 16;
/// After how many pieces of uploads an entry forgets no more.
const FORGET_PARTS_PER_ENTRY: usize = 1_024;

/// An answer that was given.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    index: u64,
    /// The hash of what was asked for; all zero for an answer by request id.
    payload: [u8; 32],
    outcome: Outcome,
}

impl Record for Answer {
    const KIND: u16 = 0x03;
    const VERSION: u16 = 1;
}

pub(super) fn known_answer(rows: &mut Rows<'_, impl Tables>, proposal: &Proposal, now: Moment) -> Result<Option<Applied>, ApplyError> {
    if let Some(answer) = rows.get::<Answer>(Table::Requests, &proposal.request.0)? {
        return Ok(Some(answer.into_applied()));
    }
    if proposal.request.issued_ms().saturating_add(REQUEST_RETENTION_MS) <= now.log_time_ms {
        let answer = Answer { index: now.index, payload: [0; 32], outcome: Outcome::Rejected(Rejection::RequestExpired) };
        return Ok(Some(answer.into_applied()));
    }
    let Some(key) = &proposal.idempotency else {
        return Ok(None);
    };
    let Some(known) = rows.get::<Answer>(Table::Keys, &key.scope)? else {
        return Ok(None);
    };
    let outcome = if known.payload == key.payload { known.outcome } else { Outcome::Rejected(Rejection::KeyReused) };
    let answer = Answer { payload: [0; 32], outcome, ..known };
    remember_request(rows, proposal, now, &answer)?;
    Ok(Some(answer.into_applied()))
}

/// Keeps the answer. A rejection is kept by request id, and not by key: the caller may put right what was wrong and try again.
pub(super) fn remember(rows: &mut Rows<'_, impl Tables>, proposal: &Proposal, now: Moment, outcome: &Outcome) -> Result<(), ApplyError> {
    let answer = Answer { index: now.index, payload: [0; 32], outcome: outcome.clone() };
    remember_request(rows, proposal, now, &answer)?;
    if let Some(key) = proposal.idempotency.filter(|_| !matches!(outcome, Outcome::Rejected(_))) {
        rows.put(Table::Keys, &key.scope, &Answer { payload: key.payload, ..answer })?;
        let until = now.log_time_ms.saturating_add(IDEMPOTENCY_RETENTION_MS);
        forget_at(rows, until, Table::Keys, &key.scope);
    }
    Ok(())
}

fn remember_request(rows: &mut Rows<'_, impl Tables>, proposal: &Proposal, now: Moment, answer: &Answer) -> Result<(), ApplyError> {
    rows.put(Table::Requests, &proposal.request.0, answer)?;
    // The id may come from a clock that runs ahead: its answer is kept until the id itself would be refused.
    let until = proposal.request.issued_ms().max(now.log_time_ms).saturating_add(REQUEST_RETENTION_MS);
    forget_at(rows, until, Table::Requests, &proposal.request.0);
    Ok(())
}

/// Has the row at `key` deleted once the time of the log has reached `due_ms`.
pub(super) fn forget_at(rows: &mut Rows<'_, impl Tables>, due_ms: u64, table: Table, key: &[u8]) {
    rows.put_raw(Table::Expiry, &expiry_key(due_ms, table, key), &[]);
}

/// Takes back that the row at `key` is deleted at `due_ms`.
pub(super) fn keep(rows: &mut Rows<'_, impl Tables>, due_ms: u64, table: Table, key: &[u8]) {
    rows.delete(Table::Expiry, &expiry_key(due_ms, table, key));
}

/// Forgets what is due, answers and other rows of a bounded life, beginning at `from_ms`, before which none is left. Gives where the
/// next entry begins: on disk, rows that were deleted a moment ago are slow to step over, and so each entry steps over none.
pub(super) fn forget_expired(rows: &mut Rows<'_, impl Tables>, from_ms: u64, now_ms: u64) -> Result<u64, ApplyError> {
    let first = rows.scan_raw(Table::Expiry, &from_ms.to_be_bytes(), FORGET_PER_ENTRY)?;
    let mut reached_ms = from_ms;
    let mut parts = 0;
    for (key, _) in &first {
        let (due_ms, table, answer) = parse_expiry_key(key).ok_or(ApplyError::Table(TableError::Key { table: Table::Expiry }))?;
        if due_ms > now_ms {
            return Ok(now_ms);
        }
        if parts >= FORGET_PARTS_PER_ENTRY {
            return Ok(reached_ms);
        }
        match table {
            Table::Uploads => parts += upload::expire(rows, answer)?,
            _ => rows.delete(table, answer),
        }
        rows.delete(Table::Expiry, key);
        reached_ms = due_ms;
    }
    Ok(if first.len() < FORGET_PER_ENTRY { now_ms } else { reached_ms })
}

impl Answer {
    fn into_applied(self) -> Applied {
        Applied { outcome: self.outcome, index: self.index, lineage: Revision::FIRST_LINEAGE }
    }
}

fn expiry_key(due_ms: u64, table: Table, key: &[u8]) -> Vec<u8> {
    let mut bytes = due_ms.to_be_bytes().to_vec();
    bytes.push(table as u8);
    bytes.extend_from_slice(key);
    bytes
}

fn parse_expiry_key(bytes: &[u8]) -> Option<(u64, Table, &[u8])> {
    let (due_ms, rest) = bytes.split_first_chunk()?;
    let (table, key) = rest.split_first()?;
    Some((u64::from_be_bytes(*due_ms), Table::from_number(*table)?, key))
}
