//! Why an upload was not acknowledged.

use ncore_store::StoreError;

use super::{ChangeError, StateError};

/// An upload that was not acknowledged. Unless it is [`Change`](Self::Change), nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// More bytes came than an asset may have. The caller's fault.
    #[error("the content is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// This node's disk has no room above its reserve. Try again when there is, or at another node.
    #[error("the disk of this node is full")]
    Full,
    /// Too many uploads are under way here. Try again in a second, or at another node.
    #[error("too many uploads are under way")]
    Busy,
    /// The content is on fewer nodes than it has to be, and no more could be reached. Try again.
    #[error("the content is durable on {have} of {need} nodes")]
    TooFewCopies {
        /// On how many nodes it is.
        have: usize,
        /// On how many it has to be.
        need: usize,
    },
    /// The state has an upload whose path or type no upload can have. A defect.
    #[error("the upload cannot become an asset")]
    Target,
    /// This node's disk fails, or it is stopping. Another node can take the upload.
    #[error("this node cannot store the content")]
    Store(#[source] StoreError),
    /// The state cannot be read.
    #[error("the cluster's members cannot be read")]
    State(#[source] StateError),
    /// The content is stored, and the change did not go through; it may yet, if that is unknown.
    #[error("the upload was not committed")]
    Change(#[source] ChangeError),
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::TooLarge { limit } => Self::TooLarge { limit },
            other => Self::Store(other),
        }
    }
}
