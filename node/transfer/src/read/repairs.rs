//! Blobs that were found damaged, on their way to whoever repairs them.
//!
//! Reports come from readers, which must not wait, and come again with every read until the blob is repaired. So the queue is
//! bounded, a full one drops the report, and a blob that waits or is being repaired is not queued again.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::mpsc;

type Reported = Arc<Mutex<HashSet<blake3::Hash>>>;

/// Where damage is reported. A handle: clones report to the same queue.
#[derive(Debug, Clone)]
pub struct Repairs {
    queue: mpsc::Sender<Repair>,
    reported: Reported,
}

/// Where reports come out.
#[derive(Debug)]
pub struct RepairQueue {
    queue: mpsc::Receiver<Repair>,
}

/// A blob that is damaged. While this lives, further reports of the same blob are ignored.
#[derive(Debug)]
pub struct Repair {
    hash: blake3::Hash,
    size: u64,
    reported: Reported,
}

impl Repairs {
    /// A queue for `capacity` blobs.
    #[must_use]
    pub fn channel(capacity: usize) -> (Self, RepairQueue) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { queue: sender, reported: Reported::default() }, RepairQueue { queue: receiver })
    }

    /// Reports that the blob of this size is damaged. Does not wait. Whether the report was new and is on its way.
    pub fn report(&self, hash: blake3::Hash, size: u64) -> bool {
        if !self.reported.lock().insert(hash) {
            return false;
        }
        let repair = Repair { hash, size, reported: Arc::clone(&self.reported) };
        // A repair that is not taken is dropped, and takes its mark along.
        self.queue.try_send(repair).is_ok()
    }
}

impl RepairQueue {
    /// The next blob; `None` when nobody is left to report.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Repair> {
        self.queue.recv().await
    }
}

impl Repair {
    /// Which blob.
    #[must_use]
    pub fn hash(&self) -> blake3::Hash {
        self.hash
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Repair {
    fn drop(&mut self) {
        self.reported.lock().remove(&self.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_is_reported_once_until_its_repair_is_over() {
        let (repairs, mut queue) = Repairs::channel(2);
        let (one, other, third) = (blake3::hash(b"1"), blake3::hash(b"2"), blake3::hash(b"3"));
        assert!(repairs.report(one, 1));
        assert!(!repairs.report(one, 1), "it waits already");
        assert!(repairs.report(other, 2));
        assert!(!repairs.report(third, 3), "the queue is full");
        let repair = queue.next().await.expect("a report");
        assert_eq!((repair.hash(), repair.size()), (one, 1));
        assert!(!repairs.report(one, 1), "it is being repaired");
        assert!(repairs.report(third, 3), "a report that was dropped may come again");
        drop(repair);
        drop(queue.next().await);
        assert!(repairs.report(one, 1));
    }
}
