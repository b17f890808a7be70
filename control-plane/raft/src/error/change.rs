//! Changing the membership.

/// The membership was not, or perhaps not, changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another node leads, or none is known to. Nothing was changed; ask the leader.
    #[error("this node does not lead")]
    NotLeader {
        /// The leader as far as this node knows.
        leader: Option<u64>,
    },
    /// The membership or the leader is not the one on which the decision was based. Nothing was changed; look again.
    #[error("the membership or the leader has changed")]
    Stale,
    /// The node is not a member. The caller's fault; nothing was changed.
    #[error("node {node_id} is not a member")]
    UnknownNode {
        /// The node.
        node_id: u64,
    },
    /// No voter would be left. The caller's fault; nothing was changed.
    #[error("no voter would be left")]
    NoVoters,
    /// Another change was under way, or no quorum was there, until the deadline. Nothing was changed; try again.
    #[error("the change could not be started in time")]
    Unavailable,
    /// The change was begun and may yet take effect. Look at the status before deciding anything.
    #[error("the outcome of the change is unknown")]
    Unknown,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}
