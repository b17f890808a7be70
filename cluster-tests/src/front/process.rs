//! What a process has of the machine.

use anyhow::{Context as _, Result};
use std::fs;

/// What a process has of the machine, by `/proc`.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pid: u32,
    /// Bytes of memory that are resident.
    pub resident: u64,
    /// The most at once, since it began or since [`Process::forget_peak`].
    pub peak: u64,
    /// Files and sockets that are open.
    pub files: usize,
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
        let files = fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("list the files of {pid}"))?.count();
        Ok(Self { pid, resident: bytes("VmRSS")?, peak: bytes("VmHWM")?, files })
    }

    /// Has the kernel forget the most that was resident.
    ///
    /// # Errors
    /// When it does not.
    pub fn forget_peak(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").with_context(|| format!("reset the most of {}", self.pid))
    }
}
