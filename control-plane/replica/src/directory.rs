//! Which directory holds the state: `CURRENT` names one of `state.<number>`.
//!
//! A new state is prepared beside the old one and takes over when `CURRENT` is renamed into place. Whatever `CURRENT` does not
//! name is a leftover of a crash and is removed when the replica opens.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::error::ReplicaError;

const POINTER: &str = "CURRENT";
const PREFIX: &str = "state.";

/// The directory of a replica.
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Opens or creates it, and removes leftovers.
    pub(crate) fn open(root: &Path) -> Result<Self, ReplicaError> {
        fs::create_dir_all(root).map_err(failed("create", root))?;
        let directory = Self { root: root.to_owned() };
        let current = match directory.number()? {
            Some(number) => number,
            None => {
                directory.point_at(1)?;
                1
            }
        };
        for entry in fs::read_dir(root).map_err(failed("list", root))? {
            let path = entry.map_err(failed("list", root))?.path();
            if path.is_dir() && path != directory.path_of(current) {
                fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(directory)
    }

    /// Where the present state is.
    pub(crate) fn current(&self) -> Result<PathBuf, ReplicaError> {
        Ok(self.path_of(self.number()?.unwrap_or(1)))
    }

    /// Takes over a checkpoint: its files are linked to a new directory, which is the present one when this returns.
    /// Gives the old directory and the new one.
    pub(crate) fn replace(&self, checkpoint: &Path) -> Result<(PathBuf, PathBuf), ReplicaError> {
        let old = self.number()?.unwrap_or(1);
        let new = self.path_of(old + 1);
        if new.exists() {
            fs::remove_dir_all(&new).map_err(failed("remove", &new))?;
        }
        fs::create_dir(&new).map_err(failed("create", &new))?;
        for entry in fs::read_dir(checkpoint).map_err(failed("list", checkpoint))? {
            let entry = entry.map_err(failed("list", checkpoint))?;
            let to = new.join(entry.file_name());
            link_or_copy(&entry.path(), &to).map_err(failed("link", &to))?;
        }
        sync_directory(&new)?;
        self.point_at(old + 1)?;
        Ok((self.path_of(old), new))
    }

    fn number(&self) -> Result<Option<u64>, ReplicaError> {
        let path = self.root.join(POINTER);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| ReplicaError::Directory {
                action: "understand",
                path,
                source: io::ErrorKind::InvalidData.into(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReplicaError::Directory { action: "read", path, source }),
        }
    }

    fn point_at(&self, number: u64) -> Result<(), ReplicaError> {
        let path = self.root.join("CURRENT.tmp");
        let write = || {
            let mut file = File::create(&path)?;
            writeln!(file, "{number}")?;
            file.sync_all()?;
            fs::rename(&path, self.root.join(POINTER))
        };
        write().map_err(failed("write", &path))?;
        sync_directory(&self.root)
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.root.join(format!("{PREFIX}{number:06}"))
    }
}

/// Table files are immutable and are linked; the few others that RocksDB rewrites are copied.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.extension().is_some_and(|ext| ext == "sst") && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn sync_directory(path: &Path) -> Result<(), ReplicaError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed("sync", path))
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ReplicaError + 'a {
    move |source| ReplicaError::Directory { action, path: path.to_owned(), source }
}
