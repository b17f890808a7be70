//! Handing over the leadership.

/// The leadership was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Another node leads, or none is known to. Ask the leader.
    #[error("this node does not lead")]
    NotLeader {
        /// The leader as far as this node knows.
        leader: Option<u64>,
    },
    /// The node cannot lead: it is no voter. The caller's fault.
    #[error("node {node_id} is not a voter")]
    NotVoter {
        /// The node.
        node_id: u64,
    },
    /// The node is out of reach or too far behind to win an election. Try again when it has caught up.
    #[error("node {node_id} is {lag} entries behind, or out of reach")]
    Behind {
        /// The node.
        node_id: u64,
        /// Entries it lacks.
        lag: u64,
    },
    /// Another node than the wanted one leads now.
    #[error("node {leader} leads instead")]
    Other {
        /// The leader.
        leader: u64,
    },
    /// The deadline passed before there was a new leader. There will be one.
    #[error("there was no new leader in time")]
    Deadline,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}
