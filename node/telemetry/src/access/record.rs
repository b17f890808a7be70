//! A record: what is kept of one request, in bounded memory.

use std::{mem, net::IpAddr, sync::Arc};

use super::zone::ZoneAccess;

/// The most bytes of a method, a host, a path, an id and a user agent. What is longer is cut.
const BYTES_MAX: [usize; 5] = [16, 128, 512, 64, 200];
/// What stands at the end of a text that was cut.
const CUT: &str = "…";

/// Whose a request is: of the client that has the asset, or whose token it shows. An API says so in the extensions of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client(pub Arc<str>);

/// What is known of a request when it comes.
#[derive(Debug, Clone, Copy)]
pub struct AccessHead<'a> {
    /// Its method.
    pub method: &'a str,
    /// The host that it names, without a port.
    pub host: &'a str,
    /// Its path, as sent: what follows a `?` does not belong in here.
    pub path: &'a str,
    /// The id that its answer has.
    pub request_id: &'a str,
    /// Its `User-Agent`.
    pub agent: &'a [u8],
    /// Who asks.
    pub remote: IpAddr,
    /// What it is for.
    pub class: PathClass,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRecord {
    /// Which record of its node it is, counted from 1 since the start; 0 before the log has it.
    pub number: u64,
    /// When the answer ended, in microseconds of the Unix epoch.
    pub ended_us: u64,
    /// How long it took from the head of the request to there, in microseconds.
    pub took_us: u64,
    /// Bytes of its body.
    pub bytes: u64,
    /// Its status.
    pub status: u16,
    /// Who asked.
    pub remote: IpAddr,
    /// What for.
    pub class: PathClass,
    /// Where the first bytes of the asset were.
    pub cache: CacheUse,
    /// Whose request it is, if that is known.
    pub client: Option<Arc<str>>,
    /// How it was answered, if it was for a zone.
    pub zone: Option<Box<ZoneAccess>>,
    /// What it said of itself.
    pub texts: AccessTexts,
}

/// Method, host, path, id and user agent, one behind the other: one allocation for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessTexts {
    all: Box<str>,
    ends: [u16; 5],
}

/// What a path is for, as far as anybody may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PathClass {
    /// An asset of the public index.
    Public,
    /// Another asset.
    Asset,
    /// An asset that is not for everybody.
    Restricted,
    /// An API.
    Api,
    /// The node's own page and figures.
    Node,
}

/// Where the first bytes of an asset were, or what the cache of a zone did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CacheUse {
    /// Neither was asked.
    None,
    /// On the node; the cache had it.
    Hit,
    /// On another; the origin was asked.
    Miss,
    /// The cache had it, and it was stale.
    Stale,
    /// The cache had it, and the origin had nothing newer.
    Revalidated,
    /// The cache was not asked.
    Bypass,
    /// Nobody answered.
    Error,
}

impl PathClass {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 5] = [Self::Public, Self::Asset, Self::Restricted, Self::Api, Self::Node];

    /// Its name: the paths that are of it, as `*` says it; `/` stands for whatever else the node answers itself.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "/pub/*",
            Self::Asset => "/assets/*",
            Self::Restricted => "/restricted/*",
            Self::Api => "/api/*",
            Self::Node => "/",
        }
    }
}

impl CacheUse {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 7] = [Self::None, Self::Hit, Self::Miss, Self::Stale, Self::Revalidated, Self::Bypass, Self::Error];

    /// Its name, as in `X-Cache`.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Hit => Some("HIT"),
            Self::Miss => Some("MISS"),
            Self::Stale => Some("STALE"),
            Self::Revalidated => Some("REVALIDATED"),
            Self::Bypass => Some("BYPASS"),
            Self::Error => Some("ERROR"),
        }
    }

    /// What an `X-Cache` says.
    #[must_use]
    pub fn of_header(value: Option<&[u8]>) -> Self {
        let said = value.and_then(|value| str::from_utf8(value).ok());
        Self::ALL.into_iter().find(|used| used.as_str() == said).unwrap_or(Self::None)
    }

    /// Whether the bytes were on the node.
    #[must_use]
    pub const fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::Stale | Self::Revalidated)
    }
}

impl AccessRecord {
    /// The record of a request that has just come.
    #[must_use]
    pub fn new(head: &AccessHead<'_>) -> Self {
        let AccessHead { method, host, path, request_id, agent, remote, class } = *head;
        let agent = str::from_utf8(agent).unwrap_or_default();
        let given = [method, host, path, request_id, agent];
        let kept: [&str; 5] = std::array::from_fn(|at| cut(given[at], BYTES_MAX[at]));
        let bytes = kept.iter().zip(given).map(|(kept, given)| kept.len() + if kept.len() < given.len() { CUT.len() } else { 0 }).sum();
        let mut texts = String::with_capacity(bytes);
        let ends = std::array::from_fn(|at| {
            texts.push_str(kept[at]);
            if kept[at].len() < given[at].len() {
                texts.push_str(CUT);
            }
            // The bounds above are far below what fits.
            u16::try_from(texts.len()).unwrap_or(u16::MAX)
        });
        Self {
            number: 0,
            ended_us: 0,
            took_us: 0,
            bytes: 0,
            status: 0,
            remote,
            class,
            cache: CacheUse::None,
            client: None,
            zone: None,
            texts: AccessTexts { all: texts.into_boxed_str(), ends },
        }
    }

    /// The record, out of a place that has no more use for it.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self { texts: mem::take(&mut self.texts), client: self.client.take(), zone: self.zone.take(), ..*self }
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.text(0)
    }

    /// The host that it named.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text(1)
    }

    /// Its path, as sent, without a query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text(2)
    }

    /// The id that its answer has.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.text(3)
    }

    /// Its `User-Agent`; empty if it had none, or one that is not text.
    #[must_use]
    pub fn agent(&self) -> &str {
        self.text(4)
    }

    fn text(&self, at: usize) -> &str {
        let AccessTexts { all, ends } = &self.texts;
        let begin = if at == 0 { 0 } else { ends[at - 1] };
        all.get(usize::from(begin)..usize::from(ends[at])).unwrap_or_default()
    }
}

/// The beginning of a text, at most so many bytes of it.
fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}
