//! A snapshot on its way in: what is there, what is missing, and where to go on.
//!
//! Progress needs no file of its own. A file in `data` is complete, verified and synced, because it was moved there only
//! then; a file in `parts` is as far as it is long. After a power loss a part may hold bytes that never reached the disk;
//! then its hash will not match in the end, and it is fetched again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    disk::{self, DiskError},
    manifest::FileDigest,
    stored::{DATA, Description},
};

/// A directory in `incoming`. All calls block.
#[derive(Debug)]
pub(crate) struct ReceivedSnapshot {
    path: PathBuf,
    description: Description,
}

/// A file of which a first part is there.
#[derive(Debug)]
pub(crate) struct PartialFile {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    length: u64,
}

impl ReceivedSnapshot {
    /// Opens `incoming/<reference>`, or begins it.
    pub(crate) fn open(incoming: &Path, description: Description) -> Result<Self, DiskError> {
        let path = incoming.join(&description.reference);
        for dir in [path.join(DATA), path.join(PARTS)] {
            disk::create_dir(&dir)?;
        }
        disk::write_synced(&path.join(MANIFEST), &description.to_record())?;
        disk::sync(&path)?;
        disk::sync(incoming)?;
        Ok(Self { path, description })
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Whether a file is complete.
    pub(crate) fn has(&self, file: &FileDigest) -> bool {
        fs::metadata(self.data_path(file)).is_ok_and(|metadata| metadata.len() == file.size)
    }

    /// Bytes present of all files, complete or not.
    pub(crate) fn present(&self) -> u64 {
        let part = |file| fs::metadata(self.part_path(file)).map_or(0, |metadata| metadata.len());
        self.description.files.iter().map(|file| if self.has(file) { file.size } else { part(file) }).sum()
    }

    /// Takes a file of the same content from elsewhere on this disk. Returns whether that worked.
    pub(crate) fn reuse(&self, file: &FileDigest, from: &Path) -> bool {
        let target = self.data_path(file);
        // What stands there has the wrong size, or `has` would have found it.
        let _ = fs::remove_file(&target);
        fs::hard_link(from, &target).is_ok()
    }

    /// Opens a file's part to go on with it, reading what is there into the hash.
    pub(crate) fn open_part(&self, file: &FileDigest) -> Result<PartialFile, DiskError> {
        PartialFile::open(self.part_path(file), file.size)
    }

    /// Moves a part that has all its bytes to the complete files. `false` if the bytes are wrong; then the part is gone.
    pub(crate) fn complete(&self, file: &FileDigest, part: PartialFile) -> Result<bool, DiskError> {
        let PartialFile { path, file: written, hasher, length } = part;
        if length != file.size || hasher.finalize() != file.hash {
            fs::remove_file(&path).map_err(DiskError::at(&path))?;
            return Ok(false);
        }
        written.sync_all().map_err(DiskError::at(&path))?;
        let target = self.data_path(file);
        fs::rename(&path, &target).map_err(DiskError::at(&target))?;
        Ok(true)
    }

    /// Turns the directory into one that can stand in `snap`: only complete files, and the description.
    pub(crate) fn seal(self) -> Result<(PathBuf, Description), DiskError> {
        disk::remove_dir(&self.path.join(PARTS))?;
        self.description.write_to(&self.path)?;
        let manifest = self.path.join(MANIFEST);
        match fs::remove_file(&manifest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::at(&manifest)(error)),
            _ => Ok((self.path, self.description)),
        }
    }

    fn data_path(&self, file: &FileDigest) -> PathBuf {
        self.path.join(DATA).join(&file.name)
    }

    fn part_path(&self, file: &FileDigest) -> PathBuf {
        self.path.join(PARTS).join(&file.name)
    }
}

impl PartialFile {
    fn open(path: PathBuf, size: u64) -> Result<Self, DiskError> {
        let open = || OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(DiskError::at(&path));
        let mut file = open()?;
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        let mut buffer = vec![0; READ];
        loop {
            match file.read(&mut buffer).map_err(DiskError::at(&path))? {
                0 => break,
                read => {
                    hasher.update(&buffer[..read]);
                    length += read as u64;
                }
            }
        }
        if length > size {
            fs::remove_file(&path).map_err(DiskError::at(&path))?;
            (file, hasher, length) = (open()?, blake3::Hasher::new(), 0);
        }
        Ok(Self { path, file, hasher, length })
    }

    /// Bytes present: the offset to go on from.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn append(&mut self, data: &[u8]) -> Result<(), DiskError> {
        self.file.write_all(data).map_err(DiskError::at(&self.path))?;
        self.hasher.update(data);
        self.length += data.len() as u64;
        Ok(())
    }
}

/// Complete files of a transfer that was given up, for the next one to take over.
pub(crate) fn leftovers(path: &Path) -> Vec<(PathBuf, FileDigest)> {
    let Ok(bytes) = fs::read(path.join(MANIFEST)) else { return Vec::new() };
    let Ok(description) = Description::from_record(&Bytes::from(bytes)) else { return Vec::new() };
    let complete = |file: &FileDigest| fs::metadata(path.join(DATA).join(&file.name)).is_ok_and(|metadata| metadata.len() == file.size);
    description.files.into_iter().filter(complete).map(|file| (path.join(DATA).join(&file.name), file)).collect()
}

const MANIFEST: &str = "manifest";
const PARTS: &str = "parts";
const READ: usize = 1 << 20;
