//! Starting a node, and a cluster.

use std::{io, path::PathBuf};

use crate::{config::ConfigError, fatal::FatalReason};

/// A node cannot start. Trying again without changing something does not help.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings do not work. The operator's fault.
    #[error("the settings of the Raft node do not work")]
    Config(#[source] ConfigError),
    /// The directory cannot be created or used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log's database cannot be opened: it is damaged, or another process has it.
    #[error("the log cannot be opened")]
    Database(#[source] rocksdb::Error),
    /// The directory holds the log of another node or cluster. The operator's fault; nothing was changed.
    #[error("the directory holds the log of node {node_id} of cluster {}", Hex(cluster_id))]
    OtherNode {
        /// Whose log it is.
        node_id: u64,
        /// Of which cluster.
        cluster_id: Vec<u8>,
    },
    /// The log, a snapshot or the state cannot be read or is damaged.
    #[error("the node's data cannot be used")]
    Data(#[source] FatalReason),
    /// The operating system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A cluster cannot be started on this node.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// The node has a log or has voted already. The caller's fault, and harmless: there is a cluster.
    #[error("the node already belongs to a cluster")]
    AlreadyInitialized,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
