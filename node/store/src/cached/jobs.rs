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
    /// Bytes of the entries that came to be written since the last step.
    write_bytes: usize,
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

    /// Has an entry of so many bytes written, with others if they come soon.
    pub(super) fn write(&self, key: EntryKey, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.writes.push_back(key);
        let before = (queue.writes.len() - 1, queue.write_bytes);
        queue.write_bytes = queue.write_bytes.saturating_add(bytes);
        // The thread is woken for the first, and then for as many as are worth a step. In between it waits for those.
        if before.0 == 0 || queue.is_worth_a_step() && !is_worth_a_step(before.0, before.1) {
            self.more.notify_one();
        }
    }

    /// Has a damaged record dropped. If many wait already it is left where it is, to be found again.
    pub(super) fn damaged(&self, key: EntryKey, location: Location) {
        let mut queue = self.queue.lock();
        if queue.damaged.len() < MOST_DAMAGED {
            queue.damaged.push_back((key, location));
            self.more.notify_one();
        }
    }

    /// The next step's worth. Waits for it, up to `wait` if that is given. Writes alone are waited for a little longer, so that those which come one
    /// after the other share a step: it costs hardly more for many than for one.
    pub(super) fn next(&self, wait: Option<Duration>) -> Work {
        let mut queue = self.queue.lock();
        let idle = |queue: &mut Queue| queue.strikes.is_empty() && queue.writes.is_empty() && queue.damaged.is_empty() && !queue.closing;
        match wait {
            Some(wait) => {
                self.more.wait_while_for(&mut queue, idle, wait);
            }
            None => {
                self.more.wait_while(&mut queue, idle);
                let few = |queue: &mut Queue| queue.strikes.is_empty() && !queue.closing && !queue.is_worth_a_step();
                self.more.wait_while_for(&mut queue, few, LINGER);
            }
        }
        queue.write_bytes = 0;
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
            // They have waited.
            queue.write_bytes = WORTH_BYTES;
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

impl Queue {
    fn is_worth_a_step(&self) -> bool {
        is_worth_a_step(self.writes.len(), self.write_bytes)
    }
}

fn is_worth_a_step(writes: usize, bytes: usize) -> bool {
    writes >= WORTH_WRITES || bytes >= WORTH_BYTES
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
/// Writes that are made at once, without waiting for more: so many, or so many bytes.
const WORTH_WRITES: usize = 64;
const WORTH_BYTES: usize = 1 << 20;
/// How long fewer wait for others. Tests that wait for each entry to be written would take an hour.
const LINGER: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(5) };

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn key(n: usize) -> EntryKey {
        EntryKey::of(&[&n.to_le_bytes()])
    }

    #[test]
    fn as_many_as_are_worth_a_step_are_one_and_so_is_one_that_is_alone() {
        let jobs = Jobs::default();
        (0..WORTH_WRITES).for_each(|n| jobs.write(key(n), 1));
        assert_eq!(jobs.next(None).writes.len(), WORTH_WRITES);
        jobs.write(key(0), 1);
        assert_eq!(jobs.next(None).writes, [key(0)]);
        jobs.write(key(1), WORTH_BYTES);
        assert_eq!(jobs.next(None).writes, [key(1)]);
    }

    #[test]
    fn none_is_lost_or_forgotten_however_they_come() {
        const ALL: usize = 20_000;
        let jobs = Arc::new(Jobs::default());
        let taken = thread::spawn({
            let jobs = Arc::clone(&jobs);
            move || {
                let mut taken = Vec::new();
                while taken.len() < ALL {
                    taken.extend(jobs.next(None).writes);
                }
                taken
            }
        });
        for n in 0..ALL {
            jobs.write(key(n), n % 3 * WORTH_BYTES / 2);
            if n % 1_000 == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(taken.join().expect("no panic"), (0..ALL).map(key).collect::<Vec<_>>());
    }
}
