//! One zone, as the data plane needs it: the names that it is served under, where its content comes from, and what its owner lets the
//! cache do beyond what origins and viewers say themselves.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use ncore_cache::{freshness::Heuristic, reuse::ReusePolicy, storable::Cookies};
use ncore_origin::OriginSet;
use ncore_telemetry::Meter;
use uuid::Uuid;

use super::tiers::Tiered;

/// A zone. It never changes: another version of it is another value, published with its [`ZoneTable`](super::ZoneTable).
#[derive(Debug)]
pub struct Zone {
    /// Its number in the replicated state. It is part of every cache key, and never used again.
    pub id: u64,
    /// Its id as customers see it.
    pub uuid: Uuid,
    /// The client whose zone it is.
    pub client: Arc<str>,
    /// Where what is served for that client is counted.
    pub meter: Arc<Meter>,
    /// The host names that it is served under.
    pub hosts: Vec<Box<str>>,
    /// Where its content comes from.
    pub origins: Arc<OriginSet>,
    /// What stands before every path that the origins are asked for, without a slash at its end; empty for nothing.
    pub prefix: Box<str>,
    /// Which requests are for the same content.
    pub key: KeySettings,
    /// How long content is fresh that does not say so.
    pub ttl: TtlSettings,
    /// What is never answered from the cache.
    pub bypass: Vec<Bypass>,
    /// What viewers may ask of the cache, and for how long stale content may be used where the origin does not say so.
    pub reuse: ReusePolicy,
    /// What becomes of requests while this node's view of the cluster may be too old.
    pub fenced: FencedZone,
    /// Whether responses that set cookies are kept.
    pub cookies: Cookies,
    /// Whether responses to authorised requests are kept.
    pub authorised: Authorised,
    /// Whether other nodes are asked before the origin.
    pub tiered: Tiered,
    /// The region in which the last of them is to be, if not just any.
    pub shield_region: Option<Box<str>>,
    /// `Access-Control-Allow-Origin` of responses whose origin sends none.
    pub cors: Option<HeaderValue>,
}

/// What is part of the cache key beside the path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySettings {
    /// Which parts of the query.
    pub query: QueryKey,
    /// Which fields of the request.
    pub headers: Vec<HeaderName>,
}

/// Which parts of a query make another key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QueryKey {
    /// All of it, as it was sent.
    #[default]
    All,
    /// None of it.
    Nothing,
    /// The parameters of these names, in the order in which they were sent.
    Only(Vec<Box<str>>),
    /// All but the parameters of these names.
    Without(Vec<Box<str>>),
}

/// How long a response is fresh that does not say so itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlSettings {
    /// Of successful ones, in seconds; `None` for what `heuristic` makes of it.
    pub default_s: Option<u64>,
    /// Of 404, 405, 410, 414 and 501, in seconds; `None` for what `heuristic` makes of it.
    pub negative_s: Option<u64>,
    /// How it is guessed by the date of the last change.
    pub heuristic: Heuristic,
}

/// What is never answered from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bypass {
    /// Paths that begin so.
    Prefix(Box<str>),
    /// Requests with a cookie of this name.
    Cookie(Box<str>),
}

/// What becomes of requests for a zone on a node that may have missed a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FencedZone {
    /// They are answered by the origin, whatever is stored.
    Revalidate,
    /// They are answered from the cache, and marked.
    Serve,
    /// They get 503.
    Refuse,
}

/// What becomes of responses to authorised requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorised {
    /// They are kept if they say that everybody may have them (RFC 9111 §3.5).
    ByTheBook,
    /// They are kept as any other.
    Keep,
}

impl Zone {
    /// A zone with everything by the book, and a meter that nobody reads.
    #[must_use]
    pub fn new(id: u64, uuid: Uuid, client: Arc<str>, hosts: Vec<Box<str>>, origins: Arc<OriginSet>) -> Self {
        Self {
            id,
            uuid,
            client,
            meter: Arc::default(),
            hosts,
            origins,
            prefix: "".into(),
            key: KeySettings::default(),
            ttl: TtlSettings::BY_THE_BOOK,
            bypass: Vec::new(),
            reuse: ReusePolicy::STRICT,
            fenced: FencedZone::Revalidate,
            cookies: Cookies::Refuse,
            authorised: Authorised::ByTheBook,
            tiered: Tiered::Yes,
            shield_region: None,
            cors: None,
        }
    }

    /// The rule by which a request goes past the cache, if there is one.
    pub(crate) fn bypassed_by(&self, path: &str, headers: &HeaderMap) -> Option<&Bypass> {
        self.bypass.iter().find(|rule| match rule {
            Bypass::Prefix(prefix) => path.starts_with(&**prefix),
            Bypass::Cookie(name) => has_cookie(headers, name),
        })
    }
}

fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).any(|pair| pair.split('=').next().is_some_and(|found| found.trim() == name))
}

impl TtlSettings {
    /// As RFC 9111 has it.
    pub const BY_THE_BOOK: Self = Self { default_s: None, negative_s: None, heuristic: Heuristic::TYPICAL };
}
