//! What anybody may see of the log: how many requests, of which kind, with which status. No address, no client, no path, and nothing of
//! assets that are not for everybody.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::record::{AccessRecord, CacheUse, PathClass};

/// Seconds that are kept.
const SECONDS: usize = 60;

#[derive(Debug, Default)]
pub(super) struct Counts {
    seconds: Mutex<VecDeque<Second>>,
}

#[derive(Debug)]
struct Second {
    at_s: u64,
    /// By kind of path, then by the hundreds of the status.
    cells: [[Cell; 5]; PathClass::ALL.len()],
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    requests: u64,
    hits: u64,
    misses: u64,
    bytes: u64,
}

/// Requests of one kind, with alike statuses, that ended in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicCount {
    /// Which second, of the Unix epoch.
    pub at_s: u64,
    /// What they were for.
    pub class: PathClass,
    /// The hundreds of their status: 2 for 200 to 299.
    pub status_class: u16,
    /// How many.
    pub requests: u64,
    /// Those of them that got an asset whose first bytes were on the node.
    pub hits: u64,
    /// Those of them that got one whose first bytes came from another.
    pub misses: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Counts {
    pub(super) fn add(&self, records: &[AccessRecord]) {
        let mut seconds = self.seconds.lock();
        for record in records.iter().filter(|record| record.class != PathClass::Restricted) {
            let at_s = record.ended_us / 1_000_000;
            // Most are of the newest second. One that is of none that is kept, since a clock was set back, is left out.
            let at = match seconds.iter().rposition(|second| second.at_s <= at_s) {
                Some(at) if seconds[at].at_s == at_s => at,
                Some(at) if at + 1 == seconds.len() => push(&mut seconds, at_s),
                None if seconds.is_empty() => push(&mut seconds, at_s),
                _ => continue,
            };
            let class = usize::from(record.status / 100).clamp(1, 5) - 1;
            let cell = &mut seconds[at].cells[record.class as usize][class];
            cell.requests += 1;
            cell.bytes += record.bytes;
            cell.hits += u64::from(record.cache.is_hit());
            cell.misses += u64::from(record.cache == CacheUse::Miss);
        }
    }

    /// The newest, the newest first.
    pub(super) fn newest(&self, max: usize) -> Vec<PublicCount> {
        let seconds = self.seconds.lock();
        let counts = seconds.iter().rev().flat_map(|second| {
            PathClass::ALL.into_iter().flat_map(move |class| {
                (1..=5).filter_map(move |status_class: u16| {
                    let Cell { requests, hits, misses, bytes } = second.cells[class as usize][usize::from(status_class) - 1];
                    let at_s = second.at_s;
                    (requests > 0).then_some(PublicCount { at_s, class, status_class, requests, hits, misses, bytes })
                })
            })
        });
        counts.take(max).collect()
    }
}

fn push(seconds: &mut VecDeque<Second>, at_s: u64) -> usize {
    if seconds.len() == SECONDS {
        seconds.pop_front();
    }
    seconds.push_back(Second { at_s, cells: Default::default() });
    seconds.len() - 1
}
