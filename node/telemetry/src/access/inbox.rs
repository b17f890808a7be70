//! Where records wait for the thread that takes them: some queues, each bounded, so that threads that serve hardly meet. The thread comes by
//! itself now and then, and is woken when a queue is half full.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread::{self, Thread},
};

use parking_lot::{Mutex, RwLock};

use super::record::AccessRecord;

/// A thread has one of them, so as many threads as this never wait for each other.
const QUEUES: usize = 8;
/// Records in a queue. What the other half of it takes at 40 000 requests a second of one thread is 50 ms: longer than a thread that was
/// woken waits for a processor, unless there is none.
pub(super) const QUEUE_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    queues: [Queue; QUEUES],
    /// Whom to wake.
    taker: RwLock<Option<Thread>>,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Queue {
    records: Mutex<VecDeque<AccessRecord>>,
    dropped: AtomicU64,
}

impl Inbox {
    /// Adds a record. In a queue that is full the oldest makes room.
    pub(super) fn push(&self, record: AccessRecord) {
        let queue = &self.queues[own_queue()];
        let mut records = queue.records.lock();
        // Freed after the lock.
        let oldest = if records.len() < QUEUE_MAX { None } else { records.pop_front() };
        records.push_back(record);
        let is_half_full = records.len() == QUEUE_MAX / 2;
        drop(records);
        if is_half_full && let Some(taker) = &*self.taker.read() {
            taker.unpark();
        }
        if oldest.is_some() {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Moves what there is to `taken`, in the order in which answers ended.
    pub(super) fn take(&self, taken: &mut Vec<AccessRecord>) {
        for queue in &self.queues {
            // The queue keeps its memory, so that who pushes hardly ever has to ask for more.
            taken.extend(queue.records.lock().drain(..));
        }
        taken.sort_by_key(|record| record.ended_us);
    }

    /// From now on this thread is the one that takes.
    pub(super) fn taken_by_this_thread(&self) {
        *self.taker.write() = Some(thread::current());
    }

    pub(super) fn dropped(&self) -> u64 {
        self.queues.iter().map(|queue| queue.dropped.load(Ordering::Relaxed)).sum()
    }
}

/// The queue of this thread.
fn own_queue() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let queue = NEXT.fetch_add(1, Ordering::Relaxed) % QUEUES;
            own.set(Some(queue));
            queue
        })
    })
}
