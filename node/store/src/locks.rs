//! One lock per blob, for as long as somebody wants it.
//!
//! Changes to one blob (commit, pin, collect, verify, quarantine) take turns, and so does work at the
//! files of a partial, in a table of its own; different blobs never wait for each other. A table holds
//! only the blobs that are being worked on.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Table = Mutex<HashMap<blake3::Hash, Arc<AsyncMutex<()>>>>;

/// The locks of all blobs that are being changed.
#[derive(Debug, Default)]
pub(crate) struct BlobLocks {
    table: Arc<Table>,
}

impl BlobLocks {
    /// Waits for the blob's turn. Dropping the future gives the place in the queue up.
    pub(crate) async fn lock(&self, hash: blake3::Hash) -> BlobGuard {
        let turn = Arc::clone(self.table.lock().entry(hash).or_default());
        // The guard exists before the wait, so that a dropped wait cleans up as well.
        let mut guard = BlobGuard { table: Arc::clone(&self.table), hash, turn: Arc::clone(&turn), held: None };
        guard.held = Some(turn.lock_owned().await);
        guard
    }
}

/// The right to change one blob. May be moved to another thread and dropped there.
#[derive(Debug)]
pub(crate) struct BlobGuard {
    table: Arc<Table>,
    hash: blake3::Hash,
    turn: Arc<AsyncMutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for BlobGuard {
    fn drop(&mut self) {
        self.held = None;
        let mut table = self.table.lock();
        // Ours and the table's: nobody waits, and nobody can begin to while the table is locked.
        if Arc::strong_count(&self.turn) == 2 {
            table.remove(&self.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let locks = BlobLocks::default();
        let (one, other) = (blake3::hash(b"one"), blake3::hash(b"other"));
        let first = locks.lock(one).await;
        let _unrelated = locks.lock(other).await;
        let second = tokio::time::timeout(Duration::from_millis(20), locks.lock(one)).await;
        assert!(second.is_err(), "the lock was given twice");
        assert_eq!(locks.table.lock().len(), 2);
        drop(first);
        assert_eq!(locks.table.lock().len(), 1);
        drop(locks.lock(one).await);
        assert_eq!(locks.table.lock().len(), 1);
    }
}
