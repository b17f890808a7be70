//! Segments: files of records that are appended to, read at any place, and removed as a whole.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::StoreError;

/// Which of the two logs a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// What came lately and has not proved itself.
    New,
    /// What was asked for again.
    Kept,
}

impl Log {
    const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Kept => "kept",
        }
    }
}

/// One file of records. Whoever holds it can read it, also after it was removed.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u32,
    pub(super) log: Log,
    path: PathBuf,
    file: File,
    #[cfg(test)]
    faults: Arc<Faults>,
}

/// A segment that nothing is appended to any more, and its length.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) segment: Arc<Segment>,
    pub(super) len: u64,
}

/// All segments, by number.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    open: RwLock<HashMap<u32, Arc<Segment>>>,
    #[cfg(test)]
    pub(super) faults: Arc<Faults>,
}

/// What the tests make fail.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Writes to segments answer that the disk is full.
    pub(super) full: std::sync::atomic::AtomicBool,
    /// Reads of segments answer with an I/O error.
    pub(super) unreadable: std::sync::atomic::AtomicBool,
}

impl Segment {
    /// Reads exactly so many bytes. Blocks.
    pub(super) fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        #[cfg(test)]
        if self.faults.unreadable.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(rustix::io::Errno::IO.into());
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Writes pieces at a place, one behind the other. Blocks.
    pub(super) fn write(&self, offset: u64, pieces: &mut [IoSlice<'_>]) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.faults.full.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(StoreError::Full);
        }
        write_all_at(&self.file, pieces, offset).map_err(StoreError::io("write to a segment"))
    }

    /// Cuts off what a failed write left, and gives the length that the file has then. Blocks.
    pub(super) fn cut(&self, len: u64) -> u64 {
        if self.file.set_len(len).is_ok() { len } else { self.file.metadata().map_or(len, |meta| meta.len()) }
    }
}

impl Segments {
    /// Opens those of an earlier run, the oldest first. Blocks; looks at their names and lengths only.
    pub(super) fn open(dir: PathBuf) -> Result<(Self, Vec<Sealed>), StoreError> {
        fs::create_dir_all(&dir).map_err(StoreError::io("create the directory of segments"))?;
        let segments = Self {
            dir,
            open: RwLock::default(),
            #[cfg(test)]
            faults: Arc::default(),
        };
        let mut found = Vec::new();
        for (log, id, path) in segments.files()? {
            let file = OpenOptions::new().read(true).write(true).open(&path).map_err(StoreError::io("open a segment"))?;
            let len = file.metadata().map_err(StoreError::io("ask for the length of a segment"))?.len();
            found.push(Sealed { segment: segments.hold(log, id, path, file), len });
        }
        found.sort_by_key(|sealed| sealed.segment.id);
        Ok((segments, found))
    }

    /// Starts an empty one. Blocks.
    pub(super) fn create(&self, log: Log, id: u32) -> Result<Arc<Segment>, StoreError> {
        let path = self.dir.join(format!("{}-{id:010}.slab", log.as_str()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(StoreError::io("create a segment"))?;
        Ok(self.hold(log, id, path, file))
    }

    pub(super) fn get(&self, id: u32) -> Option<Arc<Segment>> {
        self.open.read().get(&id).cloned()
    }

    /// From now on nothing that the index says of this segment holds. Blocks.
    pub(super) fn remove(&self, segment: &Segment) {
        self.open.write().remove(&segment.id);
        remove_file(&segment.path);
    }

    /// Removes all. False if a file resisted. Blocks.
    pub(super) fn clear(&self) -> bool {
        self.open.write().clear();
        let Ok(files) = self.files() else { return false };
        // Each is tried, whatever became of the one before.
        files.iter().filter(|(_, _, path)| !remove_file(path)).count() == 0
    }

    fn hold(&self, log: Log, id: u32, path: PathBuf, file: File) -> Arc<Segment> {
        let segment = Arc::new(Segment {
            id,
            log,
            path,
            file,
            #[cfg(test)]
            faults: Arc::clone(&self.faults),
        });
        self.open.write().insert(id, Arc::clone(&segment));
        segment
    }

    /// The files that are segments by their names.
    fn files(&self) -> Result<Vec<(Log, u32, PathBuf)>, StoreError> {
        let failed = StoreError::io("list the segments");
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) => return Err(failed(error)),
        };
        let named = |path: PathBuf| {
            let (log, id) = path.file_name()?.to_str()?.strip_suffix(".slab")?.split_once('-')?;
            let log = [Log::New, Log::Kept].into_iter().find(|known| known.as_str() == log)?;
            Some((log, id.parse().ok()?, path))
        };
        Ok(entries.flatten().filter_map(|entry| named(entry.path())).collect())
    }
}

/// Writes all of the pieces, as many at once as the system takes.
fn write_all_at(file: &File, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    // There may be empty ones, of which nothing would be written.
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        let now = pieces.len().min(PIECES_MAX);
        match rustix::io::pwritev(file, &pieces[..now], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut pieces, written);
                offset += written as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The most pieces that one call takes: `UIO_MAXIOV` of Linux.
const PIECES_MAX: usize = 1024;

/// True if the file is not there any more.
fn remove_file(path: &Path) -> bool {
    match crate::layout::remove_if_there(path) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "could not remove a segment of the cache");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::{PIECES_MAX, write_all_at};

    #[test]
    fn more_pieces_than_one_call_takes_and_empty_ones_are_written() {
        let file = tempfile::tempfile().unwrap();
        let pieces: Vec<_> = (0..2 * PIECES_MAX + 3).map(|at| vec![at.to_le_bytes()[0]; at % 4]).collect();
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        write_all_at(&file, &mut slices, 10).unwrap();
        let expected = [vec![0; 10], pieces.concat()].concat();
        let mut written = vec![1; expected.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut written, 0).unwrap();
        assert!(written == expected && file.metadata().unwrap().len() == expected.len() as u64);
    }
}
