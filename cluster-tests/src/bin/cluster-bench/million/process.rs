//! What the kernel knows of a node: its memory, and the room that its files take.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result};
use cluster_tests::Node;

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    resident: u64,
    /// The most that was resident, since the start or since [`reset_peak`].
    peak: u64,
    /// Of what is resident now, what is not of a file.
    anonymous: u64,
}

/// The memory of a node that runs.
pub(crate) fn memory(node: &Node) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid(node)?))?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in /proc"))?;
        let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
        Ok(kib.parse::<u64>().with_context(|| format!("{name} is {line}"))? * 1_024)
    };
    Ok(Memory { resident: field("VmRSS")?, peak: field("VmHWM")?, anonymous: field("RssAnon")? })
}

/// Has the peak counted from now on.
pub(crate) fn reset_peak(node: &Node) -> Result<()> {
    fs::write(format!("/proc/{}/clear_refs", pid(node)?), "5").context("reset the peak of a process")
}

/// What a directory takes on disk, with all below it.
pub(crate) fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let entry = entry?;
            // The node is running: what is listed may be gone.
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

fn pid(node: &Node) -> Result<u32> {
    node.pid().with_context(|| format!("{} does not run", node.name()))
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let Self { resident, peak, anonymous } = *self;
        write!(f, "{:.0} MB resident ({:.0} MB anonymous), {:.0} MB at most", megabytes(resident), megabytes(anonymous), megabytes(peak))
    }
}
