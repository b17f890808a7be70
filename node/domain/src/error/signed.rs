//! Why an address is not signed, or a signed one not accepted.

use super::StateError;
use crate::credentials::{Fenced, SIGNED_LIFETIME_MAX_S, SignedUrlError};

/// An address that was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It would be good for too long, or not at all. The caller's fault.
    #[error("a signed address is good for 1 to {SIGNED_LIFETIME_MAX_S} seconds")]
    Lifetime,
    /// The client is gone since its token was checked.
    #[error("no such client")]
    ClientUnknown,
    /// The state cannot be read.
    #[error("the client cannot be read")]
    State(#[source] StateError),
}

/// A signed address that does not let its bearer in.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// It is not good, or not for this. The caller's fault.
    #[error(transparent)]
    Address(SignedUrlError),
    /// The node's view may be too old. Try again, or at another node.
    #[error(transparent)]
    Fenced(Fenced),
    /// The state cannot be read.
    #[error("the client cannot be read")]
    State(#[source] StateError),
}
