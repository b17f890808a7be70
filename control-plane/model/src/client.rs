//! A client: a tenant, who owns assets and calls the API.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::ClientId};

/// What the cluster knows of a client.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// What the operator calls it.
    pub name: String,
    /// Its secret, hashed with argon2id (a PHC string).
    pub secret_hash: String,
    /// What its tokens may be allowed at most.
    pub scopes: Vec<Scope>,
    /// Its own domains.
    pub domains: Vec<String>,
    /// Whether it may do anything.
    pub status: ClientStatus,
    /// When it was added, in Unix milliseconds of log time.
    pub created_at_ms: u64,
}

impl Record for Client {
    const KIND: u16 = 0x12;
    const VERSION: u16 = 1;
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("name", &self.name).field("status", &self.status).finish_non_exhaustive()
    }
}

/// Whether a client may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientStatus {
    /// Everything that its scopes allow.
    Active,
    /// Its content is served; it cannot write.
    Review,
    /// Its credentials are refused.
    Suspended,
}

impl ClientStatus {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Review => "review",
            Self::Suspended => "suspended",
        }
    }
}

impl FromStr for ClientStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Active, Self::Review, Self::Suspended].into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// List and read assets and their replication status.
    AssetsRead,
    /// Upload and delete assets.
    AssetsWrite,
    /// Purge caches.
    CachePurge,
    /// Read metrics.
    MetricsRead,
    /// List and read zones. Level 8.
    ZonesRead,
    /// Make, change and remove zones. Level 8.
    ZonesWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] =
        [Self::AssetsRead, Self::AssetsWrite, Self::CachePurge, Self::MetricsRead, Self::ZonesRead, Self::ZonesWrite];

    /// The schema level that the state must have before a client may be given it.
    #[must_use]
    pub const fn schema_level(self) -> u32 {
        match self {
            Self::AssetsRead | Self::AssetsWrite | Self::CachePurge | Self::MetricsRead => 1,
            Self::ZonesRead | Self::ZonesWrite => 8,
        }
    }

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AssetsRead => "assets:read",
            Self::AssetsWrite => "assets:write",
            Self::CachePurge => "cache:purge",
            Self::MetricsRead => "metrics:read",
            Self::ZonesRead => "zones:read",
            Self::ZonesWrite => "zones:write",
        }
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(())
    }
}
