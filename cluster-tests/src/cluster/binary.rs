//! Where the programs under test are.
//!
//! A missing program fails the test and says how to build it: a test that silently skips itself is worse than none.

use anyhow::{Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// The `ncore` executable: `NCORE_BIN`, else in the target directory, else beside the test executable.
///
/// # Errors
/// When there is none; the message lists the places looked at.
pub fn ncore() -> Result<PathBuf> {
    if let Some(path) = env::var_os("NCORE_BIN").map(PathBuf::from) {
        return match path.is_file() {
            true => Ok(path),
            false => bail!("NCORE_BIN={} is not a file", path.display()),
        };
    }
    find("ncore", "cargo build --release -p ncore")
}

/// The library that is preloaded into nodes to make their disks fail.
///
/// # Errors
/// When it was not built.
pub fn disk_faults() -> Result<PathBuf> {
    find("libdisk_faults.so", "cargo build --release -p disk-faults")
}

fn find(name: &str, build: &str) -> Result<PathBuf> {
    let places = places();
    match places.iter().map(|dir| dir.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{name} was not found in {places:?}; build it with `{build}`"),
    }
}

/// Directories in the order in which they are searched.
fn places() -> Vec<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let exe = env::current_exe().ok();
    // Test executables are in <target>/<profile>/deps, examples in <target>/<profile>/examples.
    let beside = exe.as_deref().and_then(Path::parent);
    let profile = beside.and_then(Path::parent);
    target
        .map(|target| workspace.join(target).join("release"))
        .into_iter()
        .chain(profile.map(Path::to_owned))
        .chain(beside.map(Path::to_owned))
        .chain([workspace.join("target/release")])
        .collect()
}
