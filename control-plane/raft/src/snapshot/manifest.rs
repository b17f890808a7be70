//! What a snapshot consists of: names, sizes and BLAKE3 hashes of its files, and the reference that stands for them.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
};

use bytes::Bytes;
use ncore_proto::raft::v1 as pb;

use super::disk::{self, DiskError};
use crate::{record::RecordError, types::SnapshotMeta};

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileDigest {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) hash: blake3::Hash,
}

impl FileDigest {
    pub(crate) fn to_proto(&self) -> pb::SnapshotFile {
        pb::SnapshotFile { name: self.name.clone(), size: self.size, blake3: Bytes::copy_from_slice(self.hash.as_bytes()) }
    }
}

/// Reads the list of files in a description. Names come from another node and become paths, so they are checked here.
pub(crate) fn files_from(files: Vec<pb::SnapshotFile>) -> Result<Vec<FileDigest>, RecordError> {
    if files.len() > MAX_FILES {
        return Err(RecordError::Field("files"));
    }
    let mut names = HashSet::new();
    files
        .into_iter()
        .map(|file| {
            let hash: [u8; 32] = file.blake3.as_ref().try_into().map_err(|_| RecordError::Field("blake3"))?;
            if !is_plain_name(&file.name) || !names.insert(file.name.clone()) {
                return Err(RecordError::Field("name"));
            }
            Ok(FileDigest { name: file.name, size: file.size, hash: hash.into() })
        })
        .collect()
}

/// Whether `name` can stand as a file or directory name without leading anywhere else.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= 128 && !name.contains(['/', '\\', '\0'])
}

/// Names a snapshot by where it stands and what is in it: equal references mean equal files.
pub(crate) fn reference_of(meta: &SnapshotMeta, files: &[FileDigest]) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(&(file.name.len() as u64).to_le_bytes());
        hasher.update(file.name.as_bytes());
        hasher.update(&file.size.to_le_bytes());
        hasher.update(file.hash.as_bytes());
    }
    let content = hasher.finalize().to_hex();
    match &meta.last_log_id {
        Some(last) => format!("{}-{}-{}-{}", last.index, last.leader_id.term, last.leader_id.node_id, &content[..32]),
        None => format!("empty-{}", &content[..32]),
    }
}

/// Hashes and syncs every file in `dir`, in the order of their names. Blocking.
///
/// A file that is the same inode as one of `known` (a snapshot is mostly hard links to what the one before also held) has
/// the same content and is not read again.
pub(crate) fn digest_dir(dir: &Path, known: Option<(&Path, &[FileDigest])>) -> Result<Vec<FileDigest>, DiskError> {
    let known = known.map(|(dir, files)| by_inode(dir, files)).unwrap_or_default();
    let mut files = Vec::new();
    for path in disk::list(dir)? {
        let metadata = fs::metadata(&path).map_err(DiskError::at(&path))?;
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| metadata.is_file() && is_plain_name(name));
        let Some(name) = name else {
            return Err(DiskError::at(&path)(std::io::Error::other("a checkpoint holds plain files only")));
        };
        let hash = match known.get(&(metadata.dev(), metadata.ino())) {
            Some(hash) => *hash,
            None => hash_file(&path)?,
        };
        disk::sync(&path)?;
        files.push(FileDigest { name: name.to_owned(), size: metadata.len(), hash });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// BLAKE3 of a whole file. Blocking.
pub(crate) fn hash_file(path: &Path) -> Result<blake3::Hash, DiskError> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).map_err(DiskError::at(path))?;
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer).map_err(DiskError::at(path))? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

fn by_inode(dir: &Path, files: &[FileDigest]) -> HashMap<(u64, u64), blake3::Hash> {
    let inode = |file: &FileDigest| {
        let metadata = fs::metadata(dir.join(&file.name)).ok()?;
        Some(((metadata.dev(), metadata.ino()), file.hash))
    };
    files.iter().filter_map(inode).collect()
}

const MAX_FILES: usize = 100_000;
const READ: usize = 1 << 20;
