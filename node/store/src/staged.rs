//! Content that is durable and has no name yet, and how it gets one.
//!
//! ```text
//! staged ── intent ── outboard renamed ── data renamed ── directory synced ── record + pin ── done
//!   │ drop                                                                       │
//!   ▼                                                                            ▼
//! temporaries removed                                    a crash before: files removed on open
//!                                                        a crash after: committed
//! ```

use std::sync::Arc;

use crate::check;
use crate::core::{Core, now_ms};
use crate::error::StoreError;
use crate::pin::{self, PinId};
use crate::record::{BlobRecord, BlobState};
use crate::temp::TempFile;
use crate::variant::{self, VariantKey};

/// A blob that was received in full and synced. Dropping it removes it.
#[must_use = "a staged blob that is dropped is removed"]
pub struct StagedBlob {
    core: Arc<Core>,
    blake3: blake3::Hash,
    sha256: [u8; 32],
    size: u64,
    data: TempFile,
    outboard: Option<TempFile>,
}

/// What keeps a blob that is committed.
#[derive(Debug, Clone, Copy)]
enum Keeper {
    Pin(PinId),
    Variant(VariantKey),
}

/// What a commit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The blob was not there; it is now.
    Stored,
    /// The blob was there. Its copy was read from the disk in full and is good; the new one was
    /// dropped.
    AlreadyPresent,
    /// The blob was there and its copy was bad or quarantined; the new one took its place.
    Replaced,
}

impl Commit {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::AlreadyPresent => "already_present",
            Self::Replaced => "replaced",
        }
    }
}

impl StagedBlob {
    pub(crate) fn new(
        core: Arc<Core>,
        blake3: blake3::Hash,
        sha256: [u8; 32],
        size: u64,
        data: TempFile,
        outboard: Option<TempFile>,
    ) -> Self {
        Self { core, blake3, sha256, size, data, outboard }
    }

    /// The BLAKE3 hash, by which the blob is known.
    #[must_use]
    pub fn blake3(&self) -> blake3::Hash {
        self.blake3
    }

    /// The SHA-256, for those who know the content by that.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Bytes of content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn data_mut(&mut self) -> &mut TempFile {
        &mut self.data
    }

    /// Puts the blob into the store and pins it, durably and in one event.
    ///
    /// If the store has the blob already, the existing copy is read from the disk in full before it
    /// counts. A commit that has begun completes even if this future is dropped.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::FsyncFailed`], [`StoreError::Io`] and those of the index.
    /// After any of them the blob is not committed, except that after
    /// [`StoreError::FsyncFailed`] nobody knows.
    pub async fn commit(self, pin: PinId) -> Result<Commit, StoreError> {
        let core = Arc::clone(&self.core);
        core.exclusive(self.blake3, move |core| self.install(core, Keeper::Pin(pin))).await
    }

    /// Puts the blob into the store as a variant of another one, durably and in one event. It stays as long as that one does; if that
    /// one has gone meanwhile, the blob is nobody's, and the collector removes it.
    ///
    /// If the store has the blob already, the existing copy is read from the disk in full before it
    /// counts. A commit that has begun completes even if this future is dropped.
    ///
    /// # Errors
    /// As for [`StagedBlob::commit`].
    pub async fn commit_variant(self, key: VariantKey) -> Result<Commit, StoreError> {
        let core = Arc::clone(&self.core);
        core.exclusive(self.blake3, move |core| self.install(core, Keeper::Variant(key))).await
    }

    /// The commit, under the blob's lock. Blocks.
    fn install(self, core: &Core, keeper: Keeper) -> Result<Commit, StoreError> {
        core.durability.guard()?;
        let (hash, size, sha256) = (self.blake3, self.size, self.sha256);
        let found = core.index.blob(&hash)?;
        if let Some(record) = found
            && record.state == BlobState::Present
            && record.size == size
            && check::examine_and_heal(core, &hash, size)?.is_good()
        {
            let record = record.verified(now_ms());
            keeper.record(core, &hash, record, sha256)?;
            return Ok(Commit::AlreadyPresent);
        }
        core.declare_intent(&hash)?;
        #[cfg(test)]
        crate::crash::point("commit-intent");
        if let Err(error) = self.place_files(core) {
            if found.is_none() {
                core.layout.blob(&hash).remove()?;
                core.withdraw_intent(&hash);
            }
            return Err(error);
        }
        let record = BlobRecord::stored(size, now_ms());
        // If this fails the record may still come back after a restart, so the files stay; the
        // intent has the next open remove them if it does not.
        keeper.record(core, &hash, record, sha256)?;
        #[cfg(test)]
        crate::crash::point("commit-recorded");
        core.withdraw_intent(&hash);
        if found.is_none() {
            return Ok(Commit::Stored);
        }
        core.layout.quarantined(&hash).remove()?;
        Ok(Commit::Replaced)
    }

    /// Gives the files their names, durably. The data comes last: where there is data, there is its
    /// outboard. Blocks.
    fn place_files(self, core: &Core) -> Result<(), StoreError> {
        let paths = core.layout.blob(&self.blake3);
        if let Some(outboard) = self.outboard {
            outboard.install(&paths.outboard)?;
        }
        #[cfg(test)]
        crate::crash::point("commit-outboard-placed");
        self.data.install(&paths.data)?;
        #[cfg(test)]
        crate::crash::point("commit-data-placed");
        core.durability.sync_dir(&core.layout.shard(&self.blake3), "blob directory")?;
        #[cfg(test)]
        crate::crash::point("commit-directory-synced");
        Ok(())
    }
}

impl Keeper {
    /// Records the blob together with what keeps it.
    fn record(self, core: &Core, hash: &blake3::Hash, record: BlobRecord, sha256: [u8; 32]) -> Result<(), StoreError> {
        match self {
            Self::Pin(pin) => core.index.write(pin::pinning(core, hash, pin, record)?),
            Self::Variant(key) => variant::record(core, hash, record, &key, sha256),
        }
    }
}
