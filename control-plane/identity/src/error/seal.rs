//! Why something sealed does not open.

use crate::entropy::EntropyError;
use crate::error::IdentityError;

/// A sealed secret that does not open. Not worth a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The machine that seals has no randomness.
    #[error("nothing can be sealed")]
    Entropy(#[from] EntropyError),
    /// Sealed by a later version of this software: upgrade this node.
    #[error("the secret is sealed in format {version}, and this software reads format 1; upgrade this node")]
    Version {
        /// The format found.
        version: u8,
    },
    /// Sealed under another cluster's key: the secret, or this node's key, comes from another cluster or an old backup.
    #[error("the secret is sealed under another cluster key than this node has; it comes from another cluster or backup")]
    OtherKey,
    /// Changed since it was sealed, or sealed for another purpose.
    #[error("the sealed secret is damaged, was changed, or was sealed for another purpose; restore it from another node")]
    Damaged,
    /// The text is not a cluster key at all.
    #[error("a cluster key has 32 bytes; what was given has another length")]
    KeyLength,
}

/// A sealed authority key that cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It does not open under this cluster's key.
    #[error("the authority's key does not open")]
    Sealed(#[source] SealError),
    /// It opens, and what is inside is no P-256 key. Damage before it was sealed; fetch it from another voter.
    #[error("what was sealed is not an authority's key; fetch it again from another voter")]
    NotAKey,
    /// A key, but of none of the authorities that this node trusts.
    #[error("the key belongs to none of the authorities that this node trusts; it comes from another cluster")]
    OtherAuthority,
    /// The authority's certificate cannot be used.
    #[error("the authority's certificate cannot be used")]
    Certificate(#[source] IdentityError),
    /// The authority could not be read back by the crypto library.
    #[error("the authority cannot sign")]
    Unusable(#[source] rcgen::Error),
}
