//! A transfer that survives a break: slices are appended in order and stay across restarts.
//!
//! The file alone does not say how much of it is good, for after a power cut its tail may be of the
//! right length and hold zeros. A journal beside it has the checksum of each slice. On resume the
//! file is hashed again from the start, slice by slice, and ends where the journal disagrees. The
//! checksums only find torn tails; that the whole is the blob is decided by its hash, at the end.
//!
//! # Who may, and who does
//! Two things keep two transfers off the same files. The *claim* says whose transfer it is; it goes
//! with the [`PartialBlob`], so whoever asks next is refused only while another really receives. The
//! *turn* says who is at the files; it goes with the work on the blocking pool, which a dropped
//! partial leaves behind for the length of one slice. Whoever has the claim waits for the turn.
//!
//! ```text
//! journal   [magic 8][size u64][crc32c u32]  [crc32c of slice 0 u32] [crc32c of slice 1 u32] ...
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::core::Core;
use crate::error::StoreError;
use crate::ingest::Ingest;
use crate::layout::remove_if_there;
use crate::locks::BlobGuard;
use crate::offload::{Offload, offload};
use crate::outboard::read_at;
use crate::staged::StagedBlob;
use crate::temp::TempFile;
use crate::tree::{SLICE_BYTES, slice_count, slice_range};

/// Receives one blob, slice by slice. Dropping it keeps what came, and another transfer may take it
/// up at once.
pub struct PartialBlob {
    claim: Claim,
    size: u64,
    /// Slices handed to the blocking pool.
    next: u64,
    /// Slices that the blocking pool has stored.
    stored: Arc<AtomicU64>,
    receiving: Offload<Receiving>,
}

/// A transfer that can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialEntry {
    /// The blob that is to be.
    pub hash: blake3::Hash,
    /// Bytes in the file, not all of which need be good.
    pub bytes: u64,
    /// When the last byte came, in milliseconds of the Unix epoch.
    pub modified_at_ms: u64,
}

/// The side of a partial that lives on the blocking pool.
struct Receiving {
    core: Arc<Core>,
    ingest: Ingest,
    journal: File,
    stored: Arc<AtomicU64>,
    _turn: BlobGuard,
}

/// The right to receive a blob.
struct Claim {
    core: Arc<Core>,
    hash: blake3::Hash,
}

impl PartialBlob {
    pub(crate) async fn resume_or_start(core: Arc<Core>, hash: blake3::Hash, size: u64) -> Result<Self, StoreError> {
        let claim = Claim::take(&core, hash)?;
        let turn = core.at_partials.lock(hash).await;
        let receiving = offload(move || Receiving::resume(core, turn, hash, size)).await??;
        let stored = Arc::clone(&receiving.stored);
        Ok(Self { claim, size, next: stored.load(Ordering::Acquire), stored, receiving: Offload::new(receiving) })
    }

    /// The first slice that is still needed, or `None` if all are here.
    #[must_use]
    pub fn next_slice(&self) -> Option<u64> {
        (self.next < slice_count(self.size)).then_some(self.next)
    }

    /// Takes a slice that was verified against the hash, which must be the one that
    /// [`PartialBlob::next_slice`] names. Returns when the slice before it is stored; one is in the
    /// works at a time. A slice that is here already is ignored.
    ///
    /// If the future is dropped, or answers an error about a slice given earlier, ask
    /// [`PartialBlob::next_slice`] where to go on.
    ///
    /// # Errors
    /// [`StoreError::WrongSlice`] out of turn or of the wrong length; [`StoreError::Full`] and
    /// [`StoreError::Io`], after which it can be tried again; [`StoreError::FsyncFailed`].
    pub async fn append_verified(&mut self, slice: u64, bytes: Bytes) -> Result<(), StoreError> {
        self.settle().await?;
        if slice < self.next {
            return Ok(());
        }
        let range = slice_range(self.size, self.next).unwrap_or(0..0);
        let expected = usize::try_from(range.end - range.start).unwrap_or(SLICE_BYTES);
        if slice != self.next || bytes.len() != expected || self.next_slice().is_none() {
            return Err(StoreError::WrongSlice { slice, next: self.next, expected, actual: bytes.len() });
        }
        self.receiving.submit(move |receiving| receiving.append(slice, &bytes)).await?;
        self.next += 1;
        Ok(())
    }

    /// Checks that what came is the blob, and makes it durable under a temporary name.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`], and the partial stays; [`StoreError::WrongRoot`], and it is gone;
    /// else as [`PartialBlob::append_verified`].
    pub async fn finish(mut self) -> Result<StagedBlob, StoreError> {
        self.settle().await?;
        if let Some(next) = self.next_slice() {
            return Err(StoreError::Incomplete { next });
        }
        let (receiving, hash) = (self.receiving.into_inner().await?, self.claim.hash);
        offload(move || receiving.finish(hash)).await?
    }

    /// Gives the transfer up and removes what came.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the files cannot be removed.
    pub async fn discard(mut self) -> Result<(), StoreError> {
        // Whether the last slice could be stored does not matter any more.
        let _ = self.settle().await;
        let (receiving, hash) = (self.receiving.into_inner().await?, self.claim.hash);
        offload(move || remove_files(&receiving.core, &hash)).await?
    }

    /// Waits for the slice in the works. After an error, only what is stored counts.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let result = self.receiving.settle().await.map(drop);
        self.next = self.stored.load(Ordering::Acquire);
        result
    }
}

impl Receiving {
    /// Takes up what an earlier transfer left, or begins. Blocks.
    fn resume(core: Arc<Core>, turn: BlobGuard, hash: blake3::Hash, size: u64) -> Result<Self, StoreError> {
        core.durability.guard()?;
        let file = open_lasting(&core.layout.partial(&hash))?;
        let journal = open_lasting(&core.layout.partial_journal(&hash))?;
        let header = journal_header(size);
        let is_ours = read_at(&journal, 0, header.len()).map_err(io_error())? == header;
        if !is_ours {
            journal.set_len(0).map_err(io_error())?;
            journal.write_all_at(&header, 0).map_err(io_error())?;
        }
        let data = TempFile::lasting(core.layout.partial(&hash), file);
        let ingest = Ingest::into_file(Arc::clone(&core), data);
        let mut receiving = Self { core, ingest, journal, stored: Arc::new(AtomicU64::new(0)), _turn: turn };
        let slices = if is_ours { slice_count(size) } else { 0 };
        receiving.absorb_prefix(size, slices)?;
        let rest = size - receiving.ingest.bytes();
        receiving.core.space.check(rest)?;
        Ok(receiving)
    }

    /// Hashes the slices that the journal vouches for, and cuts the file behind them. Blocks.
    fn absorb_prefix(&mut self, size: u64, slices: u64) -> Result<(), StoreError> {
        let file = Arc::clone(self.ingest.file().file());
        let mut prefix = 0;
        for slice in 0..slices {
            let range = slice_range(size, slice).unwrap_or(0..0);
            let len = usize::try_from(range.end - range.start).unwrap_or(SLICE_BYTES);
            let bytes = read_at(&file, range.start, len).map_err(io_error())?;
            let noted = read_at(&self.journal, entry_at(slice), 4).map_err(io_error())?;
            if bytes.len() < len || noted != crc32c::crc32c(&bytes).to_le_bytes() {
                break;
            }
            self.ingest.absorb(&bytes)?;
            prefix = slice + 1;
        }
        file.set_len(self.ingest.bytes()).map_err(io_error())?;
        self.journal.set_len(entry_at(prefix)).map_err(io_error())?;
        self.stored.store(prefix, Ordering::Release);
        Ok(())
    }

    /// Stores a slice, then notes it. Blocks.
    fn append(&mut self, slice: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.ingest.append(bytes)?;
        // From here on the slice counts; a note that fails costs its transfer after a restart only.
        self.stored.store(slice + 1, Ordering::Release);
        #[cfg(test)]
        crate::crash::point("partial-written");
        let checksum = crc32c::crc32c(bytes).to_le_bytes();
        self.journal.write_all_at(&checksum, entry_at(slice)).map_err(io_error())
    }

    /// Blocks.
    fn finish(self, expected: blake3::Hash) -> Result<StagedBlob, StoreError> {
        let core = self.core;
        let mut staged = self.ingest.finish()?;
        let actual = staged.blake3();
        if actual != expected {
            remove_files(&core, &expected)?;
            return Err(StoreError::WrongRoot { expected, actual });
        }
        staged.data_mut().make_temporary(core.layout.temporary())?;
        remove_files(&core, &expected)?;
        Ok(staged)
    }
}

impl Claim {
    fn take(core: &Arc<Core>, hash: blake3::Hash) -> Result<Self, StoreError> {
        if !core.receiving.lock().insert(hash) {
            return Err(StoreError::Busy);
        }
        Ok(Self { core: Arc::clone(core), hash })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.core.receiving.lock().remove(&self.hash);
    }
}

/// Lists the transfers that can be resumed. Blocks.
pub(crate) fn list(core: &Core) -> Result<Vec<PartialEntry>, StoreError> {
    let mut partials = Vec::new();
    for entry in std::fs::read_dir(core.layout.incoming()).map_err(io_error())? {
        let path = entry.map_err(io_error())?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(Ok(hash)) = stem.map(blake3::Hash::from_hex) else {
            continue;
        };
        // One that is finished meanwhile is no longer a partial.
        if path != core.layout.partial(&hash) {
            continue;
        }
        let Ok(status) = path.metadata() else {
            continue;
        };
        let modified = status.modified().map_err(io_error())?;
        let age = modified.duration_since(std::time::UNIX_EPOCH);
        partials.push(PartialEntry {
            hash,
            bytes: status.len(),
            modified_at_ms: u64::try_from(age.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        });
    }
    Ok(partials)
}

/// Removes a partial that nobody receives.
pub(crate) async fn discard(core: &Arc<Core>, hash: blake3::Hash) -> Result<(), StoreError> {
    let _claim = Claim::take(core, hash)?;
    let turn = core.at_partials.lock(hash).await;
    let core = Arc::clone(core);
    offload(move || {
        let removed = remove_files(&core, &hash);
        drop(turn);
        removed
    })
    .await?
}

fn remove_files(core: &Core, hash: &blake3::Hash) -> Result<(), StoreError> {
    // The journal first: a file without one is swept on open.
    for path in [core.layout.partial_journal(hash), core.layout.partial(hash)] {
        remove_if_there(&path).map_err(StoreError::io("remove a partial file"))?;
    }
    Ok(())
}

fn open_lasting(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io_error())
}

fn io_error() -> impl FnOnce(std::io::Error) -> StoreError {
    StoreError::io("read or write a partial file")
}

const MAGIC: &[u8; 8] = b"ncpart01";
const HEADER_BYTES: usize = 20;

fn journal_header(size: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&size.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..16]);
    header[16..].copy_from_slice(&checksum.to_le_bytes());
    header
}

const fn entry_at(slice: u64) -> u64 {
    HEADER_BYTES as u64 + slice * 4
}
