//! The one place where the reason for stopping the node is kept.
//!
//! The first reason wins; what fails afterwards fails because of it. There is no way back: whoever sees a reason lets the
//! process end, and a restart decides what is true by reading the disk again.

use std::{error::Error, io, path::PathBuf, sync::Arc};

use tokio::sync::watch;

use crate::{machine::Fatal, record::RecordError};

/// Why the node must stop. Never retried.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FatalReason {
    /// An fsync of the log failed. What the kernel dropped cannot be known, so a second fsync would prove nothing.
    #[error("the log could not be made durable")]
    LogSync(#[source] Arc<dyn Error + Send + Sync>),
    /// Writing to the log failed.
    #[error("the log could not be written")]
    LogWrite(#[source] Arc<dyn Error + Send + Sync>),
    /// Reading the log failed.
    #[error("the log could not be read")]
    LogRead(#[source] Arc<dyn Error + Send + Sync>),
    /// A stored record is damaged, or from a newer version.
    #[error("a record of the log is damaged")]
    LogRecord(#[source] RecordError),
    /// Entries are missing in the middle of the log.
    #[error("the log has a hole: index {found} where {expected} belongs")]
    LogHole {
        /// The index that belongs here.
        expected: u64,
        /// The index found.
        found: u64,
    },
    /// The state machine gave up.
    #[error("the state machine gave up")]
    Machine(#[source] Fatal),
    /// The membership kept by the state machine is damaged.
    #[error("the membership kept by the state machine is damaged")]
    Membership(#[source] RecordError),
    /// A snapshot could not be written, synced or moved into place.
    #[error("the snapshot at {} could not be stored", path.display())]
    Snapshot {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The Raft engine stopped by itself.
    #[error("the Raft engine stopped")]
    Engine(#[source] Arc<dyn Error + Send + Sync>),
}

/// Shared by all that can find a reason to stop.
#[derive(Debug, Clone)]
pub(crate) struct FatalCell {
    reason: watch::Sender<Option<FatalReason>>,
}

impl FatalCell {
    pub(crate) fn new() -> Self {
        Self { reason: watch::Sender::new(None) }
    }

    /// Records `reason` unless there is one already, and returns it as the error that openraft's traits ask for.
    pub(crate) fn raise(&self, reason: FatalReason) -> io::Error {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                tracing::error!(error = &reason as &dyn Error, cause = ?reason.source(), "the node must stop");
                *current = Some(reason.clone());
            }
            first
        });
        io::Error::other(reason)
    }

    pub(crate) fn get(&self) -> Option<FatalReason> {
        self.reason.borrow().clone()
    }

    /// Resolves once there is a reason. Cancel safe.
    pub(crate) async fn raised(&self) -> FatalReason {
        let mut watched = self.reason.subscribe();
        let reason = watched.wait_for(Option::is_some).await.expect("the sender lives as long as self");
        reason.clone().expect("waited for")
    }
}
