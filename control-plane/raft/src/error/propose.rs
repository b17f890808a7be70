//! Proposing commands.

/// A command was not, or perhaps not, accepted.
///
/// Only after [`ProposeError::Unknown`] may the command take effect; all other outcomes are certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another node leads, or none is known to. Nothing was written; ask the leader.
    #[error("this node does not lead")]
    NotLeader {
        /// The leader as far as this node knows.
        leader: Option<u64>,
    },
    /// The leader could not take the command before the deadline: it has no quorum, or is overloaded. Nothing was
    /// written; try again.
    #[error("no quorum could take the command in time")]
    Unavailable,
    /// The command was written and may yet commit. Try again only with something that makes it happen once.
    #[error("the outcome of the command is unknown")]
    Unknown,
    /// The command is larger than the limit. The caller's fault; nothing was written.
    #[error("the command is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The node has stopped. Nothing was written.
    #[error("the node has stopped")]
    Stopped,
}
