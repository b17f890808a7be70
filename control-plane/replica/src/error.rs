//! What can go wrong with a replica. All of it is this machine's fault, none of it goes away by trying again: the node stops.

use std::{io, path::PathBuf};

use ncore_model::{ApplyError, CodecError, NotBegun, TableError};

/// Why a replica cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// A file or directory of the replica cannot be used.
    #[error("cannot {action} {}", path.display())]
    Directory {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database gave an error.
    #[error("the state database failed to {action}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// What it said.
        #[source]
        source: rocksdb::Error,
    },
    /// An entry of the log is not one that this build can read.
    #[error("log entry {index} cannot be decoded; was it written by a newer version?")]
    Entry {
        /// The index of the entry.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// An entry of the log could not be applied.
    #[error("log entry {index} cannot be applied")]
    Apply {
        /// The index of the entry.
        index: u64,
        /// Why.
        #[source]
        source: ApplyError,
    },
    /// A row could not be read.
    #[error("the state cannot be read")]
    Table(#[source] TableError),
    /// A lineage cannot begin from this state, which is as it was. The operator's to decide, unlike the rest.
    #[error("no lineage can begin from this state")]
    Lineage(#[source] NotBegun),
    /// A lineage could not be written.
    #[error("a lineage cannot be begun")]
    Begin(#[source] ApplyError),
    /// The mark of how far the state reaches is damaged.
    #[error("the mark of the state is damaged")]
    Mark,
    /// The database lacks a table of this version.
    #[error("the state database has no column family {name}")]
    MissingTable {
        /// Its name.
        name: &'static str,
    },
}
