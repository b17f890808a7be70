//! Pins: durable claims of "not yet" against collection.
//!
//! An upload pins its blob on each copy that it counts, from before the metadata is proposed until
//! its outcome is known. Pins survive a restart; their owner lists them afterwards, with the time of
//! their creation, and releases those that lead nowhere.

use crate::check::{self, Examined};
use crate::core::{Core, now_ms};
use crate::error::{Corruption, StoreError};
use crate::index::Change;
use crate::record::{BlobRecord, BlobState, PinRecord};

/// Names a claim. Chosen by its owner, such as the id of the request that it is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinId(pub u128);

/// A claim that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinEntry {
    /// The blob that it holds.
    pub hash: blake3::Hash,
    /// Its name.
    pub pin: PinId,
    /// When it was made, in milliseconds of the Unix epoch by this machine's clock.
    pub created_at_ms: u64,
}

/// What became of the wish to pin a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// The copy was read from the disk in full, is good, and stays.
    Pinned {
        /// Bytes of content.
        size: u64,
    },
    /// There is no present copy.
    Absent,
    /// The copy is bad and was not pinned. Have it quarantined, and fetch the blob again.
    Corrupt {
        /// The part that is damaged.
        what: Corruption,
    },
}

/// What became of the wish to release a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpinning {
    /// The pin is gone.
    Released,
    /// There was no such pin.
    NotPinned,
}

/// Pins a blob that is there. Under the blob's lock. Blocks.
pub(crate) fn pin(core: &Core, hash: &blake3::Hash, pin: PinId) -> Result<Pinning, StoreError> {
    let record = match core.index.blob(hash)? {
        Some(record) if record.state == BlobState::Present => record,
        _ => return Ok(Pinning::Absent),
    };
    if let Examined::Bad(what) = check::examine_and_heal(core, hash, record.size)? {
        return Ok(Pinning::Corrupt { what });
    }
    let record = record.verified(now_ms());
    core.index.write(pinning(core, hash, pin, record)?)?;
    Ok(Pinning::Pinned { size: record.size })
}

/// Releases a pin. The grace of the blob begins anew. Under the blob's lock. Blocks.
pub(crate) fn unpin(core: &Core, hash: &blake3::Hash, pin: PinId) -> Result<Unpinning, StoreError> {
    if core.index.pin(hash, pin)?.is_none() {
        return Ok(Unpinning::NotPinned);
    }
    let mut change = Change::default().delete_pin(hash, pin);
    if let Some(record) = core.index.blob(hash)? {
        change = change.put_blob(hash, &record.touched(now_ms()));
    }
    core.index.write(change)?;
    Ok(Unpinning::Released)
}

/// The change that records a blob together with a pin. A pin that is there keeps its time.
pub(crate) fn pinning(core: &Core, hash: &blake3::Hash, pin: PinId, record: BlobRecord) -> Result<Change, StoreError> {
    let now = now_ms();
    let pin_record = core.index.pin(hash, pin)?.unwrap_or(PinRecord { created_at_ms: now });
    Ok(Change::default().put_blob(hash, &record.touched(now)).put_pin(hash, pin, &pin_record))
}

/// Lists pins. Blocks.
pub(crate) fn list(core: &Core, after: Option<(blake3::Hash, PinId)>, limit: usize) -> Result<Vec<PinEntry>, StoreError> {
    let after = after.as_ref().map(|(hash, pin)| (hash, *pin));
    let pins = core.index.pins(after, limit)?;
    let entry = |(hash, pin, record): (_, _, PinRecord)| PinEntry { hash, pin, created_at_ms: record.created_at_ms };
    Ok(pins.into_iter().map(entry).collect())
}
