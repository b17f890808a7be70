//! The newest entries of the log, in memory.
//!
//! Every follower's replication reads the same few entries right after they were appended, and so does the state machine.
//! Served from here, none of them reads or decodes a record. The ring is a suffix of the log without holes, bounded by
//! bytes; a range that starts before it is read from disk as a whole, so a read never mixes two moments.

use std::collections::VecDeque;

use crate::types::Entry;

#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
    limit: usize,
}

impl Ring {
    /// A ring that holds at most `limit` bytes of records, and always at least the newest entry.
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit }
    }

    /// Adds the next entry, whose record is `size` bytes long. An entry that does not follow the last one starts afresh.
    pub(crate) fn push(&mut self, entry: Entry, size: usize) {
        let follows = self.entries.back().is_none_or(|(last, _)| last.log_id.index + 1 == entry.log_id.index);
        if !follows {
            self.clear();
        }
        self.entries.push_back((entry, size));
        self.bytes += size;
        while self.bytes > self.limit && self.entries.len() > 1 {
            self.pop_front();
        }
    }

    /// The entries of `start..end`, up to `max_bytes` of records but at least one; `None` if the range starts before the
    /// ring or there is nothing of it here.
    pub(crate) fn read(&self, start: u64, end: u64, max_bytes: usize) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.0.log_id.index;
        let skip = usize::try_from(start.checked_sub(first)?).ok()?;
        let mut bytes = 0;
        let mut found = Vec::new();
        for (entry, size) in self.entries.iter().skip(skip).take_while(|(entry, _)| entry.log_id.index < end) {
            bytes += size;
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        (!found.is_empty()).then_some(found)
    }

    /// Drops the entries from `index` on.
    pub(crate) fn truncate_from(&mut self, index: u64) {
        while let Some((last, size)) = self.entries.back()
            && last.log_id.index >= index
        {
            self.bytes -= size;
            self.entries.pop_back();
        }
    }

    /// Drops the entries up to and including `index`.
    pub(crate) fn purge_to(&mut self, index: u64) {
        while self.entries.front().is_some_and(|(first, _)| first.log_id.index <= index) {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some((_, size)) = self.entries.pop_front() {
            self.bytes -= size;
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}
