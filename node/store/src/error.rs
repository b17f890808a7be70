//! What can go wrong with the store, by whose fault it is.
//!
//! Not here: [`crate::VerifyError`], which is about frames of another machine and stands with them.

use std::io;
use std::sync::Arc;

/// Why a change to the store, or a question to its index, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, over quota, or has less free than the reserve. Nobody's fault; retry when
    /// there is room.
    #[error("the disk has no room above its reserve")]
    Full,
    /// The caller wrote more than it allowed itself. The caller's client is at fault; do not retry.
    #[error("the content is longer than its limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content ended before or after its announced size. The sender's fault.
    #[error("{expected} bytes were announced and {actual} came")]
    WrongSize {
        /// Bytes announced.
        expected: u64,
        /// Bytes received.
        actual: u64,
    },
    /// A resumed transfer is complete and is not the blob that it was to be. The partial was
    /// removed; fetch again from the start, from another peer.
    #[error("the content hashes to {actual} and not to {expected}")]
    WrongRoot {
        /// The hash asked for.
        expected: blake3::Hash,
        /// The hash of what came.
        actual: blake3::Hash,
    },
    /// A slice was appended out of turn, or with a length that it cannot have. The caller's fault.
    #[error("slice {slice} with {actual} bytes, where slice {next} with {expected} is due")]
    WrongSlice {
        /// The slice given.
        slice: u64,
        /// The slice that is due.
        next: u64,
        /// Bytes that are due.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// A transfer was finished before all of its slices were there. The caller's fault; the partial
    /// stays.
    #[error("slice {next} of the transfer has not come yet")]
    Incomplete {
        /// The first slice that is needed.
        next: u64,
    },
    /// Another task receives this blob. Wait for it, or take what it commits.
    #[error("another task is receiving this blob")]
    Busy,
    /// An earlier call on this writer failed or was dropped halfway, so that what was written is not
    /// known. Drop the writer and begin again.
    #[error("an earlier write of this upload did not complete")]
    Interrupted,
    /// An fsync failed, now or before. **The process must stop**: the kernel may have dropped the
    /// dirty pages, so neither a retry nor a later success proves anything. See
    /// [`crate::BlobStore::fatal`].
    #[error("an fsync failed, nothing written since can be trusted; the process must stop")]
    FsyncFailed,
    /// The operating system refused a file operation. Retry is pointless until the cause is gone.
    #[error("could not {op}")]
    Io {
        /// What was tried.
        op: &'static str,
        /// The answer of the operating system.
        #[source]
        source: io::Error,
    },
    /// The index could not be read or opened.
    #[error("could not {op} the index")]
    Index {
        /// What was tried.
        op: &'static str,
        /// The answer of RocksDB.
        #[source]
        source: rocksdb::Error,
    },
    /// A record of the index does not decode: damage, or a newer version of this program.
    #[error("a record of the index does not decode")]
    Record(#[source] RecordError),
    /// A cached entry was removed, and the index cannot be written: a restart may bring it back. It is tried again.
    #[error("the entry is removed, but could not be struck out of the index on disk")]
    NotStruck,
    /// The directory was written by a version with another layout.
    #[error("the directory has layout {found}, this version reads {supported}")]
    Layout {
        /// The layout found.
        found: u32,
        /// The one that is understood.
        supported: u32,
    },
    /// The runtime is shutting down, and the work was not begun.
    #[error("the runtime is shutting down")]
    ShuttingDown,
}

impl StoreError {
    /// Turns the answer to a file operation into an error, and tells a full disk from the rest.
    pub(crate) fn io(op: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { op, source },
        }
    }
}

/// Why a record of the index does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It has a length that no version has.
    #[error("{found} bytes is no length of this record")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// It was written by a newer version.
    #[error("version {found} is not known")]
    Version {
        /// The version found.
        found: u8,
    },
    /// Its bytes changed since they were written, or belong to another key.
    #[error("the checksum does not match")]
    Checksum,
    /// A field has a value without a meaning.
    #[error("state {found} is not known")]
    State {
        /// The value found.
        found: u8,
    },
}

/// Why a slice could not be read. Cheap to clone, because all readers of one flight share it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The blob is not on this disk. Fetch it from a peer.
    #[error("the blob is not on this disk")]
    Missing,
    /// What is on disk is not what was stored. Take the slice from a peer, and have the blob
    /// quarantined and fetched again.
    #[error("the blob is damaged: {what}")]
    Corrupt {
        /// The part that is damaged.
        what: Corruption,
    },
    /// The caller asked with a size that this blob does not have. The caller's fault.
    #[error("asked as a blob of {asked} bytes, it has {recorded}")]
    WrongSize {
        /// The size that the caller gave.
        asked: u64,
        /// The size in the index.
        recorded: u64,
    },
    /// A blob of this size has no such slice. The caller's fault.
    #[error("a blob of {size} bytes has no slice {slice}")]
    NoSuchSlice {
        /// The size that the caller gave.
        size: u64,
        /// The slice asked for.
        slice: u64,
    },
    /// The operating system refused, for a reason that says nothing about the blob (descriptors,
    /// memory, permissions). Take the slice from a peer.
    #[error("could not read the blob")]
    Io(#[source] Arc<io::Error>),
    /// The runtime is shutting down.
    #[error("the runtime is shutting down")]
    ShuttingDown,
}

impl ReadError {
    /// Tells damage from refusals: a sector that the disk cannot read is damage.
    pub(crate) fn from_io(error: io::Error) -> Self {
        match Corruption::of(&error) {
            Some(what) => Self::Corrupt { what },
            None => Self::Io(Arc::new(error)),
        }
    }
}

/// Which part of a stored blob is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Corruption {
    /// Bytes of the content do not hash to what the tree says.
    Data,
    /// A hash pair of the outboard is wrong or missing.
    Outboard,
    /// The data file is shorter or longer than the blob.
    Length,
    /// There is a record and no file.
    FileGone,
    /// The disk or the file system reports that it cannot read the bytes.
    Unreadable,
}

impl Corruption {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Outboard => "outboard",
            Self::Length => "length",
            Self::FileGone => "file_gone",
            Self::Unreadable => "unreadable",
        }
    }

    /// The damage that an error of a read means, if it means damage at all.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(error)?;
        // EUCLEAN and EBADMSG are how XFS, ext4 and btrfs report a block that fails its checksum.
        [Errno::IO, Errno::UCLEAN, Errno::BADMSG].contains(&errno).then_some(Self::Unreadable)
    }
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
