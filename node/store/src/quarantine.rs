//! Bad copies, set aside.
//!
//! # How a bad blob is repaired
//!
//! Not in place, slice by slice: a rewrite that a crash cuts short would leave a copy that is
//! neither the old one nor the new one, and the outboard cannot be trusted to say which slices are
//! good. Instead the whole copy is set aside and marked here; its owner fetches the blob again from
//! a peer, through a writer or a partial, and the commit puts the new copy into place by rename and
//! removes the old one. Meanwhile slices are still read from the copy that was set aside, each one
//! verified, so that only those that are really damaged have to come from a peer.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::check;
use crate::core::{Core, now_ms};
use crate::error::StoreError;
use crate::index::Change;
use crate::layout::CopyPaths;
use crate::record::BlobState;

/// What became of a copy that was reported to be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantine {
    /// It is bad, was set aside, and counts no more.
    SetAside,
    /// It was read from the disk in full and is good: the report was mistaken, or the copy was
    /// replaced or healed in the meantime.
    Good,
    /// It had been set aside before.
    AlreadySetAside,
    /// There was none.
    Absent,
}

/// Sets a bad copy aside, after making sure that it is bad. Under the blob's lock. Blocks.
pub(crate) fn quarantine(core: &Core, hash: &blake3::Hash) -> Result<Quarantine, StoreError> {
    let Some(record) = core.index.blob(hash)? else {
        return Ok(Quarantine::Absent);
    };
    if record.state == BlobState::Quarantined {
        return Ok(Quarantine::AlreadySetAside);
    }
    if check::examine_and_heal(core, hash, record.size)?.is_good() {
        let record = record.verified(now_ms());
        core.index.write_unsynced(Change::default().put_blob(hash, &record))?;
        return Ok(Quarantine::Good);
    }
    // The mark comes first: from here on nobody counts the copy, wherever its files are.
    let record = record.quarantined(now_ms());
    core.index.write(Change::default().put_blob(hash, &record))?;
    #[cfg(test)]
    crate::crash::point("quarantine-recorded");
    set_aside(core, hash)?;
    #[cfg(test)]
    crate::crash::point("quarantine-moved");
    prune(core)?;
    Ok(Quarantine::SetAside)
}

fn set_aside(core: &Core, hash: &blake3::Hash) -> Result<(), StoreError> {
    let (from, to) = (core.layout.blob(hash), core.layout.quarantined(hash));
    // The outboard first, as in a commit: data that a reader finds has its outboard beside it.
    for (from, to) in [(&from.outboard, &to.outboard), (&from.data, &to.data)] {
        match fs::rename(from, to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            answer => answer.map_err(StoreError::io("set a bad copy aside"))?,
        }
    }
    Ok(())
}

/// Removes the oldest copies until few enough are left. Their records stay.
fn prune(core: &Core) -> Result<(), StoreError> {
    let list_error = || StoreError::io("list the quarantine");
    let mut copies = Vec::new();
    for entry in fs::read_dir(core.layout.quarantine()).map_err(list_error())? {
        let data = entry.map_err(list_error())?.path();
        if data.extension() != Some(OsStr::new("data")) {
            continue;
        }
        // Another quarantine may be pruning as well.
        let Ok(status) = fs::metadata(&data) else {
            continue;
        };
        // The rename that brought it here changed its inode, and nothing did since.
        copies.push(((status.ctime(), status.ctime_nsec()), data));
    }
    copies.sort();
    let surplus = copies.len().saturating_sub(KEPT);
    for (_, data) in copies.into_iter().take(surplus) {
        let outboard = data.with_extension("obao");
        CopyPaths { data, outboard }.remove()?;
    }
    Ok(())
}

/// Bad copies that are kept, for a look at what went wrong.
pub(crate) const KEPT: usize = 8;
