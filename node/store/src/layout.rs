//! Where things lie: the paths of the store, and nothing about what is in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::durable::Durability;
use crate::error::StoreError;

/// The paths under the directory of the store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    next_temporary: AtomicU64,
}

/// The two files of one copy of a blob.
#[derive(Debug)]
pub(crate) struct CopyPaths {
    pub(crate) data: PathBuf,
    pub(crate) outboard: PathBuf,
}

impl Layout {
    /// Makes the directories that are missing. Blocks.
    pub(crate) fn create(root: &Path, durability: &Durability) -> Result<Self, StoreError> {
        let layout = Self { root: root.to_owned(), next_temporary: AtomicU64::new(0) };
        let make = |dir: &Path| make_dir(dir).map_err(StoreError::io("create a directory"));
        fs::create_dir_all(root).map_err(StoreError::io("create the data directory"))?;
        let blobs = layout.blobs();
        let mut made = false;
        for dir in [&blobs, &layout.incoming(), &layout.quarantine()] {
            made |= make(dir)?;
        }
        if made {
            durability.sync_dir(root, "data directory")?;
        }
        let mut made = false;
        for shard in 0..=u8::MAX {
            made |= make(&blobs.join(hex::encode([shard])))?;
        }
        if made {
            durability.sync_dir(&blobs, "blob directory")?;
        }
        Ok(layout)
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// The directory that a blob lies in.
    pub(crate) fn shard(&self, hash: &blake3::Hash) -> PathBuf {
        self.blobs().join(&hash.to_hex()[..2])
    }

    /// The copy that counts.
    pub(crate) fn blob(&self, hash: &blake3::Hash) -> CopyPaths {
        let hex = hash.to_hex();
        CopyPaths::named(&self.shard(hash), &hex[2..])
    }

    /// The copy that was found bad.
    pub(crate) fn quarantined(&self, hash: &blake3::Hash) -> CopyPaths {
        CopyPaths::named(&self.quarantine(), &hash.to_hex())
    }

    /// A name that was not used since the store was opened. Open removes those of earlier times.
    pub(crate) fn temporary(&self) -> PathBuf {
        let n = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.incoming().join(format!("{n}.tmp"))
    }

    pub(crate) fn intent(&self, hash: &blake3::Hash) -> PathBuf {
        self.incoming().join(format!("{}.intent", hash.to_hex()))
    }

    pub(crate) fn partial(&self, hash: &blake3::Hash) -> PathBuf {
        self.incoming().join(format!("{}.part", hash.to_hex()))
    }

    pub(crate) fn partial_journal(&self, hash: &blake3::Hash) -> PathBuf {
        self.incoming().join(format!("{}.crc", hash.to_hex()))
    }
}

impl CopyPaths {
    fn named(dir: &Path, stem: &str) -> Self {
        Self { data: dir.join(format!("{stem}.data")), outboard: dir.join(format!("{stem}.obao")) }
    }

    /// Removes both files, the data first. Blocks.
    pub(crate) fn remove(&self) -> Result<(), StoreError> {
        for path in [&self.data, &self.outboard] {
            remove_if_there(path).map_err(StoreError::io("remove a file of a blob"))?;
        }
        Ok(())
    }
}

/// Removes a file; that it was not there is fine. Blocks.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}

/// True if the directory is new.
fn make_dir(dir: &Path) -> io::Result<bool> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
