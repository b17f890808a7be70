//! Reading: indices, waits, entries.

/// No read index could be had. Nothing was changed; the caller may try again, at the leader if it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Another node leads, or none is known to.
    #[error("this node does not lead")]
    NotLeader {
        /// The leader as far as this node knows.
        leader: Option<u64>,
    },
    /// No quorum confirmed the leadership before the deadline.
    #[error("no quorum confirmed the leadership in time")]
    Unavailable,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// What was waited for did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Not before the deadline.
    #[error("the deadline passed")]
    Deadline,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Committed entries cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    /// The entries are not in the log any more. A snapshot holds their effect.
    #[error("entries before index {first} have been purged")]
    Purged {
        /// The first index that is in the log.
        first: u64,
    },
    /// The node has stopped, or stops because its log cannot be read.
    #[error("the node has stopped")]
    Stopped,
}
