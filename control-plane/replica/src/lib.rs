//! The state of the cluster on this machine's disk: the tables of `ncore-model` in RocksDB.
//!
//! A replica is fed with entries of the log, in order, and read by everyone on this node. It does not know where entries come
//! from: on a voter it is Raft, on an edge it will be the stream of a hub. What it promises:
//!
//! 1. **One batch, one write.** The rows of a batch and the mark of how far it reaches are written together, so after a crash
//!    the state is exactly that of some earlier mark.
//! 2. **Each entry once.** An entry at or below the mark is skipped.
//! 3. **Seen in order.** Observers learn of a change after it can be read and before the revision is announced, so whoever
//!    waits for a revision finds caches that are at least as new.
//! 4. **A snapshot is a checkpoint.** Hard links to immutable files, taken without stopping anything; installed by a rename of
//!    a pointer, so a crash leaves the old state or the new one.
//!
//! Writes are not synced one by one: a crash of the machine falls back to an earlier mark, and the log has the rest.

mod database;
mod directory;
mod error;
mod observer;
mod overlay;
mod replica;
mod view;

pub use database::StateMemory;
pub use error::ReplicaError;
pub use observer::{Change, Observer};
pub use replica::{Entry, Replica};
pub use view::View;
