//! A stored response: one of those that there are of a cache key.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{AGE, DATE},
};
use ncore_cache::{
    cache_control::Extent,
    freshness::{self, Lifetime, LifetimeSource, Times},
    http_date,
    partial::StrongValidator,
    reuse::{Mark, Stored},
    targeted::{CDN_CACHE_CONTROL, Directives},
    validation,
    vary::VariantKey,
};

use super::zone::{TtlSettings, Zone};

/// The fields that this cache obeys before `Cache-Control`, the most specific first (RFC 9213 §2.2).
pub(crate) const TARGETS: [HeaderName; 2] = [HeaderName::from_static("ncore-cache-control"), CDN_CACHE_CONTROL];

/// What a response is, as far as it is kept: everything but its freshness, which follows from it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// For which requests it is.
    pub(crate) vary: VariantKey,
    pub(crate) status: StatusCode,
    /// Its fields, without those that are for one connection or not to be kept. Shared with whoever answers with it, or asks for more of it.
    pub(crate) headers: Arc<HeaderMap>,
    /// When it was asked for and came, or was validated last.
    pub(crate) times: Times,
    /// The revision that this node had applied before it was asked for: a newer purge that is about it makes it invalid.
    pub(crate) fill: u64,
    /// Whether something other than time has ended its freshness.
    pub(crate) mark: Mark,
    pub(crate) content: Kept,
}

/// Where the content of a stored response is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kept {
    /// Beside the head.
    Inline(Bytes),
    /// In slices of its own.
    Slices {
        /// Names the slices.
        object: u128,
        /// In bytes.
        length: u64,
        /// The fill that the head had at first. Each validation since has shown that no purge was about what was filled by then, so that the
        /// slices are as good as the head is. One with an older fill, from another node, is judged by itself.
        since: u64,
        came: Came,
    },
}

/// How a content has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// In one piece. Slices of it may have been evicted.
    Whole,
    /// In parts, of which some may never have been asked for.
    Part,
}

impl Kept {
    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Slices { length, .. } => *length,
        }
    }

    /// The name of its slices, if it has any.
    pub(crate) fn object(&self) -> Option<u128> {
        match self {
            Self::Inline(_) => None,
            Self::Slices { object, .. } => Some(*object),
        }
    }

    /// The oldest fill that a slice of it may have, of a head that is no older than `newest_purge`.
    pub(crate) fn oldest_slice(&self, newest_purge: u64) -> u64 {
        match self {
            Self::Inline(_) => newest_purge,
            Self::Slices { since, .. } => newest_purge.min(*since),
        }
    }
}

/// A version of a content that is in slices: what a part has to have to be of it, and where the slices are.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) object: u128,
    /// In bytes.
    pub(crate) length: u64,
    /// The fill that its head had at first.
    pub(crate) since: u64,
}

impl Version {
    /// By what other parts of it are known.
    pub(crate) fn validator(&self) -> Option<StrongValidator> {
        StrongValidator::of(&self.headers)
    }
}

/// What a stored response is like at some time.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) directives: Arc<Directives>,
    pub(crate) lifetime: Lifetime,
    pub(crate) age_s: u64,
    pub(crate) mark: Mark,
}

/// What the fields of a stored response say of its freshness, as they are read. It is no judgement: what the response is like follows from it
/// each time, by the time and by what the zone says then.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    directives: Arc<Directives>,
    initial_age_s: u64,
}

impl Variant {
    /// What it is like at `now_s`, by what the zone says.
    pub(crate) fn at(&self, zone: &Zone, now_s: u64) -> Condition {
        self.said().at(self, zone, now_s)
    }

    /// Its age at `now_s`, in seconds.
    pub(crate) fn age_s(&self, now_s: u64) -> u64 {
        freshness::current_age_s(freshness::initial_age_s(&self.headers, self.times), self.times.received_s, now_s)
    }

    /// What its fields say.
    pub(crate) fn said(&self) -> Said {
        let directives = Arc::new(Directives::of(&self.headers, &TARGETS));
        Said { directives, initial_age_s: freshness::initial_age_s(&self.headers, self.times) }
    }

    /// It, as a 304 with the fields `answer` has made it, asked for and received at `times` under revision `fill`.
    pub(crate) fn freshened(&self, answer: &HeaderMap, times: Times, fill: u64) -> Self {
        let mut variant = self.clone();
        // Both are of the response that they came with: what was valid at the time of the old ones is valid now.
        let headers = Arc::make_mut(&mut variant.headers);
        headers.remove(AGE);
        validation::update(headers, answer);
        if !answer.contains_key(DATE) {
            headers.insert(DATE, http_date::format(times.received_s));
        }
        Self { times, fill, mark: Mark::None, ..variant }
    }
}

impl Said {
    /// What `variant`, whose fields say this, is like at `now_s`.
    pub(crate) fn at(&self, variant: &Variant, zone: &Zone, now_s: u64) -> Condition {
        let Variant { status, headers, times, mark, .. } = variant;
        let lifetime = lifetime(*status, headers, &self.directives, *times, &zone.ttl);
        let age_s = freshness::current_age_s(self.initial_age_s, times.received_s, now_s);
        Condition { directives: Arc::clone(&self.directives), lifetime, age_s, mark: *mark }
    }
}

impl Condition {
    /// For the judgement of whether it may be reused.
    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored { directives: self.directives.get(), lifetime: self.lifetime, age_s: self.age_s, mark: self.mark }
    }

    /// For how much longer it is fresh, in seconds; negative if it is stale.
    pub(crate) fn ttl_s(&self) -> i64 {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.lifetime.seconds).saturating_sub(signed(self.age_s))
    }
}

/// How long a response is fresh, by itself or else by its zone.
pub(crate) fn lifetime(status: StatusCode, headers: &HeaderMap, directives: &Directives, times: Times, ttl: &TtlSettings) -> Lifetime {
    let own = freshness::lifetime(status, headers, directives, times, ttl.heuristic);
    if own.source.is_explicit() {
        return own;
    }
    let of_zone = match status.as_u16() {
        404 | 405 | 410 | 414 | 501 => ttl.negative_s,
        200 | 203 | 204 | 300 | 301 | 308 => ttl.default_s,
        _ => None,
    };
    of_zone.map_or(own, |seconds| Lifetime { seconds, source: LifetimeSource::Heuristic })
}

/// The fields of a response as they are kept: without those that it says are for one user or for one connection, and with the time at which
/// it was made, which a response without a clock does not know.
pub(crate) fn kept_fields(response: &HeaderMap, directives: &Directives, received_s: u64) -> HeaderMap {
    let mut headers = response.clone();
    validation::strip_hops(&mut headers);
    let said = directives.get();
    let left_out: Vec<HeaderName> =
        headers.keys().filter(|name| is_named(&said.no_cache, name) || is_named(&said.private, name)).cloned().collect();
    for name in left_out {
        headers.remove(name);
    }
    if !headers.contains_key(DATE) {
        headers.insert(DATE, http_date::format(received_s));
    }
    headers
}

/// A directive without names is about the response, and not about every field of it.
fn is_named(extent: &Extent, field: &HeaderName) -> bool {
    *extent != Extent::Everything && extent.covers(field)
}
