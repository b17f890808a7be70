//! Tiers: other nodes that are asked before the origin, so that the cluster asks it once.
//!
//! ```text
//!   viewer ──► a node ──► the owner in its region ──► the shield ──► origin
//!                 └────────────── passed by ─────────────┴────────────►
//! ```
//! The owner of a cache key in a region is the first of the region's nodes by rendezvous hash, the shield the first of all nodes. So the shield
//! is the owner in its own region, and each step goes up in rank: a request cannot come round, whatever the nodes believe of each other
//! ([`owner`]). A tier looks at what it keeps as for a viewer of its own, and sends what it answers as it would an origin's response; the asker
//! judges that by the same functions. What a tier cannot do in time it says, or is taken to say, and is passed by ([`PassedBy`], [`doubts`]).
//!
//! **Minimum revision.** The asker names the revision that it had applied, and the tier answers from a state at least that new: so every purge
//! that the asker knows has been reckoned with. The answer carries the fill index, which is the least of the chain, and the asker keeps it under
//! that: so every purge that it hears of later counts, however the content came here.

mod ask;
mod doubts;
mod owner;
mod serve;

use std::{net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Response, Version, uri::PathAndQuery};
use ncore_origin::{ErrorKind, OnInformational};
use ncore_store::cached::EntryKey;

pub use self::serve::Admitted;
pub(crate) use self::{
    ask::Tiers,
    owner::{AskedAs, Hop},
    serve::ASKERS_MAX,
};
use crate::{ApiBody, request_id::RequestId};

/// Whether misses of a zone go through tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiered {
    /// Through the owner in the region, then the shield.
    Yes,
    /// Each node asks the origin for itself.
    No,
}

/// Whose cache a response came out of. It stands in the extensions of responses for zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Tier {
    /// That of the node which the viewer asked.
    Own,
    /// That of the owner in the region.
    Region,
    /// That of the shield.
    Shield,
    /// None: the origin answered.
    Origin,
}

impl Tier {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::Own, Self::Region, Self::Shield, Self::Origin];

    /// Its name in figures and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Region => "region",
            Self::Shield => "shield",
            Self::Origin => "origin",
        }
    }

    /// As a detail of `Cache-Status`, where it is another node.
    pub(crate) const fn detail(self) -> Option<&'static str> {
        match self {
            Self::Region | Self::Shield => Some(self.as_str()),
            Self::Own | Self::Origin => None,
        }
    }
}

/// Where a response came from, and under which revision. It stands in the extensions of responses within this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handed {
    /// The least revision that any node on the way had applied before it asked.
    pub fill: u64,
    /// Whose cache it came out of, as the one who answers sees it.
    pub tier: Tier,
}

/// A node that may own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierNode {
    /// Its id.
    pub id: u64,
    /// Its region.
    pub region: Arc<str>,
}

/// What one node asks another.
#[derive(Debug, Clone)]
pub struct TierAsk {
    /// The number of the zone.
    pub zone: u64,
    /// One of the hosts of the zone.
    pub zone_host: Box<str>,
    /// As what the other is asked: [`Tier::Region`] or [`Tier::Shield`].
    pub tier: Tier,
    /// The revision that the asker has applied.
    pub revision: u64,
    /// The viewer's method: GET or HEAD.
    pub method: Method,
    /// The viewer's path and query.
    pub target: PathAndQuery,
    /// The viewer's fields, without those that are for one connection; its conditions may be the asker's own.
    pub headers: HeaderMap,
    /// The host that the viewer asked.
    pub host: Option<HeaderValue>,
    /// The viewer's address.
    pub remote: IpAddr,
    /// Whether the viewer came by TLS.
    pub secure: bool,
    /// The version of HTTP that the viewer speaks.
    pub version: Version,
    /// The id of the viewer's request.
    pub id: RequestId,
    /// What interim responses are told to.
    pub informational: Option<OnInformational>,
}

/// What a tier answers.
#[derive(Debug)]
pub enum TierAnswer {
    /// This response.
    Response(Response<ApiBody>, Handed),
    /// It asked the origin, which did not answer.
    Failed(ErrorKind),
}

/// Why a tier is passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum PassedBy {
    /// There is no way to it, or it is no longer there.
    Unreachable,
    /// It did not take the request in time, or did not answer it.
    Late,
    /// It has not applied what the asker has.
    Behind,
    /// It cannot know whether its view of the cluster is too old.
    Fenced,
    /// It, or the way there, has as much to do as it may.
    Busy,
    /// It does not serve the zone.
    Unknown,
    /// It could not reach the origin; the asker may.
    Cut,
}

impl PassedBy {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 7] = [Self::Unreachable, Self::Late, Self::Behind, Self::Fenced, Self::Busy, Self::Unknown, Self::Cut];

    /// Its name in figures and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Behind => "behind",
            Self::Fenced => "fenced",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Cut => "cut",
        }
    }

    /// Whether it is likely to be so for the next request too, which is then not to find out by waiting.
    pub(crate) const fn lasts(self) -> bool {
        matches!(self, Self::Unreachable | Self::Late | Self::Behind | Self::Fenced)
    }
}

/// The way to the other nodes.
pub trait TierLink: Send + Sync {
    /// This node.
    fn own(&self) -> TierNode;

    /// The nodes that may own keys, this one among them as a rule. It is asked for each miss: nothing here may wait.
    fn nodes(&self) -> Arc<[TierNode]>;

    /// Asks a node, and waits for the head of its answer: not long for it to take the request, and no longer than an origin may take for the
    /// answer.
    fn ask(&self, node: u64, ask: TierAsk) -> BoxFuture<'static, Result<TierAnswer, PassedBy>>;

    /// Tells a node that a write has ended what is kept under these keys.
    fn end(&self, node: u64, keys: Vec<EntryKey>) -> BoxFuture<'static, Result<(), PassedBy>>;
}
