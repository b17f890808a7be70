//! Where records wait for the thread that takes them: some queues, each bounded, so that threads that serve hardly meet.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use super::record::AccessRecord;

/// A thread has one of them, so as many threads as this never wait for each other.
const QUEUES: usize = 8;
/// Records in a queue: of a tenth of a second, at 80 000 requests a second of all threads together.
pub(super) const QUEUE_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    queues: [Queue; QUEUES],
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
        drop(records);
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
