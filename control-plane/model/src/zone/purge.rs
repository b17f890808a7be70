//! Purges of zones, and how far back they are kept.
//!
//! An object of a zone that was fetched under an older index than a purge that it falls under is good for nothing. Nodes can tell that only
//! of purges that are kept; so where one is not kept any more, its index becomes the *floor* of the zone, and every object from below the
//! floor is good for nothing. A purge of the whole zone is such a floor by itself.

use serde::{Deserialize, Serialize};

use crate::codec::Record;

/// The most targets of one purge.
pub const MAX_PURGE_TARGETS: usize = 100;
/// The most purges of a zone that are kept, each counted as one more than it has targets.
pub const MAX_ZONE_PURGE_WEIGHT: u32 = 10_000;
/// The longest target, in bytes.
const MAX_TARGET_BYTES: usize = 1_024;

/// What a purge of a zone is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZonePurgeTarget {
    /// Everything.
    Zone,
    /// One URL: its path, and its query if there is one in it. Without a query, the path with whatever query.
    Url(String),
    /// Every URL whose path and query begin with this.
    Prefix(String),
}

impl ZonePurgeTarget {
    /// Whether a purge may have it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Zone => true,
            Self::Url(path) | Self::Prefix(path) => {
                path.starts_with('/') && path.len() <= MAX_TARGET_BYTES && !path.contains('#') && !path.chars().any(char::is_control)
            }
        }
    }
}

/// A purge of a zone. Its index is in its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePurge {
    /// What it is about.
    pub targets: Vec<ZonePurgeTarget>,
    /// When, in Unix milliseconds of log time.
    pub at_ms: u64,
}

impl ZonePurge {
    /// How much of what is kept it takes.
    pub(crate) fn weight(&self) -> u32 {
        u32::try_from(self.targets.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl Record for ZonePurge {
    const KIND: u16 = 0x4A;
    const VERSION: u16 = 1;
}

/// What all purges of a zone have in common. The row is there once there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ZonePurgeMark {
    /// The index of the last purge of the whole zone; zero if there was none.
    pub zone_at: u64,
    /// The index of the newest purge that is not kept any more; zero if all are.
    pub floor: u64,
    /// The weight of those that are kept.
    pub weight: u32,
}

impl ZonePurgeMark {
    /// Objects that were fetched under an older index are good for nothing.
    #[must_use]
    pub fn oldest_good(&self) -> u64 {
        self.zone_at.max(self.floor)
    }
}

impl Record for ZonePurgeMark {
    const KIND: u16 = 0x4B;
    const VERSION: u16 = 1;
}
