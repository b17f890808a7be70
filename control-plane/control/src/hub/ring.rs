//! The newest entries, encoded, for children that are up to date or a little behind.
//!
//! It is fed by whoever applies, right after applying, and read by one session for each child. Nobody waits for anybody: a child
//! that is too slow falls out behind, and is then served from the log, or sent to a checkpoint.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use ncore_raft::CommittedEntry;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::frame::Frame;

/// Bounded by bytes; a suffix of what was applied, without holes.
pub(crate) struct Ring {
    /// Bytes of frames; 0 as long as this node has no children to feed.
    limit: AtomicUsize,
    held: Mutex<Held>,
    /// Index of the entry after the last that was applied.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Held {
    frames: VecDeque<Frame>,
    bytes: usize,
}

/// What the ring has for a child.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// These, of which the first may begin before the place that was asked for.
    Frames(Vec<Frame>),
    /// The child has everything.
    Nothing,
    /// What it lacks has fallen out; this is the first index that is here.
    Before {
        /// The first index that is here.
        oldest: u64,
    },
}

impl Ring {
    /// An empty ring behind which the entry `next` comes.
    pub(crate) fn new(next: u64) -> Self {
        Self { limit: AtomicUsize::new(0), held: Mutex::default(), next: watch::Sender::new(next) }
    }

    /// Keeps up to `bytes` from now on, but always the newest frame.
    pub(crate) fn open(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Adds entries that were applied. Those that do not follow the last ones start afresh.
    pub(crate) fn push(&self, entries: &[CommittedEntry]) {
        let Some(last) = entries.last() else { return };
        let next = last.position.index + 1;
        let limit = self.limit.load(Ordering::Relaxed);
        if limit > 0
            && let Some(frame) = Frame::encode(entries)
        {
            self.held.lock().push(frame, limit);
        }
        self.next.send_replace(next);
    }

    /// The state was replaced by one that ends before `next`.
    pub(crate) fn reset(&self, next: u64) {
        *self.held.lock() = Held::default();
        self.next.send_replace(next);
    }

    /// What is there from `next` on: up to `max_bytes`, but at least one frame.
    pub(crate) fn read(&self, next: u64, max_bytes: usize) -> Read {
        let held = self.held.lock();
        let end = held.frames.back().map_or_else(|| *self.next.borrow(), Frame::end);
        if next >= end {
            return Read::Nothing;
        }
        let oldest = held.frames.front().map_or(end, Frame::first);
        if next < oldest {
            return Read::Before { oldest };
        }
        let start = held.frames.partition_point(|frame| frame.end() <= next);
        let mut bytes = 0;
        let frames = held.frames.iter().skip(start).take_while(|frame| {
            let fits = bytes == 0 || bytes + frame.size() <= max_bytes;
            bytes += frame.size().max(1);
            fits
        });
        Read::Frames(frames.cloned().collect())
    }

    /// Index of the entry after the last that was applied.
    pub(crate) fn next(&self) -> u64 {
        *self.next.borrow()
    }

    /// Follows [`next`](Self::next).
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }
}

impl Held {
    fn push(&mut self, frame: Frame, limit: usize) {
        if self.frames.back().is_some_and(|last| last.end() != frame.first()) {
            *self = Self::default();
        }
        self.bytes += frame.size();
        self.frames.push_back(frame);
        while self.bytes > limit && self.frames.len() > 1 {
            self.bytes -= self.frames.pop_front().map_or(0, |frame| frame.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Read, Ring};
    use crate::hub::frame::{Frame, decode, tests::run};

    fn indices(read: Read) -> Vec<u64> {
        let Read::Frames(frames) = read else { panic!("{read:?}") };
        let entries = frames.iter().flat_map(|frame| decode(&frame.to_wire()).expect("decodes"));
        entries.map(|entry| entry.position.index).collect()
    }

    #[test]
    fn a_child_gets_what_follows() {
        let ring = Ring::new(3);
        ring.open(1 << 20);
        assert_eq!(ring.read(3, 1 << 20), Read::Nothing);
        assert_eq!(ring.read(2, 1 << 20), Read::Before { oldest: 3 });
        ring.push(&run(3..6, 10));
        ring.push(&run(6..8, 10));
        assert_eq!(ring.next(), 8);
        assert_eq!(indices(ring.read(3, 1 << 20)), [3, 4, 5, 6, 7]);
        assert_eq!(indices(ring.read(3, 1)), [3, 4, 5], "at least one frame");
        assert_eq!(indices(ring.read(7, 1 << 20)), [6, 7], "the frame that has it");
        assert_eq!(ring.read(8, 1 << 20), Read::Nothing);
        assert_eq!(ring.read(99, 1 << 20), Read::Nothing);
    }

    #[test]
    fn the_oldest_fall_out_and_the_newest_stay() {
        let ring = Ring::new(0);
        let size = Frame::encode(&run(9..10, 100)).expect("is not empty").size();
        ring.open(3 * size);
        for index in 0..10 {
            ring.push(&run(index..index + 1, 100));
        }
        assert_eq!(ring.read(6, 1 << 20), Read::Before { oldest: 7 });
        assert_eq!(indices(ring.read(7, 1 << 20)), [7, 8, 9]);
        ring.push(&run(10..11, 1_000));
        assert_eq!(indices(ring.read(10, 1)), [10], "even if it is larger than the ring");
    }

    #[test]
    fn a_jump_starts_afresh_and_a_closed_ring_keeps_nothing() {
        let ring = Ring::new(0);
        ring.push(&run(0..5, 10));
        assert_eq!(ring.read(0, 1 << 20), Read::Before { oldest: 5 });
        ring.open(1 << 20);
        ring.push(&run(5..7, 10));
        ring.push(&run(9..10, 10));
        assert_eq!(ring.read(5, 1 << 20), Read::Before { oldest: 9 });
        ring.reset(40);
        assert_eq!(ring.read(39, 1 << 20), Read::Before { oldest: 40 });
        assert_eq!(ring.read(40, 1 << 20), Read::Nothing);
    }
}
