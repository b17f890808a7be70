//! Why a join token is not one, and why a joiner is not let in by its proof.

use crate::entropy::EntropyError;

/// A text that is no join token, or terms that cannot become one. Always the fault of whoever made or copied it, never
/// worth a retry with the same text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin like a token.
    #[error("this is not a join token: a token begins with `ncj1.`; make one with `ncore join-token create`")]
    NotAToken,
    /// A token of a later version of this software.
    #[error("this join token has version {version}, and this software reads version 1; upgrade this machine first")]
    Version {
        /// The version, as written.
        version: u32,
    },
    /// Longer than any token.
    #[error("the join token is longer than {most} characters; something else was pasted with it")]
    TooLong {
        /// The limit in characters.
        most: usize,
    },
    /// Characters are missing, added or changed.
    #[error("the join token is damaged, probably cut off or broken over lines when it was copied; copy it again whole")]
    Damaged,
    /// Whole, but with contents that no token has; or terms outside the limits of a token.
    #[error("the {field} of the join token {why}; make a new one with `ncore join-token create`")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The machine that makes the token has no randomness.
    #[error("no join token could be made")]
    Entropy(#[from] EntropyError),
}

/// A join request that does not prove knowledge of the token's secret. The fault of the joiner; the same request will be
/// refused again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not shaped like a proof: a joiner of another version, or not a joiner.
    #[error("the join proof is not well formed; the joining machine runs another version of this software")]
    Malformed,
    /// The proof is not by this token, or not for this request.
    #[error("the join proof does not fit the token and the certificate request; use a token of this cluster")]
    Refused,
}
