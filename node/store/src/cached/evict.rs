//! How a segment goes: record by record, in steps, so that whoever waits for a strike waits for a step and not for a segment.

use std::io;
use std::sync::Arc;

use super::entry::Entry;
use super::hits::{self, Hits};
use super::record::{self, HEADER_BYTES, Header, Location};
use super::segment::{Log, Sealed, Segment};

/// A segment that is on its way out.
pub(super) struct Eviction {
    pub(super) victim: Sealed,
    pub(super) scan: Scan,
    /// Entries with so many hits stay, by being written again.
    keep_from: u8,
    /// Bytes that may still be written again.
    budget: u64,
}

/// The records of a segment, one after the other, up to the first that is none.
pub(super) struct Scan {
    segment: Arc<Segment>,
    len: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// How much of a segment is worth to be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// What was hit.
    Hit,
    /// Nothing: the disk is full.
    Nothing,
}

impl Eviction {
    /// Blocks: it reads the headers of a segment of the main log.
    pub(super) fn new(victim: Sealed, keep: Keep, hits: &Hits) -> Self {
        let scan = || Scan::new(Arc::clone(&victim.segment), victim.len);
        let (keep_from, budget) = match (keep, victim.segment.log) {
            (Keep::Nothing, _) => (u8::MAX, 0),
            // Each entry leaves the probationary log once: what that costs is bounded by itself.
            (Keep::Hit, Log::New) => (1, victim.len),
            (Keep::Hit, Log::Kept) => (threshold(scan(), victim.len / 2, hits), victim.len / 2),
        };
        Self { scan: scan(), victim, keep_from, budget }
    }

    /// Writes nothing again from now on.
    pub(super) fn stop_keeping(&mut self) {
        self.budget = 0;
    }

    /// The place of a record of this segment, as the index has it if the record is its key's.
    pub(super) fn location(&self, offset: u64, header: &Header) -> Option<Location> {
        let offset = u32::try_from(offset).ok()?;
        Some(Location { segment: self.victim.segment.id, offset, len: header.len, crc: header.crc, fill: header.fill })
    }

    /// The entry at a place, verified. Blocks.
    pub(super) fn entry(&self, location: &Location, header: &Header) -> Option<Entry> {
        let len = usize::try_from(record::record_bytes(location.len)).ok()?;
        let record = self.victim.segment.read(location.offset.into(), len).ok()?;
        record::verify(&header.key, location, record)
    }

    /// Whether an entry with so many hits and bytes is written again.
    pub(super) fn keeps(&mut self, hits: u8, bytes: u64) -> bool {
        let keeps = hits >= self.keep_from && bytes <= self.budget;
        if keeps {
            self.budget -= bytes;
        }
        keeps
    }
}

impl Scan {
    pub(super) fn new(segment: Arc<Segment>, len: u64) -> Self {
        Self { segment, len, at: 0, window: Vec::new(), window_at: 0 }
    }

    /// The next header and its place. Blocks.
    pub(super) fn next_header(&mut self) -> io::Result<Option<(u64, Header)>> {
        let at = self.at;
        if at + HEADER_BYTES as u64 > self.len {
            return Ok(None);
        }
        let window_end = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + HEADER_BYTES as u64 > window_end {
            let len = usize::try_from(self.len - at).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            self.window = self.segment.read(at, len)?;
            self.window_at = at;
        }
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        let Some(header) = self.window.get(from..).and_then(record::header) else { return Ok(None) };
        self.at = at + record::record_bytes(header.len);
        Ok((self.at <= self.len).then_some((at, header)))
    }

    /// Whether all of the segment was seen.
    pub(super) fn is_whole(&self) -> bool {
        self.at == self.len
    }
}

/// From how many hits on what is in the segment fits into the budget. Dead records count too, so it is rather too high.
fn threshold(mut scan: Scan, budget: u64, hits: &Hits) -> u8 {
    let mut bytes_by_hits = [0; hits::MOST as usize + 1];
    while let Ok(Some((_, header))) = scan.next_header() {
        bytes_by_hits[usize::from(hits.of(&header.key))] += record::record_bytes(header.len);
    }
    let mut sum = 0;
    for from in (1..=hits::MOST).rev() {
        sum += bytes_by_hits[usize::from(from)];
        if sum > budget {
            return (from + 1).min(hits::MOST);
        }
    }
    1
}

const WINDOW_BYTES: usize = 64 << 10;
