//! Variants: blobs that were made out of other blobs of this store, such as the same content in a content coding.
//!
//! ```text
//! source ── coding ──► variant record: a blob of this store, or "not worth it"
//!                          │
//! variant's blob ──► claim ┘   what the collector looks at
//! ```
//!
//! A variant stays as long as its source is here, and nothing else refers to it: to lose one is to make it once more. So there is no
//! pin that could be left over. Record, claim and the record of the blob are one synced write, and so are the end of a source and the
//! end of its variants; what is left then is a blob that nobody claims, which the collector removes like any other.
//!
//! The codings are numbers here; what they stand for is known above.

use crate::core::{Core, now_ms};
use crate::error::StoreError;
use crate::index::Change;
use crate::record::{BlobRecord, BlobState, VariantRecord};

/// Which variant of which blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VariantKey {
    /// What it is made out of.
    pub source: blake3::Hash,
    /// How.
    pub coding: u8,
}

/// What is known of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// It is here.
    Stored(StoredVariant),
    /// It was made once and is not to be made again: it is hardly smaller than its source.
    NotWorthIt,
}

/// A variant that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVariant {
    /// The blob that it is.
    pub blob: blake3::Hash,
    /// Bytes of it.
    pub size: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

/// A variant in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariantEntry {
    /// Which one.
    pub key: VariantKey,
    /// What is known of it.
    pub variant: Variant,
    /// When it was last said to be in use, in milliseconds of the Unix epoch.
    pub used_at_ms: u64,
}

impl From<VariantRecord> for Variant {
    fn from(record: VariantRecord) -> Self {
        record.stored.map_or(Self::NotWorthIt, Self::Stored)
    }
}

/// A point lookup: a variant counts while its blob does. Blocks.
pub(crate) fn find(core: &Core, key: &VariantKey) -> Result<Option<Variant>, StoreError> {
    let Some(record) = core.index.variant(key)? else { return Ok(None) };
    match record.stored {
        Some(stored) if !is_present(core, &stored.blob)? => Ok(None),
        _ => Ok(Some(record.into())),
    }
}

/// Records a blob as a variant, if its source is here. What was recorded before is replaced. Blocks.
pub(crate) fn record(core: &Core, hash: &blake3::Hash, blob: BlobRecord, key: &VariantKey, sha256: [u8; 32]) -> Result<(), StoreError> {
    let _turn = core.variants.lock();
    let now = now_ms();
    let change = Change::default().put_blob(hash, &blob.touched(now));
    let stored = Some(StoredVariant { blob: *hash, size: blob.size, sha256 });
    core.index.write(replacing(core, change, key, VariantRecord { stored, used_at_ms: now })?)
}

/// Notes that a variant is not worth its room, if its source is here. Blocks.
pub(crate) fn record_not_worth_it(core: &Core, key: &VariantKey) -> Result<(), StoreError> {
    let _turn = core.variants.lock();
    core.index.write(replacing(core, Change::default(), key, VariantRecord { stored: None, used_at_ms: now_ms() })?)
}

/// Notes that a variant is in use. Blocks.
pub(crate) fn touch(core: &Core, key: &VariantKey) -> Result<(), StoreError> {
    let _turn = core.variants.lock();
    let Some(record) = core.index.variant(key)? else { return Ok(()) };
    core.index.write_unsynced(Change::default().put_variant(key, &VariantRecord { used_at_ms: now_ms(), ..record }))
}

/// Forgets a variant. Its blob is left to the collector. Blocks.
pub(crate) fn remove(core: &Core, key: &VariantKey) -> Result<(), StoreError> {
    let _turn = core.variants.lock();
    core.index.write(without(core, Change::default(), key)?)
}

/// Forgets the variants that this blob is. The blob is left to the collector. Blocks.
pub(crate) fn disown(core: &Core, hash: &blake3::Hash) -> Result<(), StoreError> {
    let _turn = core.variants.lock();
    let mut change = Change::default();
    for key in core.index.claims_of(hash)? {
        change = without(core, change.delete_claim(hash, &key), &key)?;
    }
    core.index.write(change)
}

/// Forgets the variants of a source, in one write with the rest of `change`. Blocks.
pub(crate) fn end_source(core: &Core, source: &blake3::Hash, mut change: Change) -> Result<(), StoreError> {
    let _turn = core.variants.lock();
    for key in core.index.variants_of(source)? {
        change = without(core, change, &key)?;
    }
    core.index.write(change)
}

/// Variants in the order of their sources. Blocks.
pub(crate) fn list(core: &Core, after: Option<VariantKey>, limit: usize) -> Result<Vec<VariantEntry>, StoreError> {
    let entry = |(key, record): (_, VariantRecord)| VariantEntry { key, variant: record.into(), used_at_ms: record.used_at_ms };
    Ok(core.index.variants(after.as_ref(), limit)?.into_iter().map(entry).collect())
}

/// Forgets a variant whose source or blob is not here: only a program that knows nothing of variants leaves such. True if it was one.
/// Blocks.
pub(crate) fn remove_if_stale(core: &Core, key: &VariantKey) -> Result<bool, StoreError> {
    let _turn = core.variants.lock();
    let Some(record) = core.index.variant(key)? else { return Ok(false) };
    let has_blob = record.stored.map_or(Ok(true), |stored| core.index.blob(&stored.blob).map(|blob| blob.is_some()))?;
    if has_blob && core.index.blob(&key.source)?.is_some() {
        return Ok(false);
    }
    core.index.write(without(core, Change::default(), key)?)?;
    Ok(true)
}

/// Adds the record of a variant to a change, unless its source is gone: then there is only the change.
fn replacing(core: &Core, change: Change, key: &VariantKey, record: VariantRecord) -> Result<Change, StoreError> {
    if core.index.blob(&key.source)?.is_none() {
        return Ok(change);
    }
    let change = without(core, change, key)?.put_variant(key, &record);
    Ok(match record.stored {
        Some(stored) => change.put_claim(&stored.blob, key),
        None => change,
    })
}

fn without(core: &Core, change: Change, key: &VariantKey) -> Result<Change, StoreError> {
    let stored = core.index.variant(key)?.and_then(|record| record.stored);
    let change = change.delete_variant(key);
    Ok(match stored {
        Some(stored) => change.delete_claim(&stored.blob, key),
        None => change,
    })
}

fn is_present(core: &Core, hash: &blake3::Hash) -> Result<bool, StoreError> {
    Ok(core.index.blob(hash)?.is_some_and(|record| record.state == BlobState::Present))
}
