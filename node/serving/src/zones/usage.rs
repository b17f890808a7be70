//! What the cache did for a request, in one word: for `X-Cache`, figures and logs.

use http::HeaderValue;
use ncore_telemetry::Tally;

/// What the cache did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum CacheUsed {
    /// It answered with what it has, which is fresh.
    Hit,
    /// It answered with what it has, which is stale: as the response, the request or the zone allows.
    Stale,
    /// What it has was validated by the origin, which had nothing newer.
    Revalidated,
    /// The origin answered.
    Miss,
    /// The origin answered, and the cache was not asked: by the method, or because the zone says so.
    Bypass,
    /// Nobody answered: the origin did not, or was not to be asked.
    Error,
}

impl CacheUsed {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 6] = [Self::Hit, Self::Stale, Self::Revalidated, Self::Miss, Self::Bypass, Self::Error];

    /// Its name in figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Error => "error",
        }
    }

    /// Counts it for the client of the zone. What the cache was not asked for is neither a hit nor a miss.
    pub(crate) fn count(self, client: &Tally) {
        match self {
            Self::Hit | Self::Stale | Self::Revalidated => client.hit(),
            Self::Miss => client.missed(),
            Self::Bypass | Self::Error => {}
        }
    }

    /// Its name in `X-Cache`.
    pub(crate) const fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Hit => "HIT",
            Self::Stale => "STALE",
            Self::Revalidated => "REVALIDATED",
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
            Self::Error => "ERROR",
        })
    }
}
