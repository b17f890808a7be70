//! What a process has of the machine.

use anyhow::{Context as _, Result};
use std::fs;
use std::time::Duration;

/// What a process has of the machine, by `/proc`.
#[derive(Debug, Clone)]
pub struct Process {
    pid: u32,
    /// Bytes of memory that are resident.
    pub resident: u64,
    /// The most at once, since it began or since [`Process::forget_peak`].
    pub peak: u64,
    /// What is open: sockets, files and the like, by what the kernel calls them. But for the files of the stores, which these open and close as
    /// they fill and compact.
    pub files: Vec<String>,
    /// Processor time that its threads have had, of those that still are.
    pub cpu: Duration,
}

impl Process {
    /// What one has now.
    ///
    /// # Errors
    /// When there is none of that id.
    pub fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("read the status of {pid}"))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kib.map(|kib| kib << 10).with_context(|| format!("{pid} has no {name}"))
        };
        let open = fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("list the files of {pid}"))?;
        // One that was closed meanwhile has no name any more.
        let names = open.filter_map(|file| Some(fs::read_link(file.ok()?.path()).ok()?.display().to_string()));
        let files = names.filter(|name| !is_of_a_store(name)).collect();
        Ok(Self { pid, resident: bytes("VmRSS")?, peak: bytes("VmHWM")?, files, cpu: cpu(pid)? })
    }

    /// What it has now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn now(&self) -> Result<Self> {
        Self::of(self.pid)
    }

    /// Has the kernel forget the most that was resident.
    ///
    /// # Errors
    /// When it does not.
    pub fn forget_peak(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").with_context(|| format!("reset the most of {}", self.pid))
    }
}

/// Whether it is a table or a log of RocksDB, or a segment of the cache.
fn is_of_a_store(name: &str) -> bool {
    // The kernel says so of one that was removed; a removed one that stays open is left over.
    !name.ends_with("(deleted)") && (name.ends_with(".sst") || name.ends_with(".log") || name.contains("/segments/"))
}

/// To the nanosecond, which is what the scheduler counts in: `stat` counts hundredths of a second.
fn cpu(pid: u32) -> Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("list the threads of {pid}"))?;
    // A thread may end meanwhile.
    let times = threads.filter_map(|thread| {
        let had = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        had.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    });
    Ok(times.sum())
}
