//! Why an upload that comes in pieces cannot go on.

use ncore_control::ReadError;

use super::{ChangeError, StateError, UploadError};

/// An upload in pieces that was not begun, not found, or not added to. What was acknowledged of it before stays.
#[derive(Debug, thiserror::Error)]
pub enum ResumableError {
    /// This client has no such upload: never begun, ended, or expired.
    #[error("no such upload")]
    Unknown,
    /// Another number of bytes is there. The caller's fault: it asks how many.
    #[error("{there} bytes of the upload are there")]
    Offset {
        /// How many are.
        there: u64,
    },
    /// More bytes came than the upload is to have. The caller's fault.
    #[error("the upload has {length} bytes, and more came")]
    TooLong {
        /// How many it is to have, in bytes.
        length: u64,
    },
    /// No node in reach has a piece of it. Try again when more nodes are.
    #[error("a piece of the upload cannot be read now")]
    PieceOutOfReach,
    /// What the cluster has agreed on cannot be found out now.
    #[error("how far the upload is cannot be found out now")]
    Read(#[source] ReadError),
    /// The state cannot be read.
    #[error("the upload cannot be read")]
    State(#[source] StateError),
    /// It was not begun or ended, or that is not known.
    #[error("the upload was not changed")]
    Change(#[source] ChangeError),
    /// The piece, or the asset, was not acknowledged.
    #[error("the piece was not taken")]
    Upload(#[source] UploadError),
}
