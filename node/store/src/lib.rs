//! Bytes on this machine: verified blobs, never evicted.
//!
//! A blob is content named by its BLAKE3 hash. This crate takes blobs in, makes them durable,
//! keeps them as long as somebody pins or refers to them, and gives them back in slices of 1 MiB,
//! each checked against the hash after it was read. It knows nothing of the cluster: who refers to
//! a blob, which node holds a copy and when to fetch one is decided above, and told to the store by
//! pins, by the recheck of [`BlobStore::collect`], and by what is committed.
//!
//! It is not the cache of zones. That one evicts, is keyed by request and not by content, and
//! stands beside [`BlobStore`] in [`cached`], with files, an index and memory of its own.
//!
//! # On disk
//!
//! ```text
//! <dir>/blobs/<2 hex>/<62 hex>.data     the content
//! <dir>/blobs/<2 hex>/<62 hex>.obao     its outboard, if the content is longer than 16 KiB
//! <dir>/incoming/<n>.tmp                being written; swept on open
//! <dir>/incoming/<64 hex>.part, .crc    a transfer that can be resumed, and its journal
//! <dir>/incoming/<64 hex>.intent        "files of this blob may stand without a record"
//! <dir>/quarantine/<64 hex>.data, .obao copies found bad; at most eight
//! <dir>/index/                          RocksDB: one record per blob, per pin, per variant
//! ```
//!
//! The outboard holds the hash pairs of the BLAKE3 tree over 16 KiB groups, in post order, 64 bytes
//! a pair, without a header. It is what bao-tree calls a post-order outboard with a chunk-group log
//! of 4, and the tests have bao-tree read and validate it. Post order, because a stream of unknown
//! length produces it as it comes, and because the pairs of one slice lie together.
//!
//! # Invariants
//!
//! A crash may stop the process at any instruction. These hold at every one of them, or are made
//! true again by the next [`BlobStore::open`], which looks at `incoming/` and the index only and
//! never scans the blobs.
//!
//! 1. **A present record tells the truth.** It is written after the data and the outboard were
//!    synced, were renamed into place, and their directory was synced.
//! 2. **A commit is one event.** The record and the caller's pin are one synced write: there is
//!    never one without the other.
//! 3. **No file without a record outlives the next open.** Before files appear in, or a record
//!    leaves, an `.intent` is made in `incoming/`; it goes after both sides agree. Open removes the
//!    files of an intent that has no record. (After a power cut this relies on the file system to
//!    keep the order of metadata operations, as ext4, XFS and btrfs do. Elsewhere space may leak;
//!    no promise about content depends on it.)
//! 4. **`incoming/` holds nothing else across an open** but partials that agree with their journal,
//!    and for which no present record exists.
//! 5. **A copy counts only after it was read.** A commit or pin that finds the blob already there
//!    reads it from the disk, in full, first. A bad copy is replaced by the new one, never counted.
//! 6. **Every byte handed out was verified after it was read**, against the path of the tree up to
//!    the hash, whatever stands in the data file, the outboard, or the index.
//! 7. **A pinned blob stays.** Collection removes a blob only if it has no pin, its grace has
//!    passed since it was last stored, pinned or unpinned, and the caller's recheck, made under the
//!    blob's lock, says that nothing refers to it.
//! 8. **A variant goes with its source.** A blob that was made out of another one is kept by a record that is written only while
//!    that one is here, in one synced write with its own, and that goes in one synced write with that one's.
//! 9. **After a failed fsync nothing is promised any more.** The error is not retried; every later
//!    write is refused, and [`BlobStore::fatal`] tells the owner to stop the process. Reads go on.
//! 10. **A failed or abandoned write leaves nothing.** Temporaries go with the object that owns
//!     them, and what a crash leaves goes with the next open.
//!
//! # Threads
//!
//! Functions that are `async` run hashing and file I/O on tokio's blocking pool. Those that are not
//! say in their docs whether they block. Work that began is not undone when its future is dropped:
//! a commit whose caller went away completes, holding the blob's lock until it has.

mod blob_store;
pub mod cached;
mod check;
mod collect;
mod core;
#[cfg(test)]
mod crash;
mod durable;
mod error;
mod frame;
mod index;
mod ingest;
mod layout;
mod locks;
mod memory;
mod offload;
mod outboard;
mod partial;
mod pin;
mod quarantine;
mod reader;
mod record;
mod recovery;
mod space;
mod staged;
mod temp;
#[cfg(test)]
mod tests;
mod tree;
mod variant;
mod writer;

pub use crate::blob_store::{BlobEntry, BlobStatus, BlobStore, StoreConfig};
pub use crate::check::Verification;
pub use crate::collect::Collection;
pub use crate::durable::FsyncFailure;
pub use crate::error::{Corruption, ReadError, RecordError, StoreError};
pub use crate::frame::{SliceFrame, VerifyError, decode_slice, frame_bytes};
pub use crate::partial::{PartialBlob, PartialEntry};
pub use crate::pin::{PinEntry, PinId, Pinning, Unpinning};
pub use crate::quarantine::Quarantine;
pub use crate::staged::{Commit, StagedBlob};
pub use crate::tree::{GROUP_BYTES, SLICE_BYTES, slice_count, slice_range};
pub use crate::variant::{StoredVariant, Variant, VariantEntry, VariantKey};
pub use crate::writer::{BlobWriter, WriteOptions};
