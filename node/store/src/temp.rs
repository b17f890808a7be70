//! A file that goes away with its owner, unless it was given its final name.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::error::StoreError;

/// A file under `incoming/`.
#[derive(Debug)]
pub(crate) struct TempFile {
    path: PathBuf,
    file: Arc<File>,
    /// Removed when dropped.
    armed: bool,
}

impl TempFile {
    /// Makes a file that no other has the name of. Blocks.
    pub(crate) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(StoreError::io("create a temporary file"))?;
        Ok(Self { path, file: Arc::new(file), armed: true })
    }

    /// Takes a file that stays when its owner goes, such as a transfer that can be resumed.
    pub(crate) fn lasting(path: PathBuf, file: File) -> Self {
        Self { path, file: Arc::new(file), armed: false }
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Renames a lasting file to a temporary name, and lets it go with its owner from now on.
    pub(crate) fn make_temporary(&mut self, path: PathBuf) -> Result<(), StoreError> {
        std::fs::rename(&self.path, &path).map_err(StoreError::io("rename a partial file"))?;
        self.path = path;
        self.armed = true;
        Ok(())
    }

    /// Gives the file its final name, in place of any that has it. Blocks.
    pub(crate) fn install(mut self, path: &Path) -> Result<(), StoreError> {
        std::fs::rename(&self.path, path).map_err(StoreError::io("move a file into place"))?;
        self.armed = false;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // Closing is what frees the blocks of an unlinked file, so the handle goes along.
        let file = Arc::clone(&self.file);
        let remove = move || {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "could not remove a temporary file");
            }
            drop(file);
        };
        // Freeing a large file takes milliseconds; an async thread does not wait for that.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
