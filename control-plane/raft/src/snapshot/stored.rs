//! One snapshot under its final name in `snap`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use ncore_proto::raft::v1 as pb;

use super::{
    disk::{self, DiskError},
    manifest::{self, FileDigest},
};
use crate::{
    convert,
    fatal::FatalReason,
    record::{self, Kind, RecordError},
    types::SnapshotMeta,
};

/// A complete, durable snapshot. As long as a reference to it lives, its directory does.
#[derive(Debug)]
pub(crate) struct StoredSnapshot {
    path: PathBuf,
    description: Description,
}

/// What is known of a snapshot besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) meta: SnapshotMeta,
    pub(crate) reference: String,
    pub(crate) files: Vec<FileDigest>,
}

impl StoredSnapshot {
    pub(crate) fn new(path: PathBuf, description: Description) -> Self {
        Self { path, description }
    }

    /// Opens the snapshot at `path`, checking that its files are there. Their content is not read. Blocking.
    pub(crate) fn open(path: PathBuf) -> Result<Self, FatalReason> {
        let meta = path.join(META);
        let bytes = fs::read(&meta).map_err(DiskError::at(&meta))?;
        let description = Description::from_record(&Bytes::from(bytes)).map_err(FatalReason::LogRecord)?;
        let stored = Self { path, description };
        for file in stored.files() {
            let path = stored.data_dir().join(&file.name);
            let size = fs::metadata(&path).map_err(DiskError::at(&path))?.len();
            if size != file.size {
                return Err(DiskError::at(&path)(std::io::Error::other("the file has another size than it had")).into());
            }
        }
        Ok(stored)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path.join(DATA)
    }

    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.description.meta
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn reference(&self) -> &str {
        &self.description.reference
    }

    pub(crate) fn files(&self) -> &[FileDigest] {
        &self.description.files
    }

    pub(crate) fn file(&self, name: &str) -> Option<&FileDigest> {
        self.files().iter().find(|file| file.name == name)
    }
}

impl Description {
    pub(crate) fn new(meta: SnapshotMeta, files: Vec<FileDigest>) -> Self {
        let reference = manifest::reference_of(&meta, &files);
        Self { meta, reference, files }
    }

    pub(crate) fn to_proto(&self) -> pb::Snapshot {
        pb::Snapshot {
            meta: Some(convert::meta_to(&self.meta)),
            reference: self.reference.clone(),
            files: self.files.iter().map(FileDigest::to_proto).collect(),
        }
    }

    /// Reads a description from another node or from disk. The reference must be the one its content gives.
    pub(crate) fn from_proto(snapshot: pb::Snapshot) -> Result<Self, RecordError> {
        let meta = convert::meta_from(snapshot.meta.ok_or(RecordError::Field("meta"))?)?;
        let description = Self::new(meta, manifest::files_from(snapshot.files)?);
        if description.reference != snapshot.reference {
            return Err(RecordError::Field("reference"));
        }
        Ok(description)
    }

    pub(crate) fn to_record(&self) -> Vec<u8> {
        record::encode(Kind::Snapshot, &self.to_proto())
    }

    pub(crate) fn from_record(bytes: &Bytes) -> Result<Self, RecordError> {
        Self::from_proto(record::decode(Kind::Snapshot, bytes)?)
    }

    /// Bytes of all files.
    pub(crate) fn total(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Writes the description into a snapshot's directory and syncs both. Blocking.
    pub(crate) fn write_to(&self, dir: &Path) -> Result<(), DiskError> {
        disk::write_synced(&dir.join(META), &self.to_record())?;
        disk::sync(&dir.join(DATA))?;
        disk::sync(dir)
    }
}

const META: &str = "meta";
pub(super) const DATA: &str = "data";
