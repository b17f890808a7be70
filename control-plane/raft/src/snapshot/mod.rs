//! Snapshots: checkpoints of the state machine, kept on disk, and moved between nodes.
//!
//! ```text
//!   snap/<index>.tmp/    being built                       incoming/<reference>/manifest   what is being received
//!   snap/<index>/meta    position, membership, files       incoming/<reference>/parts/     files not complete yet
//!   snap/<index>/data/   the checkpoint                    incoming/<reference>/data/      complete and verified files
//! ```
//!
//! A directory under its final name is complete and durable: everything in it was fsynced before the rename. What a crash
//! leaves under another name is either removed at the next start (`*.tmp`) or used to resume (`incoming`).
//!
//! A snapshot moves by the receiver pulling its files, each from an offset, so a broken connection costs what was in
//! flight and nothing else. Files never change: one that the receiver already has, by size and BLAKE3, is not sent.

mod disk;
mod manifest;
mod pull;
mod received;
mod schedule;
mod serve;
mod store;
mod stored;

use std::sync::Arc;

#[cfg(test)]
pub(crate) use manifest::FileDigest;
pub(crate) use pull::{PullError, PullLimits, Puller};
pub(crate) use received::ReceivedSnapshot;
pub(crate) use schedule::Schedule;
pub(crate) use serve::file_chunks;
pub(crate) use store::SnapshotStore;
pub(crate) use stored::{Description, StoredSnapshot};

/// What openraft passes around as "the snapshot": a directory, held so that nobody removes it.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// One of this node's own, in `snap`.
    Stored(Arc<StoredSnapshot>),
    /// Complete and verified, still in `incoming`.
    Received(ReceivedSnapshot),
}

#[cfg(test)]
mod tests;
