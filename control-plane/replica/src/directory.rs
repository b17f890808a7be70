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
const POINTER_DRAFT: &str = "CURRENT.tmp";
const PREFIX: &str = "state.";

/// The number of the first state.
const FIRST: u64 = 1;

/// The directory of a replica.
pub(crate) struct Directory {
    root: PathBuf,
}

/// A directory for a state, and whether there must be one in it.
pub(crate) enum Present {
    /// The replica is new, or was never more than that.
    PerhapsNew(PathBuf),
    /// A state was installed there.
    Installed(PathBuf),
}

/// A state that is prepared and not yet the present one.
pub(crate) struct Prepared {
    number: u64,
    path: PathBuf,
}

impl Directory {
    /// Opens or creates it. Gives where the present state is.
    pub(crate) fn open(root: &Path) -> Result<(Self, Present), ReplicaError> {
        fs::create_dir_all(root).map_err(failed("create", root))?;
        let directory = Self { root: root.to_owned() };
        let present = match directory.number()? {
            Some(number) if number != FIRST => Present::Installed(directory.path_of(number)),
            Some(_) => Present::PerhapsNew(directory.path_of(FIRST)),
            None => {
                // The pointer is written before the first state, so a state without it is not new: somebody has lost it.
                if !directory.states()?.is_empty() {
                    return Err(failed("find", &root.join(POINTER))(io::ErrorKind::NotFound.into()));
                }
                directory.point_at(FIRST)?;
                Present::PerhapsNew(directory.path_of(FIRST))
            }
        };
        Ok((directory, present))
    }

    /// Removes what crashes have left. Only for the one who has the present state open, and so knows that nobody else has.
    pub(crate) fn remove_leftovers(&self) -> Result<(), ReplicaError> {
        let present = self.number()?.map(|number| self.path_of(number));
        for path in self.states()?.iter().filter(|path| Some(*path) != present.as_ref()) {
            fs::remove_dir_all(path).map_err(failed("remove", path))?;
        }
        let half_written = self.root.join(POINTER_DRAFT);
        match fs::remove_file(&half_written) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &half_written)(error)),
            _ => Ok(()),
        }
    }

    /// Prepares a state from a checkpoint: its files are linked to a new directory.
    pub(crate) fn prepare(&self, checkpoint: &Path) -> Result<Prepared, ReplicaError> {
        let number = self.number()?.unwrap_or(FIRST) + 1;
        let path = self.path_of(number);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
        }
        fs::create_dir(&path).map_err(failed("create", &path))?;
        for entry in fs::read_dir(checkpoint).map_err(failed("list", checkpoint))? {
            let entry = entry.map_err(failed("list", checkpoint))?;
            let to = path.join(entry.file_name());
            link_or_copy(&entry.path(), &to).map_err(failed("link", &to))?;
        }
        sync_directory(&path)?;
        Ok(Prepared { number, path })
    }

    /// Makes a prepared state the present one, for good when this returns.
    pub(crate) fn take_over(&self, prepared: &Prepared) -> Result<(), ReplicaError> {
        self.point_at(prepared.number)
    }

    /// The directories of states, present or not.
    fn states(&self) -> Result<Vec<PathBuf>, ReplicaError> {
        let mut states = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed("list", &self.root))? {
            let path = entry.map_err(failed("list", &self.root))?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX)) {
                states.push(path);
            }
        }
        Ok(states)
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
        let path = self.root.join(POINTER_DRAFT);
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

impl Prepared {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Table files are immutable and are linked; the few others that RocksDB rewrites are copied. Both are synced: whoever wrote the
/// checkpoint may not have.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    let linked = from.extension().is_some_and(|ext| ext == "sst") && fs::hard_link(from, to).is_ok();
    if !linked {
        fs::copy(from, to)?;
    }
    File::open(to)?.sync_all()
}

fn sync_directory(path: &Path) -> Result<(), ReplicaError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed("sync", path))
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ReplicaError + 'a {
    move |source| ReplicaError::Directory { action, path: path.to_owned(), source }
}
