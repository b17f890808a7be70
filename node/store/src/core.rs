//! What every part of the store stands on: paths, index, free space, and whose turn it is.
//!
//! The parts (ingest, commit, read, collect, ...) are modules with functions over this. It has no
//! behaviour of its own beyond taking turns.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::durable::Durability;
use crate::error::StoreError;
use crate::index::Index;
use crate::layout::Layout;
use crate::locks::BlobLocks;
use crate::offload::offload;
use crate::space::Space;

/// The shared state of one open store.
pub(crate) struct Core {
    pub(crate) layout: Layout,
    pub(crate) index: Index,
    pub(crate) durability: Arc<Durability>,
    pub(crate) space: Space,
    pub(crate) locks: BlobLocks,
    /// Blobs that are being received into a partial.
    pub(crate) receiving: Mutex<HashSet<blake3::Hash>>,
    /// Whose turn it is at the records of variants: a variant is recorded only while its source is here.
    pub(crate) variants: Mutex<()>,
    /// Whose turn it is at the files of a partial.
    pub(crate) at_partials: BlobLocks,
}

impl Core {
    /// Does blocking work under the lock of one blob. Once it has begun it completes, with the lock
    /// held, even if this future is dropped.
    pub(crate) async fn exclusive<R: Send + 'static>(
        self: &Arc<Self>,
        hash: blake3::Hash,
        work: impl FnOnce(&Arc<Self>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let turn = self.locks.lock(hash).await;
        let core = Arc::clone(self);
        offload(move || {
            let result = work(&core);
            drop(turn);
            result
        })
        .await?
    }

    /// Notes in `incoming/` that files of this blob may stand without a record, until
    /// [`Core::withdraw_intent`]. Blocks.
    pub(crate) fn declare_intent(&self, hash: &blake3::Hash) -> Result<(), StoreError> {
        std::fs::File::create(self.layout.intent(hash)).map(drop).map_err(StoreError::io("note an intent"))
    }

    /// Files and record agree again. Blocks.
    pub(crate) fn withdraw_intent(&self, hash: &blake3::Hash) {
        // A note too many is harmless: open finds that the record is there and removes the note.
        if let Err(error) = crate::layout::remove_if_there(&self.layout.intent(hash)) {
            tracing::warn!(%hash, %error, "could not remove the note of an intent");
        }
    }
}

/// Milliseconds of the Unix epoch by the wall clock. Only ages are computed from it, and those are
/// guarded by pins and by the caller's recheck against a clock that jumps.
pub(crate) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
