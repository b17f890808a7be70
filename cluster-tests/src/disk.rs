//! The faults of a node's disk, by remote control.
//!
//! The library `disk-faults`, preloaded into the node, looks at a small control file before each write, each sync and each read at a place
//! of a file in the node's data directory. This module writes that file. A fault takes effect with the next call
//! after the method returned.

use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The disk of one node.
#[derive(Debug, Clone)]
pub struct Disk {
    control: PathBuf,
    /// Files below it are affected, and no others.
    dir: PathBuf,
    /// Whether the library is in the process.
    armed: bool,
    only: Vec<String>,
    except: Vec<String>,
}

impl Disk {
    /// A disk governed by the file `control`; `armed` says whether anybody reads it.
    #[must_use]
    pub const fn new(control: PathBuf, dir: PathBuf, armed: bool) -> Self {
        Self { control, dir, armed, only: Vec::new(), except: Vec::new() }
    }

    /// Confines the faults set through this handle to files whose path has `part` in it. May be repeated: one must
    /// match.
    #[must_use]
    pub fn only(mut self, part: &str) -> Self {
        self.only.push(part.to_owned());
        self
    }

    /// Spares files whose path has `part` in it.
    #[must_use]
    pub fn except(mut self, part: &str) -> Self {
        self.except.push(part.to_owned());
        self
    }

    /// Makes every sync take this much longer.
    ///
    /// # Errors
    /// When the control file cannot be written, or the cluster was built without disk faults.
    pub fn slow_fsync(&self, delay: Duration) -> Result<()> {
        self.set(&format!("fsync_delay_ms={}", delay.as_millis()))
    }

    /// Makes every sync fail with `EIO`, without syncing.
    ///
    /// # Errors
    /// As [`Disk::slow_fsync`].
    pub fn fail_fsync(&self) -> Result<()> {
        self.set("fsync_fail=always")
    }

    /// Makes the next sync fail, and only that one.
    ///
    /// # Errors
    /// As [`Disk::slow_fsync`].
    pub fn fail_fsync_once(&self) -> Result<()> {
        self.set("fsync_fail=once")
    }

    /// Makes every write fail with `ENOSPC`, or ends that and all other faults.
    ///
    /// # Errors
    /// As [`Disk::slow_fsync`].
    pub fn full(&self, full: bool) -> Result<()> {
        if full { self.set("write_fail=enospc") } else { self.heal() }
    }

    /// Makes every read at a place fail with `EIO`. What a node has in memory it need not read.
    ///
    /// # Errors
    /// As [`Disk::slow_fsync`].
    pub fn unreadable(&self) -> Result<()> {
        self.set("read_fail=eio")
    }

    /// Ends all faults.
    ///
    /// # Errors
    /// As [`Disk::slow_fsync`].
    pub fn heal(&self) -> Result<()> {
        self.replace("")
    }

    /// How many calls were delayed or failed so far: proof that a fault was in effect.
    #[must_use]
    pub fn hits(&self) -> u64 {
        fs::metadata(hits(&self.control)).map_or(0, |hits| hits.len())
    }

    /// The control file, which the library finds by the environment variable `NCORE_DISK_FAULTS`.
    #[must_use]
    pub fn control(&self) -> &Path {
        &self.control
    }

    fn set(&self, fault: &str) -> Result<()> {
        let mut text = format!("dir={}\n{fault}\n", self.dir.display());
        for part in &self.only {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "path={part}");
        }
        for part in &self.except {
            let _ = writeln!(text, "skip={part}");
        }
        self.replace(&text)
    }

    fn replace(&self, text: &str) -> Result<()> {
        ensure!(self.armed, "the cluster was built without disk_faults(true)");
        ensure!(text.len() < LONGEST, "the library reads only {LONGEST} bytes of the control file");
        // Renaming shows the reader either the old file or the new one.
        let fresh = self.control.with_extension("new");
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &self.control))
            .with_context(|| format!("write {}", self.control.display()))
    }
}

/// The file to which the library appends one byte for each fault.
fn hits(control: &Path) -> PathBuf {
    let mut name = control.as_os_str().to_owned();
    name.push(".hits");
    PathBuf::from(name)
}

const LONGEST: usize = 2048;
