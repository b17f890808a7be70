//! Files that are there whole or not at all, readable by their owner only.
//!
//! A new version is written beside the old one, synced, renamed over it, and the directory is synced. A crash before the
//! rename leaves the old version and a `.new` file, which the next write replaces and nobody reads.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::SaveError;

/// Makes the directory if need be, with mode 0700 in any case, durably.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), SaveError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            if let Some(parent) = dir.parent() {
                sync_dir(parent)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("create", dir)(error)),
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed("set the mode of", dir))
}

/// Replaces the file `name` in `dir`, or makes it, with mode 0600.
pub(crate) fn replace(dir: &Path, name: &str, contents: &[u8]) -> Result<(), SaveError> {
    let path = dir.join(name);
    let new = dir.join(format!(".{name}.new"));
    // Removed, not truncated: it may be a link, or have another mode.
    remove(&new)?;
    let written = write_new(&new, contents).and_then(|()| fs::rename(&new, &path).map_err(failed("rename a new file to", &path)));
    if let Err(error) = written {
        // Best effort: it holds a secret, but the error to report is the first one.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    sync_dir(dir)
}

/// Removes a file if it is there. Not synced: the file may be back after a crash.
pub(crate) fn remove(path: &Path) -> Result<(), SaveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn write_new(path: &Path, contents: &[u8]) -> Result<(), SaveError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed("create", path))?;
    file.write_all(contents).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("sync", path))
}

fn sync_dir(dir: &Path) -> Result<(), SaveError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", dir))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SaveError {
    move |source| SaveError::Io { operation, path: path.to_owned(), source }
}
