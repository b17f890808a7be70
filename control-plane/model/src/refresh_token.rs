//! Refresh tokens: what a client gets further access tokens with, without its secret lying about.
//!
//! Each use gives the next one. All that follow from one another are a *family*, and one row: what is kept is the hash of the one that
//! is good now. Whoever shows another one of the family shows one that was used before, so two parties have it, and none of them can
//! be told from the other: the family ends (RFC 9700, section 4.14.2).

use serde::{Deserialize, Serialize};

use crate::{client::Scope, codec::Record};

/// The most families of a client.
pub const MAX_REFRESH_FAMILIES: usize = 16;
/// For how long a family is known beyond its last use, in milliseconds of log time: longer than the access tokens that it gave.
pub const REFRESH_MARGIN_MS: u64 = 25 * 60 * 60 * 1_000;

/// A family of refresh tokens. The key is the client's id, a zero byte, and the id of the family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshFamily {
    /// What its access tokens may be allowed at most.
    pub scopes: Vec<Scope>,
    /// The BLAKE3 hash of the secret that is good now.
    pub secret_hash: [u8; 32],
    /// How often it was used.
    pub uses: u64,
    /// When it was made, in Unix milliseconds of log time.
    pub created_at_ms: u64,
    /// When it ends unless it is used before, in Unix milliseconds of log time.
    pub expires_at_ms: u64,
    /// How long it lives without being used, in milliseconds.
    pub idle_ms: u64,
    /// When it ends in any case, in Unix milliseconds of log time.
    pub ends_at_ms: u64,
}

impl Record for RefreshFamily {
    const KIND: u16 = 0x32;
    const VERSION: u16 = 1;
}
