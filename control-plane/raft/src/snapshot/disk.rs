//! The few file operations that make a directory of files durable. All of them block.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::fatal::FatalReason;

/// A failed file operation, with its path.
#[derive(Debug)]
pub(crate) struct DiskError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl DiskError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

impl From<DiskError> for FatalReason {
    fn from(error: DiskError) -> Self {
        Self::Snapshot { path: error.path, source: Arc::new(error.source) }
    }
}

/// Makes a file's content, or a directory's entries, durable.
pub(crate) fn sync(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(DiskError::at(path))
}

/// Writes a file and makes it durable. Its directory is not synced.
pub(crate) fn write_synced(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    fs::write(path, content).map_err(DiskError::at(path))?;
    sync(path)
}

/// Creates a directory and those above it, if absent.
pub(crate) fn create_dir(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(DiskError::at(path))
}

/// Removes a directory and all in it; absent is fine.
pub(crate) fn remove_dir(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::at(path)(error)),
        _ => Ok(()),
    }
}

/// Moves a directory, and makes the move durable. Both parents are synced.
pub(crate) fn rename_dir(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).map_err(DiskError::at(to))?;
    for parent in [to.parent(), from.parent()].into_iter().flatten() {
        sync(parent)?;
    }
    Ok(())
}

/// The paths in a directory, in no order; none if it is absent.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, DiskError> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(DiskError::at(dir)(error)),
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(DiskError::at(dir))).collect(),
    }
}
