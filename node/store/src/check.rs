//! Reading a copy in full, from the disk, to learn whether it still is the blob.
//!
//! An outboard follows from the data, so a copy whose data is good and whose outboard is not is
//! made whole here. Bad data cannot be helped on this machine alone.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use crate::core::{Core, now_ms};
use crate::error::{Corruption, StoreError};
use crate::index::Change;
use crate::outboard::{OutboardSink, read_at};
use crate::record::BlobState;
use crate::tree::{SLICE_BYTES, Tree, TreeHasher};

/// What a full check of a blob found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Every byte is right.
    Good {
        /// When it was found so, in milliseconds of the Unix epoch.
        verified_at_ms: u64,
    },
    /// Every byte of content is right; the outboard was not, and was made anew from the content.
    OutboardRebuilt {
        /// When it was found so, in milliseconds of the Unix epoch.
        verified_at_ms: u64,
    },
    /// The copy is bad. Have it quarantined, and fetch the blob again.
    Corrupt {
        /// The part that is damaged.
        what: Corruption,
    },
    /// There is no present copy: the store never had one, or it is quarantined.
    Absent,
}

/// What reading a copy showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Examined {
    Good,
    /// The data is good and the outboard is not.
    OutboardBad,
    /// The outboard was bad and was rebuilt.
    Healed,
    Bad(Corruption),
}

impl Examined {
    /// Whether the copy counts.
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::Healed)
    }
}

/// Checks a blob that the index calls present, and notes when. Under the blob's lock. Blocks.
pub(crate) fn verify(core: &Core, hash: &blake3::Hash) -> Result<Verification, StoreError> {
    let record = match core.index.blob(hash)? {
        Some(record) if record.state == BlobState::Present => record,
        _ => return Ok(Verification::Absent),
    };
    let examined = examine_and_heal(core, hash, record.size)?;
    if let Examined::Bad(what) = examined {
        return Ok(Verification::Corrupt { what });
    }
    let verified_at_ms = now_ms();
    let record = record.verified(verified_at_ms);
    core.index.write_unsynced(Change::default().put_blob(hash, &record))?;
    Ok(match examined {
        Examined::Healed => Verification::OutboardRebuilt { verified_at_ms },
        _ => Verification::Good { verified_at_ms },
    })
}

/// Reads the copy of a blob in full, and rebuilds its outboard if that is all that is wrong with it.
/// Under the blob's lock. Blocks.
pub(crate) fn examine_and_heal(core: &Core, hash: &blake3::Hash, size: u64) -> Result<Examined, StoreError> {
    match examine(core, hash, size)? {
        Examined::OutboardBad => rebuild_outboard(core, hash, size),
        examined => Ok(examined),
    }
}

/// Reads the copy of a blob in full. Blocks.
fn examine(core: &Core, hash: &blake3::Hash, size: u64) -> Result<Examined, StoreError> {
    read_copy(core, hash, size).or_else(|error| match Corruption::of(&error) {
        Some(what) => Ok(Examined::Bad(what)),
        None => Err(StoreError::io("read a blob")(error)),
    })
}

fn read_copy(core: &Core, hash: &blake3::Hash, size: u64) -> io::Result<Examined> {
    let paths = core.layout.blob(hash);
    let Some(data) = open_uncached(&paths.data)? else {
        return Ok(Examined::Bad(Corruption::FileGone));
    };
    if data.metadata()?.len() != size {
        return Ok(Examined::Bad(Corruption::Length));
    }
    let mut outboard = OutboardComparison::with(open_uncached(&paths.outboard)?);
    let mut tree = TreeHasher::new();
    let mut pairs = Vec::new();
    read_through(&data, size, |bytes| {
        tree.update(bytes, &mut pairs);
        outboard.compare(&mut pairs)
    })?;
    let root = tree.finish(&mut pairs);
    if root != *hash {
        return Ok(Examined::Bad(Corruption::Data));
    }
    outboard.compare(&mut pairs)?;
    if outboard.matches(Tree::new(size).outboard_bytes())? { Ok(Examined::Good) } else { Ok(Examined::OutboardBad) }
}

/// Makes the outboard of a copy anew from its data. Blocks.
fn rebuild_outboard(core: &Core, hash: &blake3::Hash, size: u64) -> Result<Examined, StoreError> {
    let read_error = || StoreError::io("read a blob");
    let paths = core.layout.blob(hash);
    let data = File::open(&paths.data).map_err(read_error())?;
    let mut tree = TreeHasher::new();
    let mut sink = OutboardSink::default();
    let mut spilled = Ok(());
    read_through(&data, size, |bytes| {
        tree.update(bytes, &mut sink.pairs);
        if spilled.is_ok() {
            spilled = sink.spill(core);
        }
        Ok(())
    })
    .map_err(read_error())?;
    spilled?;
    if tree.finish(&mut sink.pairs) != *hash {
        return Ok(Examined::Bad(Corruption::Data));
    }
    match sink.finish(core)? {
        Some(outboard) => outboard.install(&paths.outboard)?,
        None => crate::layout::remove_if_there(&paths.outboard).map_err(StoreError::io("remove an outboard"))?,
    }
    core.durability.sync_dir(&core.layout.shard(hash), "blob directory")?;
    tracing::warn!(%hash, "the outboard of a blob was damaged and was rebuilt");
    Ok(Examined::Healed)
}

/// Compares the pairs that come out of the data with those of the file.
struct OutboardComparison {
    file: Option<File>,
    compared: u64,
    is_same: bool,
}

impl OutboardComparison {
    fn with(file: Option<File>) -> Self {
        Self { file, compared: 0, is_same: true }
    }

    /// Compares the next pairs and takes them out of the buffer.
    fn compare(&mut self, pairs: &mut Vec<u8>) -> io::Result<()> {
        if let Some(file) = &self.file
            && self.is_same
        {
            self.is_same = read_at(file, self.compared, pairs.len())? == *pairs;
        }
        self.compared += pairs.len() as u64;
        pairs.clear();
        Ok(())
    }

    /// Whether all pairs were the same, and there are no more and no fewer.
    fn matches(&self, expected_bytes: u64) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(expected_bytes == 0);
        };
        Ok(self.is_same && expected_bytes > 0 && file.metadata()?.len() == expected_bytes)
    }
}

/// Opens a file and drops what the page cache holds of it, so that reads come from the disk.
/// `None` if there is no such file.
fn open_uncached(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        answer => answer?,
    };
    // Advice: a file system without it reads from its cache, which is still worth checking.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let _ = fadvise(&file, 0, None, Advice::Sequential);
    Ok(Some(file))
}

/// Hands the content over in order, a slice at a time. Ends early where the file does.
fn read_through(file: &File, size: u64, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut offset = 0;
    while offset < size {
        let bytes = read_at(file, offset, SLICE_BYTES)?;
        if bytes.is_empty() {
            break;
        }
        offset += bytes.len() as u64;
        each(&bytes)?;
    }
    Ok(())
}
