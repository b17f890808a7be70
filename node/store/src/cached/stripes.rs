//! What is under way to the disk, by key, in stripes that are locked for moments and never over I/O.
//!
//! ```text
//!            put, nothing on disk                        written and in the index
//!   (none) ------------------------> Readable ---------------------------------> (none)
//!      |                              |    ^
//!      | put or remove,               | put, remove
//!      | may be on disk               v    | struck, there is a new value
//!      +--------------------------> Striking ----------------------------------> (none)
//!                                              struck, there is none
//! ```
//!
//! Each stripe has an epoch that every put and remove in it moves on. Who read something from the disk brings it into memory only if the epoch is
//! still the one from before the read: otherwise it might be what was replaced or removed meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::absent::Absent;
use super::entry::{Entry, EntryKey};
use super::hands::Hands;

/// All that is under way.
pub(super) struct Stripes {
    stripes: Box<[Mutex<Stripe>]>,
    queued_bytes: AtomicU64,
    queue_bytes: u64,
}

/// Keys that share a lock.
#[derive(Default)]
pub(super) struct Stripe {
    pub(super) epoch: u64,
    pub(super) waiting: HashMap<EntryKey, Waiting>,
    pub(super) absent: Absent,
    /// Of this epoch.
    pub(super) hands: Hands,
}

/// One key that is under way.
pub(super) struct Waiting {
    /// The epoch of the put or remove that this is of.
    pub(super) epoch: u64,
    pub(super) step: Step,
    /// What was put; nothing if it was removed, or if there was no room for what was put.
    pub(super) value: Option<Entry>,
    /// Who wants to know when the old entry is struck out.
    pub(super) wakers: Vec<oneshot::Sender<Strike>>,
}

/// How far a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What was there before has to be struck out of the index. A job for that is queued.
    Striking,
    /// There is nothing in the index: the value may be seen. A job for writing it is queued.
    Readable,
}

/// What became of a strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    /// It is in the index: the old entry does not come back.
    Done,
    /// The index could not be written.
    Failed,
}

impl Stripes {
    pub(super) fn new(queue_bytes: u64) -> Self {
        let stripes = std::iter::repeat_with(Mutex::default).take(STRIPES).collect();
        Self { stripes, queued_bytes: AtomicU64::new(0), queue_bytes }
    }

    pub(super) fn lock(&self, key: &EntryKey) -> MutexGuard<'_, Stripe> {
        let [_, high] = key.halves();
        let stripe = usize::try_from((high >> 32) % STRIPES as u64).unwrap_or(0);
        self.stripes[stripe].lock()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Stripe>> {
        self.stripes.iter().map(Mutex::lock)
    }

    /// Takes room in the queue for an entry. False if there is none.
    pub(super) fn reserve(&self, entry: &Entry) -> bool {
        let more = |queued: u64| queued.checked_add(entry.cost()).filter(|queued| *queued <= self.queue_bytes);
        self.queued_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives the room of an entry back.
    pub(super) fn release(&self, entry: &Entry) {
        self.queued_bytes.fetch_sub(entry.cost(), Ordering::Relaxed);
    }

    /// Bytes of what is under way.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Ordering::Relaxed)
    }
}

impl Stripe {
    /// Moves the epoch on for a put or a remove.
    pub(super) fn advance(&mut self) -> u64 {
        self.hands.forget();
        self.epoch += 1;
        self.epoch
    }
}

impl Waiting {
    /// Tells all who wait.
    pub(super) fn wake(&mut self, outcome: Strike) {
        for waker in self.wakers.drain(..) {
            // One who does not wait any more does not want to know.
            let _ = waker.send(outcome);
        }
    }
}

const STRIPES: usize = 256;
