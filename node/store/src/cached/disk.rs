//! The disk tier, as its thread has it: two logs, the ghost table, and what is in the index.
//!
//! All functions block, and each does at most a step's worth of work.

use std::sync::Arc;

use super::entry::{Entry, EntryKey};
use super::evict::{Eviction, Keep};
use super::ghost::Ghost;
use super::index::{Changes, Index, Totals};
use super::log::{SegmentLog, Supply};
use super::record::{self, Header, Location};
use super::segment::{Log, Sealed, Segments};
use super::shared::{Parts, Shared};
use crate::error::StoreError;

/// What lies on disk, and the right to change it.
pub(super) struct Disk {
    shared: Arc<Shared>,
    parts: Arc<Parts>,
    new: SegmentLog,
    kept: SegmentLog,
    ghost: Ghost,
    totals: Totals,
    next_segment: u32,
    eviction: Option<Eviction>,
    /// Set when the index may name segments that are gone: from where on to look for them.
    sweep: Option<Option<EntryKey>>,
}

/// Why a change did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// A segment could not be read or written. The index is as it was.
    Segment(StoreError),
    /// The index could not be written. Nothing else may be written before it was opened anew.
    Index(StoreError),
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Some; there is more to do.
    More,
    /// The last of it.
    Last,
    /// Nothing: there is nothing to do.
    Idle,
}

impl Disk {
    /// With what an earlier run left.
    pub(super) fn new(shared: Arc<Shared>, parts: Arc<Parts>, found: Vec<Sealed>, totals: Totals) -> Self {
        let after_files = found.iter().map(|sealed| sealed.segment.id + 1).max().unwrap_or(0);
        let next_segment = totals.next_segment.max(after_files);
        let (new, kept): (Vec<_>, Vec<_>) = found.into_iter().partition(|sealed| sealed.segment.log == Log::New);
        let places = shared.settings.hit_slots();
        let disk = Self {
            shared,
            parts,
            new: SegmentLog::new(Log::New, new.into_iter()),
            kept: SegmentLog::new(Log::Kept, kept.into_iter()),
            ghost: Ghost::new(places),
            totals,
            next_segment,
            eviction: None,
            sweep: None,
        };
        disk.publish();
        disk
    }

    /// Writes entries that are not in the index, and puts them into it.
    pub(super) fn write(&mut self, entries: &[(EntryKey, Entry)]) -> Result<(), Failure> {
        let mut places = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            let log = if self.ghost.take(key) { Log::Kept } else { Log::New };
            places.push(self.append(log, key, entry)?);
        }
        self.flush()?;
        let mut changes = Changes::to(self.totals);
        for ((key, _), location) in entries.iter().zip(&places) {
            changes.add(key, location);
        }
        self.commit(changes)
    }

    /// Strikes entries out of the index.
    pub(super) fn strike(&mut self, keys: &[EntryKey]) -> Result<(), Failure> {
        let mut changes = Changes::to(self.totals);
        for key in keys {
            match self.index().get(key) {
                Ok(None) => {}
                Ok(Some(location)) => changes.strike(key, &location),
                Err(_) => changes.strike_unread(key),
            }
        }
        self.commit(changes)
    }

    /// Strikes out entries that are still where they were found damaged, each given once.
    pub(super) fn drop_damaged(&mut self, damaged: &[(EntryKey, Location)]) -> Result<(), Failure> {
        let mut changes = Changes::to(self.totals);
        for (key, location) in damaged {
            if self.index().get(key).is_ok_and(|found| found == Some(*location)) {
                changes.strike(key, location);
            }
        }
        self.commit(changes)
    }

    /// Whether something has to go before so many bytes can come. One segment stays free for what eviction writes again.
    pub(super) fn is_full_for(&self, bytes: u64) -> bool {
        self.bytes() + bytes + self.shared.settings.segment_bytes() > self.shared.settings.disk_bytes
    }

    /// Does a step of evicting the segment whose turn it is.
    pub(super) fn evict(&mut self, keep: Keep) -> Result<Step, Failure> {
        let Some(mut eviction) = self.eviction.take().or_else(|| self.begin_eviction(keep)) else { return Ok(Step::Idle) };
        if keep == Keep::Nothing {
            eviction.stop_keeping();
        }
        match self.evict_records(&mut eviction) {
            Ok(Step::More) => {
                self.eviction = Some(eviction);
                Ok(Step::More)
            }
            Ok(_) => {
                self.segments().remove(&eviction.victim.segment);
                self.publish();
                Ok(Step::Last)
            }
            Err(failure) => {
                // It begins anew another time. What was written again has another place in the index already.
                self.log(eviction.victim.segment.log).put_back(eviction.victim);
                Err(failure)
            }
        }
    }

    /// Looks through some of the index for entries whose segments are gone, if there is reason to.
    pub(super) fn sweep(&mut self) -> Result<Step, Failure> {
        let Some(after) = self.sweep.take() else { return Ok(Step::Idle) };
        let Ok(rows) = self.index().entries(after.as_ref(), STEP_RECORDS) else { return Ok(Step::Last) };
        let Some((last, _)) = rows.last() else { return Ok(Step::Last) };
        self.sweep = Some(Some(*last));
        let mut changes = Changes::to(self.totals);
        for (key, location) in rows.iter().filter(|(_, location)| self.segments().get(location.segment).is_none()) {
            changes.strike(key, location);
        }
        self.commit(changes)?;
        Ok(Step::More)
    }

    /// Opens the index anew, after it could not be written.
    pub(super) fn reopen(&mut self) -> Result<(), StoreError> {
        self.index().reopen()?;
        self.totals = self.index().totals()?;
        self.next_segment = self.next_segment.max(self.totals.next_segment);
        self.publish();
        Ok(())
    }

    /// Removes all segments. False if files resisted.
    pub(super) fn clear(&mut self) -> bool {
        self.new.clear();
        self.kept.clear();
        self.eviction = None;
        self.sweep = None;
        let gone = self.segments().clear();
        self.publish();
        gone
    }

    /// Begins with nothing, after the tier was given up.
    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
        if !self.segments().clear() {
            return Err(StoreError::NotStruck);
        }
        self.index().reopen()?;
        self.totals = self.index().clear(self.next_segment)?;
        self.publish();
        Ok(())
    }

    pub(super) fn close(&self) {
        self.index().close();
    }

    fn evict_records(&mut self, eviction: &mut Eviction) -> Result<Step, Failure> {
        let mut changes = Changes::to(self.totals);
        let (mut evicted, mut left) = (0, Vec::new());
        let before = self.kept.bytes();
        let mut step = Step::More;
        for _ in 0..STEP_RECORDS {
            if self.kept.bytes() - before >= STEP_BYTES {
                break;
            }
            let next = eviction.scan.next_header().unwrap_or_else(|error| {
                tracing::warn!(%error, "could not read a segment of the cache on its way out");
                None
            });
            let Some((offset, header)) = next else {
                step = Step::Last;
                break;
            };
            let Some(location) = eviction.location(offset, &header) else { continue };
            if !self.index().get(&header.key).is_ok_and(|found| found == Some(location)) {
                continue;
            }
            let kept = eviction
                .keeps(self.shared.hits.of(&header.key), record::record_bytes(header.len))
                .then(|| eviction.entry(&location, &header));
            if let Some(Some(entry)) = &kept {
                let place = self.append(Log::Kept, &header.key, entry)?;
                changes.relocate(&header.key, &place);
                self.shared.hits.spend(&header.key);
                continue;
            }
            changes.strike(&header.key, &location);
            match kept {
                Some(_) => self.shared.counters.damaged.add(1),
                None => {
                    evicted += 1;
                    left.push(header);
                }
            }
        }
        let rewritten = self.flush()?;
        self.commit(changes)?;
        self.shared.counters.rewritten_bytes.add(rewritten);
        self.shared.counters.evicted.add(evicted);
        if eviction.victim.segment.log == Log::New {
            left.iter().for_each(|header: &Header| self.ghost.remember(&header.key));
        }
        if step == Step::Last && !eviction.scan.is_whole() {
            // A torn tail, or a damaged header: there may be entries behind it.
            self.sweep = Some(None);
        }
        Ok(step)
    }

    fn begin_eviction(&mut self, keep: Keep) -> Option<Eviction> {
        let probation = self.shared.settings.disk_bytes / PROBATION_PART;
        let log = if self.new.bytes() > probation || self.kept.is_empty() { Log::New } else { Log::Kept };
        let victim = self.log(log).take_oldest()?;
        Some(Eviction::new(victim, keep, &self.shared.hits))
    }

    fn append(&mut self, log: Log, key: &EntryKey, entry: &Entry) -> Result<Location, Failure> {
        let parts = Arc::clone(&self.parts);
        let mut next = self.next_segment;
        let mut supply = Supply { segments: &parts.segments, next: &mut next, segment_bytes: self.shared.settings.segment_bytes() };
        let place = self.log(log).append(key, entry, &mut supply);
        self.next_segment = next;
        place.map_err(|error| self.unwind(error))
    }

    /// Writes what was appended to both logs.
    fn flush(&mut self) -> Result<u64, Failure> {
        let written = self.new.flush().and_then(|new| Ok(new + self.kept.flush()?));
        let written = written.map_err(|error| self.unwind(error))?;
        self.shared.counters.written_bytes.add(written);
        Ok(written)
    }

    /// Forgets what was appended and not written.
    fn unwind(&mut self, error: StoreError) -> Failure {
        self.new.discard();
        self.kept.discard();
        self.publish();
        Failure::Segment(error)
    }

    fn commit(&mut self, mut changes: Changes) -> Result<(), Failure> {
        if !changes.is_empty() {
            changes.set_next_segment(self.next_segment);
            self.totals = self.index().commit(changes).map_err(Failure::Index)?;
        }
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        let counters = &self.shared.counters;
        counters.disk_entries.set(self.totals.entries);
        counters.disk_entry_bytes.set(self.totals.bytes);
        counters.disk_bytes.set(self.bytes());
    }

    fn bytes(&self) -> u64 {
        self.new.bytes() + self.kept.bytes() + self.eviction.as_ref().map_or(0, |eviction| eviction.victim.len)
    }

    fn log(&mut self, log: Log) -> &mut SegmentLog {
        match log {
            Log::New => &mut self.new,
            Log::Kept => &mut self.kept,
        }
    }

    fn index(&self) -> &Index {
        &self.parts.index
    }

    fn segments(&self) -> &Segments {
        &self.parts.segments
    }
}

/// The probationary log is larger than this part of the disk only while the disk is not full.
const PROBATION_PART: u64 = 10;
/// Records looked at in a step, and bytes written again.
const STEP_RECORDS: usize = 1 << 10;
const STEP_BYTES: u64 = 1 << 20;
