//! What the thread of the disk has to do. Each key is at most a few times in it; what it is about stands in the stripes.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::entry::EntryKey;
use super::record::Location;

/// The queue between everybody and the thread of the disk.
#[derive(Default)]
pub(super) struct Jobs {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    strikes: VecDeque<EntryKey>,
    writes: VecDeque<EntryKey>,
    damaged: VecDeque<(EntryKey, Location)>,
    closing: bool,
}

/// A step's worth of jobs.
#[derive(Default)]
pub(super) struct Work {
    /// Keys that have to be struck out of the index.
    pub(super) strikes: Vec<EntryKey>,
    /// Keys whose entries are to be written.
    pub(super) writes: Vec<EntryKey>,
    /// Records that were found damaged.
    pub(super) damaged: Vec<(EntryKey, Location)>,
    /// Nothing new comes any more.
    pub(super) closing: bool,
}

/// Whether a strike found its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room for more.
    Left,
    /// So many wait that no more may come.
    None,
}

impl Jobs {
    pub(super) fn strike(&self, key: EntryKey) -> Room {
        let mut queue = self.queue.lock();
        queue.strikes.push_back(key);
        self.more.notify_one();
        if queue.strikes.len() < MOST_STRIKES { Room::Left } else { Room::None }
    }

    pub(super) fn write(&self, key: EntryKey) {
        self.queue.lock().writes.push_back(key);
        self.more.notify_one();
    }

    /// Has a damaged record dropped. If many wait already it is left where it is, to be found again.
    pub(super) fn damaged(&self, key: EntryKey, location: Location) {
        let mut queue = self.queue.lock();
        if queue.damaged.len() < MOST_DAMAGED {
            queue.damaged.push_back((key, location));
            self.more.notify_one();
        }
    }

    /// The next step's worth. Waits for it, up to `wait` if that is given.
    pub(super) fn next(&self, wait: Option<Duration>) -> Work {
        let mut queue = self.queue.lock();
        let idle = |queue: &mut Queue| queue.strikes.is_empty() && queue.writes.is_empty() && queue.damaged.is_empty() && !queue.closing;
        match wait {
            Some(wait) => {
                self.more.wait_while_for(&mut queue, idle, wait);
            }
            None => self.more.wait_while(&mut queue, idle),
        }
        let writes = queue.writes.len().min(WRITES_AT_ONCE);
        Work {
            strikes: take_strikes(&mut queue),
            writes: queue.writes.drain(..writes).collect(),
            damaged: queue.damaged.drain(..).collect(),
            closing: queue.closing,
        }
    }

    /// The strikes that wait, a step's worth, without waiting for any.
    pub(super) fn strikes(&self) -> Vec<EntryKey> {
        take_strikes(&mut self.queue.lock())
    }

    /// Waits for the end, at most so long. True if it came.
    pub(super) fn closing_within(&self, wait: Duration) -> bool {
        let mut queue = self.queue.lock();
        self.more.wait_while_for(&mut queue, |queue| !queue.closing, wait);
        queue.closing
    }

    /// Puts writes back that did not fit into a step.
    pub(super) fn put_back(&self, writes: impl DoubleEndedIterator<Item = EntryKey>) {
        let mut queue = self.queue.lock();
        for key in writes.rev() {
            queue.writes.push_front(key);
        }
    }

    /// Forgets all jobs.
    pub(super) fn clear(&self) {
        let mut queue = self.queue.lock();
        queue.strikes.clear();
        queue.writes.clear();
        queue.damaged.clear();
    }

    /// Nothing comes after what is there.
    pub(super) fn close(&self) {
        self.queue.lock().closing = true;
        self.more.notify_all();
    }
}

fn take_strikes(queue: &mut Queue) -> Vec<EntryKey> {
    let strikes = queue.strikes.len().min(STRIKES_AT_ONCE);
    queue.strikes.drain(..strikes).collect()
}

/// Strikes that may wait. Each costs about 200 bytes while it does.
const MOST_STRIKES: usize = 1 << 16;
const MOST_DAMAGED: usize = 1 << 10;
const STRIKES_AT_ONCE: usize = 1 << 10;
const WRITES_AT_ONCE: usize = 1 << 10;
