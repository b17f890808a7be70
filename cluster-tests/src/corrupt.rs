//! Damage to the blobs that a node stores: what a bad sector, a bit flip in a controller or a torn write leaves.
//!
//! Works on a running node as well as on a stopped one. What a running node has in memory stays right, so a test that
//! wants the damage to be read restarts the node. Only the documented names are relied on:
//! `<data_dir>/blobs/**/*.data` and `*.obao`.

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// One piece of damage done.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What was done to it.
    pub kind: DamageKind,
}

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The bit `bit` of the byte at `offset` was flipped.
    Flip {
        /// Byte offset.
        offset: u64,
        /// 0 to 7.
        bit: u8,
    },
    /// The file was cut to `length` bytes.
    Truncate {
        /// Its length now.
        length: u64,
    },
}

/// Which files to damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The content (`.data`).
    Data,
    /// The hash tree (`.obao`).
    Outboard,
}

/// The non-empty files of one kind in a node's blob store, sorted.
///
/// # Errors
/// When a directory cannot be read. A blob store that does not exist yet is empty.
pub fn files(data_dir: &Path, part: Part) -> Result<Vec<PathBuf>> {
    let extension = match part {
        Part::Data => "data",
        Part::Outboard => "obao",
    };
    let mut found = Vec::new();
    let mut open = vec![data_dir.join("blobs")];
    while let Some(dir) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
        };
        for entry in entries {
            let path = entry.with_context(|| format!("read {}", dir.display()))?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|is| is == extension) && path.metadata().is_ok_and(|file| file.len() > 0) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Damages one file at random: mostly a flipped bit, sometimes a lost end.
///
/// # Errors
/// When the file is empty or cannot be written.
pub fn damage(path: &Path, rng: &mut StdRng) -> Result<Damage> {
    let file = open(path)?;
    let length = file.metadata().with_context(|| format!("look at {}", path.display()))?.len();
    ensure!(length > 0, "{} is empty", path.display());
    let kind = if rng.random_ratio(1, 5) {
        DamageKind::Truncate { length: rng.random_range(0..length) }
    } else {
        DamageKind::Flip { offset: rng.random_range(0..length), bit: rng.random_range(0..8) }
    };
    apply(&file, kind).with_context(|| format!("damage {}", path.display()))?;
    Ok(Damage { path: path.to_owned(), kind })
}

fn apply(file: &File, kind: DamageKind) -> std::io::Result<()> {
    match kind {
        DamageKind::Truncate { length } => file.set_len(length),
        DamageKind::Flip { offset, bit } => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset)?;
            byte[0] ^= 1 << bit;
            file.write_all_at(&byte, offset)
        }
    }
}

fn open(path: &Path) -> Result<File> {
    // A store may well make its files read-only once they are complete.
    let mut permissions = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.permissions();
    if permissions.readonly() {
        use std::os::unix::fs::PermissionsExt as _;
        permissions.set_mode(permissions.mode() | 0o200);
        fs::set_permissions(path, permissions).with_context(|| format!("make {} writable", path.display()))?;
    }
    OpenOptions::new().read(true).write(true).open(path).with_context(|| format!("open {}", path.display()))
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match self.kind {
            DamageKind::Flip { offset, bit } => write!(f, "{name}: bit {bit} of byte {offset} flipped"),
            DamageKind::Truncate { length } => write!(f, "{name}: cut to {length} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DamageKind, Part, damage, files};
    use crate::seed::Seed;
    use std::fs;

    #[test]
    fn finds_and_damages_files_and_says_how() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("blobs/ab/cd");
        fs::create_dir_all(&deep).expect("directories");
        fs::write(deep.join("one.data"), vec![7; 1000]).expect("write");
        fs::write(deep.join("one.obao"), vec![7; 64]).expect("write");
        fs::write(deep.join("empty.data"), []).expect("write");
        fs::write(dir.path().join("elsewhere.data"), [1]).expect("write");

        let data = files(dir.path(), Part::Data).expect("list");
        assert_eq!(data, [deep.join("one.data")]);
        assert_eq!(files(dir.path(), Part::Outboard).expect("list"), [deep.join("one.obao")]);

        let mut rng = Seed::new(3).rng("damage");
        for _ in 0..40 {
            fs::write(&data[0], vec![7; 1000]).expect("write");
            match damage(&data[0], &mut rng).expect("damage").kind {
                DamageKind::Truncate { length } => assert_eq!(fs::read(&data[0]).expect("read").len() as u64, length),
                DamageKind::Flip { offset, bit } => {
                    let after = fs::read(&data[0]).expect("read");
                    let differing: Vec<usize> = (0..1000).filter(|at| after[*at] != 7).collect();
                    assert_eq!(differing, [usize::try_from(offset).expect("small")]);
                    assert_eq!(after[differing[0]], 7 ^ (1 << bit));
                }
            }
        }
    }

    #[test]
    fn no_blob_store_yet_is_no_files() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(files(dir.path(), Part::Data).expect("list").is_empty());
    }
}
