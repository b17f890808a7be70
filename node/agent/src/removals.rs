//! Keeps removals apart from looks at what is here.
//!
//! The replicator looks at a state and then at the store, and reports what it found. A removal looks at a state too, finds that the
//! blob is not needed, and removes it. If the removal looked at an older state than the replicator, and removed after the replicator
//! had looked at the store, the report would speak of a blob that is gone. So one removal is made at a time, from its look to its end,
//! and whoever looks waits, after it has its state, for the one under way. A later one sees a state as new as that, and so what needs
//! the blob.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The right to remove. A handle: clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Removals {
    turn: Arc<Mutex<()>>,
}

impl Removals {
    /// Begins a removal. It ends when the guard is dropped.
    pub(crate) async fn begin(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Waits for the removal that is under way. Blocks.
    pub(crate) fn settle(&self) {
        drop(self.turn.blocking_lock());
    }
}
