//! How often somebody was not let in, by why.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    /// There was no token, or not one of ours.
    Token,
    /// The token is good, and its scopes are for something else.
    Scope,
    /// What is asked for belongs to another client.
    Owner,
    /// The client is under review, or may not write.
    Review,
    /// The credentials are not for that address.
    Address,
    /// The token is not for that web site.
    Site,
    /// A client's secret was wrong.
    Secret,
    /// A refresh token was not good, or was used before.
    Refresh,
    /// A signed address is not good for what it is used for.
    Signature,
    /// Too many wrong secrets came before.
    Slowed,
}

impl DenialReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Token,
        Self::Scope,
        Self::Owner,
        Self::Review,
        Self::Address,
        Self::Site,
        Self::Secret,
        Self::Refresh,
        Self::Signature,
        Self::Slowed,
    ];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Scope => "scope",
            Self::Owner => "owner",
            Self::Review => "review",
            Self::Address => "address",
            Self::Site => "site",
            Self::Secret => "secret",
            Self::Refresh => "refresh",
            Self::Signature => "signature",
            Self::Slowed => "slowed",
        }
    }
}

/// Counts them, since the start of the process.
#[derive(Debug, Default)]
pub struct Denials([AtomicU64; DenialReason::ALL.len()]);

impl Denials {
    /// Counts and logs one, who asked from this address.
    pub fn note(&self, reason: DenialReason, address: Option<IpAddr>, detail: &str) {
        tracing::info!(reason = reason.as_str(), address = address.map(tracing::field::display), detail, "not let in");
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self, reason: DenialReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}
