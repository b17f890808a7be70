//! The newest records, for those who ask.

use std::{cmp::Reverse, collections::VecDeque};

use parking_lot::Mutex;

use super::{query::AccessQuery, record::AccessRecord};

/// Records are looked at by a follower at once: no more than this.
const FOLLOWED_MAX: usize = 1_000;

#[derive(Debug)]
pub(super) struct Kept {
    ring: Mutex<Ring>,
    max: usize,
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<AccessRecord>,
    /// The number of the newest there ever was.
    newest: u64,
}

/// What came since a follower last asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Followed {
    /// What it wants, the oldest first.
    pub records: Vec<AccessRecord>,
    /// The number after which to go on.
    pub after: u64,
    /// Whether there may be more already.
    pub more: bool,
}

/// What a follower was to see next is not kept any more: it is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missed} records have gone by")]
pub struct Overtaken {
    /// How many records went by.
    pub missed: u64,
}

impl Kept {
    pub(super) fn new(max: usize) -> Self {
        Self { ring: Mutex::default(), max }
    }

    /// Adds records and numbers them. The number of the last.
    pub(super) fn extend(&self, records: impl Iterator<Item = AccessRecord>) -> u64 {
        let mut ring = self.ring.lock();
        for mut record in records {
            ring.newest += 1;
            record.number = ring.newest;
            if ring.records.len() >= self.max {
                ring.records.pop_front();
            }
            if self.max > 0 {
                ring.records.push_back(record);
            }
        }
        ring.newest
    }

    pub(super) fn newest(&self) -> u64 {
        self.ring.lock().newest
    }

    /// When the oldest that is kept ended, in microseconds of the Unix epoch.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.ring.lock().records.front().map(|record| record.ended_us)
    }

    /// The newest of those that are wanted, the newest first.
    pub(super) fn find(&self, query: &AccessQuery, node: u64, max: usize) -> Vec<AccessRecord> {
        let ring = self.ring.lock();
        // Clocks are set back now and then, so the order in the ring is not that of times.
        let mut wanted: Vec<_> = ring.records.iter().filter(|record| query.wants(record, node)).collect();
        wanted.sort_by_key(|record| Reverse(record.position(node)));
        wanted.truncate(max);
        wanted.into_iter().cloned().collect()
    }

    /// What is wanted of those after the one with this number.
    pub(super) fn since(&self, after: u64, query: &AccessQuery, node: u64) -> Result<Followed, Overtaken> {
        let ring = self.ring.lock();
        let first = ring.newest + 1 - ring.records.len() as u64;
        if after + 1 < first {
            return Err(Overtaken { missed: first - after - 1 });
        }
        let skipped = usize::try_from(after + 1 - first).unwrap_or(usize::MAX);
        let new = ring.records.iter().skip(skipped).take(FOLLOWED_MAX);
        let looked_at = new.len() as u64;
        let records = new.filter(|record| query.wants(record, node)).cloned().collect();
        let after = after + looked_at;
        Ok(Followed { records, after, more: after < ring.newest })
    }
}
