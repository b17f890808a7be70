//! Why somebody is not let in, or gets no token.

use std::time::Duration;

use ncore_control::ReadError;
use ncore_identity::SealError;
use ncore_model::Scope;

use super::{ChangeError, StateError};
use crate::credentials::Fenced;

/// A client whose secret was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// No such client, a wrong secret, or a suspended client: which of them is not told.
    #[error("the client id or the secret is wrong")]
    Refused,
    /// Too many secrets are being checked. Try again in a second.
    #[error("too many credentials are being checked")]
    Busy,
    /// The secret is right, and the client may not use it from this address. The caller's fault.
    #[error("the client may not use its credentials from this address")]
    Address,
    /// Too many wrong secrets came from this address.
    #[error("too many wrong secrets; try again in {} seconds", wait.as_secs() + 1)]
    Slowed {
        /// How long the next try has to wait.
        wait: Duration,
    },
    /// The node's view may be too old. Try again, or at another node.
    #[error(transparent)]
    Fenced(Fenced),
    /// The hash that is kept of the secret is not one. A defect, or damage.
    #[error("the kept hash of the secret cannot be used")]
    Hash(#[source] argon2::password_hash::Error),
    /// The state cannot be read.
    #[error("the client cannot be read")]
    State(#[source] StateError),
}

/// A client that could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddClientError {
    /// The machine has no randomness.
    #[error("this machine has no randomness")]
    Entropy,
    /// The secret could not be hashed.
    #[error("the secret cannot be hashed")]
    Hash(#[source] argon2::password_hash::Error),
    /// Too many secrets are being checked. Try again in a second.
    #[error("too many credentials are being checked")]
    Busy,
    /// The change did not go through.
    #[error("the client was not added")]
    Change(#[source] ChangeError),
}

/// A cluster that has no key to sign tokens with, and gets none now.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The machine has no randomness.
    #[error("this machine has no randomness")]
    Entropy,
    /// It cannot be sealed.
    #[error("the key cannot be sealed")]
    Seal(#[source] SealError),
    /// The state cannot be read.
    #[error("the keys cannot be read")]
    State(#[source] StateError),
    /// The change did not go through.
    #[error("the key was not added")]
    Change(#[source] ChangeError),
}

/// A token that was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The client may not have this scope. The caller's fault.
    #[error("the client may not have the scope {}", .0.as_str())]
    ScopeNotGranted(Scope),
    /// There is no key, and none could be made.
    #[error("no key to sign with")]
    Key(#[source] SigningKeyError),
    /// The key does not open under this node's cluster key.
    #[error("the key to sign with does not open")]
    Sealed(#[source] SealError),
    /// The key does not sign.
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// The state cannot be read.
    #[error("the keys cannot be read")]
    State(#[source] StateError),
}

/// A token that is not accepted. All but the last two are the caller's fault, who needs another token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not a token of this kind.
    #[error("the token is malformed")]
    Malformed,
    /// It is signed with a key that this node does not know. It may be of another cluster, or of a key that is newer than this
    /// node's state.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is not valid")]
    Signature,
    /// It is of another cluster.
    #[error("the token was issued by another cluster")]
    OtherIssuer,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The secret of its client was replaced since.
    #[error("the token was issued for a secret that was replaced")]
    SecretReplaced,
    /// It is good, and not at this address.
    #[error("the token may not be used from this address")]
    Address,
    /// It is good, and not for the pages of this web site.
    #[error("the token may not be used by the pages of this site")]
    Site,
    /// Its client is unknown or suspended.
    #[error("the token's client is not active")]
    ClientRefused,
    /// The node's view may be too old to know. Try again, or at another node.
    #[error(transparent)]
    Fenced(Fenced),
    /// The state cannot be read. This node's fault.
    #[error("the token cannot be checked")]
    State(#[source] StateError),
}

/// A token that was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It belongs to another client. The caller's fault.
    #[error("the token belongs to another client")]
    OfOther,
    /// It is signed with a key that this node does not know, and whether others do could not be found out. Try again.
    #[error("this node cannot tell whether the token is good elsewhere")]
    Behind(#[source] ReadError),
    /// The state cannot be read.
    #[error("the token cannot be looked up")]
    State(#[source] StateError),
    /// The change did not go through.
    #[error("the token was not revoked")]
    Change(#[source] ChangeError),
}

/// A refresh token that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It is not one, has ended, or is of another client. The caller's fault.
    #[error("the refresh token is not good, or not any more")]
    Refused,
    /// It was used before. Its whole family has ended.
    #[error("the refresh token was used before: it, and every token that followed from it, is revoked now")]
    Reused,
    /// It may not be used for this scope. The caller's fault.
    #[error("the refresh token does not have the scope {}", .0.as_str())]
    Scope(Scope),
    /// The machine has no randomness.
    #[error("this machine has no randomness")]
    Entropy,
    /// The node's view may be too old. Try again, or at another node.
    #[error(transparent)]
    Fenced(Fenced),
    /// The state cannot be read.
    #[error("the refresh token cannot be looked up")]
    State(#[source] StateError),
    /// The change did not go through.
    #[error("the refresh token was not used")]
    Change(#[source] ChangeError),
    /// The refresh token was used, and no access token came of it.
    #[error("no access token for the refresh token")]
    Issue(#[source] IssueError),
}

/// An administrator who was not let in.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    /// There is none with this token, or it has ended.
    #[error("the token is of no administrator")]
    Refused,
    /// The machine has no randomness.
    #[error("this machine has no randomness")]
    Entropy,
    /// The node's view may be too old. Try again, or at another node.
    #[error(transparent)]
    Fenced(Fenced),
    /// The state cannot be read.
    #[error("the administrators cannot be read")]
    State(#[source] StateError),
    /// The change did not go through.
    #[error("the administrators were not changed")]
    Change(#[source] ChangeError),
}

/// Somebody who wanted to sign in and was not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Too many wrong tokens came from there.
    #[error("too many wrong tokens came from this address")]
    Slowed {
        /// How long the next try has to wait.
        wait: Duration,
    },
    /// Because of the token, or it cannot be checked now.
    #[error(transparent)]
    Token(AdministratorError),
}

/// Something that the caller is known and not allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token lacks a scope.
    #[error("the token lacks the scope {}", .0.as_str())]
    Scope(Scope),
    /// The client is under review: it reads and does not write.
    #[error("the client is under review and may only read")]
    UnderReview,
}
