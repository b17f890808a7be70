//! What a crash left in `incoming/`, put right on open.
//!
//! The time it takes depends on what was in flight, never on how many blobs there are.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::error::StoreError;
use crate::index::Index;
use crate::layout::{Layout, remove_if_there};
use crate::record::BlobState;

/// What a name in `incoming/` stands for.
enum Leftover {
    /// Files of this blob may stand without a record.
    Intent(blake3::Hash),
    /// One of the two files of a transfer that can be resumed.
    Partial(blake3::Hash),
    /// Everything else.
    Temporary,
}

/// Settles every intent and removes every temporary. Blocks.
pub(crate) fn recover(layout: &Layout, index: &Index) -> Result<(), StoreError> {
    let entries = fs::read_dir(layout.incoming()).map_err(StoreError::io("list incoming files"))?;
    for entry in entries {
        let path = entry.map_err(StoreError::io("list incoming files"))?.path();
        match Leftover::of(&path) {
            Leftover::Intent(hash) => settle(layout, index, &hash)?,
            Leftover::Partial(hash) if is_resumable(layout, index, &hash)? => continue,
            Leftover::Partial(_) | Leftover::Temporary => {}
        }
        remove_if_there(&path).map_err(StoreError::io("remove an incoming file"))?;
    }
    Ok(())
}

/// Removes the files of a blob that has no record.
fn settle(layout: &Layout, index: &Index, hash: &blake3::Hash) -> Result<(), StoreError> {
    if index.blob(hash)?.is_some() {
        return Ok(());
    }
    tracing::info!(%hash, "removing the files of a blob that was not committed");
    layout.blob(hash).remove()?;
    layout.quarantined(hash).remove()
}

/// A partial is of use with its journal, and while the blob is not there.
fn is_resumable(layout: &Layout, index: &Index, hash: &blake3::Hash) -> Result<bool, StoreError> {
    let is_present = index.blob(hash)?.is_some_and(|record| record.state == BlobState::Present);
    Ok(!is_present && layout.partial(hash).exists() && layout.partial_journal(hash).exists())
}

impl Leftover {
    fn of(path: &Path) -> Self {
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let Ok(hash) = blake3::Hash::from_hex(stem) else {
            return Self::Temporary;
        };
        match path.extension().and_then(OsStr::to_str) {
            Some("intent") => Self::Intent(hash),
            Some("part" | "crc") => Self::Partial(hash),
            _ => Self::Temporary,
        }
    }
}
