//! How what recovery or a restore has built takes the place of what was there: by one rename, whatever happens around it.
//!
//! ```text
//!   rebuild/    being built; removed when it is found at a start
//!   rebuilt/    complete and durable. Each entry in it takes the place of the one of the same name above it,
//!               which moves to the directory that `kept-as` names
//! ```
//!
//! The rename of `rebuild` to `rebuilt` decides: before it the node is what it was, after it the node is what was built. What
//! follows is done again, from wherever it was, by the next start, and until it is done nothing else opens the directories.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

const BUILDING: &str = "rebuild";
const BUILT: &str = "rebuilt";
const KEPT_AS: &str = "kept-as";

/// An empty directory to build in. What an earlier attempt left there goes.
pub(super) fn begin(data_dir: &Path) -> Result<PathBuf> {
    let dir = data_dir.join(BUILDING);
    remove(&dir)?;
    fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// Throws away what was built.
pub(super) fn discard(data_dir: &Path) -> Result<()> {
    remove(&data_dir.join(BUILDING))
}

/// Makes what was built the node's, for good. What it replaces is kept under a name that begins with `keep_as`. Gives where.
pub(super) fn take_over(data_dir: &Path, keep_as: &str) -> Result<PathBuf> {
    take_over_stepwise(data_dir, keep_as, &mut || Ok(())).context("cannot put what was built in its place")
}

/// Finishes what a crash has interrupted, one way or the other. For every start, before anything is opened.
pub(super) fn finish(data_dir: &Path) -> Result<()> {
    discard(data_dir)?;
    finish_stepwise(data_dir, &mut || Ok(())).context("cannot put what was built in its place")
}

/// Called before each step; an error is where a test lets the power fail.
type Fault<'a> = &'a mut dyn FnMut() -> io::Result<()>;

fn take_over_stepwise(data_dir: &Path, keep_as: &str, fault: Fault<'_>) -> io::Result<PathBuf> {
    let (building, built) = (data_dir.join(BUILDING), data_dir.join(BUILT));
    let mut names = std::iter::once(keep_as.to_owned()).chain((2..).map(|number| format!("{keep_as}-{number}")));
    let kept = names.find(|name| !data_dir.join(name).exists()).unwrap_or_default();
    fs::write(building.join(KEPT_AS), &kept)?;
    fault()?;
    sync_tree(&building)?;
    fault()?;
    fs::rename(&building, &built)?;
    fault()?;
    sync(data_dir)?;
    finish_stepwise(data_dir, fault)?;
    Ok(data_dir.join(kept))
}

fn finish_stepwise(data_dir: &Path, fault: Fault<'_>) -> io::Result<()> {
    let built = data_dir.join(BUILT);
    let kept = match fs::read_to_string(built.join(KEPT_AS)) {
        Ok(name) => data_dir.join(name),
        // Nothing was built, or all of it is in place.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return remove_empty(&built, data_dir),
        Err(error) => return Err(error),
    };
    for entry in fs::read_dir(&built)?.collect::<io::Result<Vec<_>>>()? {
        let name = entry.file_name();
        if name == KEPT_AS {
            continue;
        }
        let place = data_dir.join(&name);
        if place.exists() {
            fault()?;
            fs::create_dir_all(&kept)?;
            fs::rename(&place, kept.join(&name))?;
            sync(&kept)?;
            sync(data_dir)?;
        }
        fault()?;
        fs::rename(entry.path(), &place)?;
    }
    fault()?;
    sync(data_dir)?;
    sync(&built)?;
    fault()?;
    fs::remove_file(built.join(KEPT_AS))?;
    fault()?;
    remove_empty(&built, data_dir)
}

fn remove_empty(built: &Path, data_dir: &Path) -> io::Result<()> {
    match fs::remove_dir(built) {
        Ok(()) => sync(data_dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| format!("cannot remove {}", dir.display())),
        _ => Ok(()),
    }
}

fn sync_tree(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    sync(path)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
