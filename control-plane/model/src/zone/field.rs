//! Which part of a zone is not as it must be.
//!
//! Kept in the state, with the rejections that name it, hence append-only.

use serde::{Deserialize, Serialize};

/// A part of a zone, or of what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneField {
    /// Its name.
    Name,
    /// Its origins.
    Origins,
    /// What origins are asked for as `Host`.
    HostHeader,
    /// The host name that it would have from the cluster.
    CdnHostname,
    /// Its custom domains.
    Domains,
    /// How long content is fresh of which its origin does not say it.
    CacheTtl,
    /// How long errors are kept.
    NegativeTtl,
    /// How long content is given out after its time when the origin fails.
    StaleOnError,
    /// How long content is given out after its time while it is asked for anew.
    StaleWhileRevalidate,
    /// What goes past the cache.
    Bypass,
    /// What a purge is about.
    Paths,
    /// Where its shield is.
    ShieldRegion,
}

impl ZoneField {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Origins => "origins",
            Self::HostHeader => "origin_host_header",
            Self::CdnHostname => "cdn_hostname",
            Self::Domains => "custom_domains",
            Self::CacheTtl => "cache_ttl",
            Self::NegativeTtl => "negative_ttl",
            Self::StaleOnError => "stale_on_error",
            Self::StaleWhileRevalidate => "stale_while_revalidate",
            Self::Bypass => "bypass",
            Self::Paths => "paths",
            Self::ShieldRegion => "shield_region",
        }
    }

    /// What it must be.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Name => "a name has 1 to 256 bytes, and no control characters",
            Self::Origins => {
                "there are 1 to 16 origins, not all of them backups: each an http or https URL of at most 2048 bytes without user, query or \
                 fragment, with a weight of 1 to 1000, and all with the same path"
            }
            Self::HostHeader => "it is a host name or an address, with a port or without",
            Self::CdnHostname => "the suffix that this node is configured with gives no host name",
            Self::Domains => "there are at most 100, all different: host names in lower case, with a dot in them, and no addresses",
            Self::CacheTtl => "it is at most 31536000 seconds",
            Self::NegativeTtl => "it is at most 86400 seconds",
            Self::StaleOnError | Self::StaleWhileRevalidate => "it is at most 604800 seconds",
            Self::Bypass => "there are at most 100 paths, which begin with a slash, and at most 100 names of cookies",
            Self::Paths => "there are 1 to 100, each of which begins with a slash and has at most 1024 bytes",
            Self::ShieldRegion => "it is the region of a node of the cluster",
        }
    }
}
