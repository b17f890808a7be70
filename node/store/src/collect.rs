//! Removing a blob that nobody wants any more.
//!
//! The order is record first, files after, with an intent around both: a crash between them leaves
//! files that the next open removes, never a record that promises what is gone.

use std::time::Duration;

use crate::core::{Core, now_ms};
use crate::error::StoreError;
use crate::index::Change;
use crate::variant;

/// What became of a blob that was to be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// It is gone.
    Removed {
        /// Bytes of content that it had.
        size: u64,
    },
    /// There was none.
    Absent,
    /// A pin holds it.
    Pinned,
    /// It was stored, pinned or unpinned less than the grace ago.
    InGrace,
    /// The recheck found that something refers to it, or it is a variant of a blob that is here.
    Referenced,
}

impl Collection {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Removed { .. } => "removed",
            Self::Absent => "absent",
            Self::Pinned => "pinned",
            Self::InGrace => "in_grace",
            Self::Referenced => "referenced",
        }
    }
}

/// Removes a blob if nothing speaks against it. Under the blob's lock. Blocks.
pub(crate) fn collect(
    core: &Core,
    hash: &blake3::Hash,
    grace: Duration,
    is_unreferenced: impl FnOnce() -> bool,
) -> Result<Collection, StoreError> {
    let Some(record) = core.index.blob(hash)? else {
        return Ok(Collection::Absent);
    };
    if core.index.is_pinned(hash)? {
        return Ok(Collection::Pinned);
    }
    // A clock that was set back makes the age zero, which keeps the blob.
    let age = Duration::from_millis(now_ms().saturating_sub(record.touched_at_ms));
    if age < grace {
        return Ok(Collection::InGrace);
    }
    if core.index.is_variant(hash)? || !is_unreferenced() {
        return Ok(Collection::Referenced);
    }
    core.declare_intent(hash)?;
    #[cfg(test)]
    crate::crash::point("collect-intent");
    variant::end_source(core, hash, Change::default().delete_blob(hash))?;
    #[cfg(test)]
    crate::crash::point("collect-unrecorded");
    core.layout.blob(hash).remove()?;
    core.layout.quarantined(hash).remove()?;
    #[cfg(test)]
    crate::crash::point("collect-removed");
    core.withdraw_intent(hash);
    Ok(Collection::Removed { size: record.size })
}
