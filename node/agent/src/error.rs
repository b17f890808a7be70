//! Why the agent cannot go on. What it can wait out, such as a peer that is away or a full disk, is no error here.

use ncore_model::TableError;
use ncore_replica::ReplicaError;

/// Why a task of the agent ended. The node stops: its state is damaged, or the program is at fault.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The replica cannot be read.
    #[error("the replica cannot be read")]
    Replica(#[source] ReplicaError),
    /// A row of the replica cannot be read.
    #[error("a row of the replica cannot be read")]
    Row(#[source] TableError),
    /// What was counted for clients before the last stop cannot be read. To go on would lose it.
    #[error("the kept counts of usage cannot be read")]
    Spool(#[source] std::io::Error),
    /// A task panicked.
    #[error("the task panicked")]
    Panicked,
    /// A task ended although nobody told it to.
    #[error("the task ended by itself")]
    Ended,
}

/// Reads of one moment need it: the replica's own errors pass through whoever reads.
impl From<ReplicaError> for AgentError {
    fn from(error: ReplicaError) -> Self {
        Self::Replica(error)
    }
}

/// The first task that ended by itself, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("task {task} of the agent failed")]
pub struct AgentFailure {
    /// Its name.
    pub task: &'static str,
    /// Why it ended.
    #[source]
    pub cause: std::sync::Arc<AgentError>,
}
