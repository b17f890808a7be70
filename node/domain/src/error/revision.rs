//! Why a request is not answered from the state that it asks for.

use ncore_control::ReadError;
use ncore_model::Revision;

/// A revision that a caller presents, and that this node has not reached.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// No node had it when it was presented: this node has everything that was acknowledged before, and not that. The caller's fault.
    #[error("no node has revision {wanted}: the newest is {newest}")]
    Unknown {
        /// The revision that was asked for.
        wanted: Revision,
        /// What this node had reached, with all that was acknowledged before it was asked.
        newest: Revision,
    },
    /// This node did not get there in time, or the revision is of a history that was lost.
    #[error(transparent)]
    Read(#[from] ReadError),
}
