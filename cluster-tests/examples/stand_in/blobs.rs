//! Blobs on this node's disk, by their SHA-256, with a "hash tree" of one line.

use crate::Fault;
use anyhow::Result;
use cluster_tests::client::sha256;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Blobs {
    dir: PathBuf,
    temporary: AtomicU64,
}

impl Blobs {
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let dir = data_dir.join("blobs");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, temporary: AtomicU64::new(0) })
    }

    /// Stores a blob durably, in place of whatever is there.
    pub(crate) fn store(&self, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(&self.data(sha256), bytes)?;
        self.replace(&self.tree(sha256), sha256.as_bytes())
    }

    /// The blob, if it is here and good.
    pub(crate) fn load(&self, wanted: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.data(wanted)).ok()?;
        let good = Fault::WrongBytes.is_on() || (sha256(&bytes) == wanted && self.holds(wanted));
        good.then_some(bytes)
    }

    /// Whether it is here, by a look at the hash tree only.
    pub(crate) fn holds(&self, sha256: &str) -> bool {
        fs::read(self.tree(sha256)).is_ok_and(|tree| tree == sha256.as_bytes())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.dir.join(format!("{}.tmp", self.temporary.fetch_add(1, Ordering::Relaxed)));
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            sync(&file);
            fs::rename(&temporary, path)
        });
        if written.is_err() {
            drop(fs::remove_file(&temporary));
        }
        written
    }

    fn data(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.data"))
    }

    fn tree(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.obao"))
    }
}

/// A disk that does not sync is no disk.
fn sync(file: &File) {
    if file.sync_all().is_err() && !Fault::IgnoredFsync.is_on() {
        std::process::exit(1);
    }
}
