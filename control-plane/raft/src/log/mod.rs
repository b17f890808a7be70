//! The replicated log and the vote on disk: a RocksDB of their own, one thread that makes it durable, and the newest
//! entries in memory.
//!
//! ```text
//!   append ──► write batch, unsynced ──► ring ──► queue ──► flusher: drain, fsync once, complete all
//!   save_vote, truncate ──► write, unsynced ──────► queue ──► the same fsync, awaited
//!   purge ────────────────► write, unsynced (rides on the next fsync)
//!   save_committed ───────► kept in memory, written with the next append
//! ```
//!
//! All writes go through one write-ahead log in the order they were made, so a vote and an entry can never become durable
//! the wrong way round.

mod db;
mod flusher;
mod ring;
mod store;

pub(crate) use db::{LogDb, MetaKey};
pub(crate) use flusher::{DiskSync, Flusher};
pub(crate) use store::{LogLimits, LogStore, decode_entry, read_meta};

#[cfg(test)]
pub(crate) mod tests;
