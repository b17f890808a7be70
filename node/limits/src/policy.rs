//! What is limited, and by how much.

use std::time::Duration;

/// Which limit a request counts for. [`Class::as_str`] is its name in headers, problems, figures and docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Every request with a token.
    Default,
    /// Purges: each makes every node of the cluster do something.
    Purge,
    /// Requests without a good token, by address.
    Anonymous,
    /// Requests of version 1 of the API that read.
    V1Reads,
    /// Those that change something.
    V1Writes,
    /// Purges of version 1.
    V1Purges,
}

/// How a node comes to know whether there is a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The home gives permits out in advance, for a short time.
    Leased,
    /// The home is asked for each.
    Asked,
}

/// So many requests in any stretch of time that is so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Requests. At least 1.
    pub limit: u32,
    /// The stretch, in milliseconds.
    pub span_ms: u64,
}

/// The limits of a node. They should be the same on every node: what counts for a token is what its home has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests with one token in `window`, at all nodes together; 0 for no limit.
    pub per_token: u32,
    /// Purges among them; 0 for no limit of their own.
    pub purges: u32,
    /// Requests without a good token from one address in `window`, at this node; 0 for no limit.
    pub anonymous: u32,
    /// Requests of version 1 of the API with one token that read, in `window`, at all nodes together; 0 for no limit. Those of version 1
    /// count for no other limit than these three.
    pub v1_reads: u32,
    /// Those that change something; 0 for no limit.
    pub v1_writes: u32,
    /// Purges of version 1; 0 for no limit.
    pub v1_purges: u32,
    /// The stretch of time.
    pub window: Duration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let (v1_reads, v1_writes, v1_purges) = (60, 30, 10);
        Self { per_token: 1_000, purges: 60, anonymous: 1_000, v1_reads, v1_writes, v1_purges, window: Duration::from_secs(60) }
    }
}

impl LimitSettings {
    /// The policy of a class. The place where the plan of a client will have its say.
    #[must_use]
    pub fn policy(&self, class: Class) -> Option<Policy> {
        let limit = match class {
            Class::Default => self.per_token,
            Class::Purge => self.purges,
            Class::Anonymous => self.anonymous,
            Class::V1Reads => self.v1_reads,
            Class::V1Writes => self.v1_writes,
            Class::V1Purges => self.v1_purges,
        };
        let span_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX).max(1);
        (limit > 0).then_some(Policy { limit, span_ms })
    }
}

impl Class {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Purge => "purge",
            Self::Anonymous => "anonymous",
            Self::V1Reads => "v1_reads",
            Self::V1Writes => "v1_writes",
            Self::V1Purges => "v1_purges",
        }
    }

    pub(crate) const fn manner(self) -> Manner {
        match self {
            Self::Default | Self::Anonymous => Manner::Leased,
            Self::Purge | Self::V1Reads | Self::V1Writes | Self::V1Purges => Manner::Asked,
        }
    }
}

impl Policy {
    /// How exactly the time of a use is kept, in milliseconds. A use counts for up to this much longer than it should.
    pub(crate) const fn grain_ms(&self, manner: Manner) -> u64 {
        match manner {
            Manner::Asked => 1,
            Manner::Leased => {
                let grain = self.span_ms / GRAINS;
                if grain == 0 { 1 } else { grain }
            }
        }
    }

    /// How long permits are lent for, in milliseconds.
    pub(crate) fn lease_ms(&self) -> u64 {
        (self.span_ms / LEASES).clamp(LEASE_MS_MIN, LEASE_MS_MAX)
    }

    /// What one of so many nodes may admit by itself.
    pub(crate) fn share(&self, nodes: usize) -> u32 {
        let nodes = u32::try_from(nodes.max(1)).unwrap_or(u32::MAX);
        (self.limit / nodes).max(1)
    }
}

/// Into how many grains a span is divided where permits are lent.
const GRAINS: u64 = 240;
/// A lease is this part of a span,
const LEASES: u64 = 12;
/// but no shorter than a few round trips,
const LEASE_MS_MIN: u64 = 200;
/// and no longer than one would like to do without the permits of a node that died.
const LEASE_MS_MAX: u64 = 5_000;
