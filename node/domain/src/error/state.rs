//! Why this node's copy of the state could not be read.

use ncore_model::TableError;
use ncore_replica::ReplicaError;

/// The state on this node cannot be read. This node's fault, and it stops soon; another node can answer.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The replica failed.
    #[error("the state on this node failed")]
    Replica(#[from] ReplicaError),
    /// A table could not be read.
    #[error("the state on this node cannot be read")]
    Table(#[source] TableError),
    /// The process is shutting down.
    #[error("this node is stopping")]
    Stopping,
}
