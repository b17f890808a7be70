//! One of the two logs: a row of segments, of which the last is appended to.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{Entry, EntryKey};
use super::pending::Pending;
use super::record::{self, Header, Location};
use super::segment::{Log, Sealed, Segment, Segments};
use crate::error::StoreError;

/// The segments of a log, the oldest first.
pub(super) struct SegmentLog {
    log: Log,
    sealed: VecDeque<Sealed>,
    active: Option<Active>,
    /// Bytes of all of them, with what is pending.
    bytes: u64,
    /// Bytes written since the last flush.
    written: u64,
}

struct Active {
    segment: Arc<Segment>,
    /// Bytes written.
    len: u64,
    /// What follows them.
    pending: Pending,
}

/// Where a log gets its next segment.
pub(super) struct Supply<'a> {
    pub(super) segments: &'a Segments,
    pub(super) next: &'a mut u32,
    pub(super) segment_bytes: u64,
}

impl SegmentLog {
    pub(super) fn new(log: Log, sealed: impl Iterator<Item = Sealed>) -> Self {
        let sealed: VecDeque<_> = sealed.filter(|sealed| sealed.segment.log == log).collect();
        let bytes = sealed.iter().map(|sealed| sealed.len).sum();
        Self { log, sealed, active: None, bytes, written: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.active.is_none()
    }

    /// Appends a record, which is pending for now. The place holds once [`Self::flush`] succeeded. Blocks.
    pub(super) fn append(&mut self, key: &EntryKey, entry: &Entry, supply: &mut Supply<'_>) -> Result<Location, StoreError> {
        let more = (record::HEADER_BYTES + entry.bytes.len()) as u64;
        if self.active.as_ref().is_some_and(|active| active.end() + more > supply.segment_bytes) {
            self.write_out()?;
            self.seal();
        }
        let active = match &mut self.active {
            Some(active) => active,
            none => {
                let segment = supply.segments.create(self.log, *supply.next)?;
                *supply.next += 1;
                none.insert(Active { segment, len: 0, pending: Pending::default() })
            }
        };
        let (segment, offset) = (active.segment.id, active.end());
        let too_large = StoreError::TooLarge { limit: supply.segment_bytes };
        let Ok(offset) = u32::try_from(offset) else { return Err(too_large) };
        let header = Header::of(key, entry).ok_or(too_large)?;
        active.pending.copy(&header.to_bytes());
        active.pending.add(&entry.bytes);
        self.bytes += more;
        Ok(Location { segment, offset, len: header.len, crc: header.crc, fill: header.fill })
    }

    /// Writes what was appended since the last flush, and gives how many bytes. If that fails, none of it may be used, and the next record goes to
    /// another segment. Blocks.
    pub(super) fn flush(&mut self) -> Result<u64, StoreError> {
        self.write_out()?;
        Ok(std::mem::take(&mut self.written))
    }

    /// Forgets what was appended and not flushed.
    pub(super) fn discard(&mut self) {
        if let Some(active) = &mut self.active {
            self.bytes -= active.pending.len();
            active.pending.clear();
        }
    }

    /// Takes the oldest segment out. What was appended to it must have been flushed.
    pub(super) fn take_oldest(&mut self) -> Option<Sealed> {
        if self.sealed.is_empty() {
            self.seal();
        }
        let oldest = self.sealed.pop_front()?;
        self.bytes -= oldest.len;
        Some(oldest)
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&mut self, oldest: Sealed) {
        self.bytes += oldest.len;
        self.sealed.push_front(oldest);
    }

    /// Forgets all segments.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.log, std::iter::empty());
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let more = active.pending.len();
        if more == 0 {
            return Ok(());
        }
        let written = active.segment.write(active.len, &mut active.pending.pieces());
        active.pending.clear();
        match written {
            Ok(()) => {
                active.len += more;
                self.written += more;
                Ok(())
            }
            Err(error) => {
                let left = active.segment.cut(active.len).max(active.len);
                self.bytes = self.bytes - more + (left - active.len);
                active.len = left;
                self.seal();
                Err(error)
            }
        }
    }

    fn seal(&mut self) {
        if let Some(Active { segment, len, .. }) = self.active.take() {
            self.sealed.push_back(Sealed { segment, len });
        }
    }
}

impl Active {
    fn end(&self) -> u64 {
        self.len + self.pending.len()
    }
}
