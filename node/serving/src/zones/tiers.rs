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
mod explained;
mod owner;
mod serve;

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Response, Version, uri::PathAndQuery};
use ncore_origin::{ErrorKind, OnInformational};
use ncore_store::cached::EntryKey;
pub use ncore_telemetry::Tier;

pub(crate) use self::{
    ask::Tiers,
    owner::{AskedAs, Hop},
    serve::ASKERS_MAX,
};
pub use self::{
    explained::{HopExplained, OwnerExplained, TiersExplained},
    serve::Admitted,
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

/// The way of a request to the origin: the nodes that are asked before it.
///
/// **Its depth** is 2 if an owner in the region is asked, 1 if a shield is, and else 0. A request of another node waits only for flights of less
/// depth than that which it comes from, or leads one: so no ring of requests can wait for itself, whatever each node believes of the others.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) asked_as: AskedAs,
    pub(crate) hops: Vec<Hop>,
}

impl Way {
    pub(crate) fn depth(&self) -> u8 {
        match self.hops.first().map(|hop| hop.tier) {
            Some(Tier::Region) => 2,
            Some(_) => 1,
            None => 0,
        }
    }

    /// How deep a flight may be that this request waits for.
    pub(crate) fn depth_joined(&self) -> u8 {
        match self.asked_as {
            AskedAs::Node => 2,
            AskedAs::Region => 1,
            AskedAs::Shield => 0,
        }
    }
}

/// Where a response came from, as the one who answers with it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Whose cache it came out of.
    pub tier: Tier,
    /// The node whose cache that is, or that asked the origin; `None` if it has not said so.
    pub node: Option<u64>,
    /// What the nodes that were asked on the way say in `Cache-Status`, a member each, the one nearest to the origin first.
    pub told: Vec<String>,
}

/// Where a response came from, and under which revision. It stands in the extensions of responses within this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The least revision that any node on the way had applied before it asked.
    pub fill: u64,
    /// Where it came from.
    pub source: Source,
    /// For how long the node that was asked had the request. Its `Age` is of the end of that, so the asker adds what is left of its own wait.
    pub held: Duration,
}

impl Source {
    /// Out of the cache of `node`, which is the one that says it.
    pub(crate) const fn own(node: Option<u64>) -> Self {
        Self { tier: Tier::Own, node, told: Vec::new() }
    }

    /// From the origin, which `node` asked.
    pub(crate) const fn origin(node: Option<u64>) -> Self {
        Self { tier: Tier::Origin, node, told: Vec::new() }
    }

    /// As it is for who has asked `hop`.
    fn through(self, hop: Hop) -> Self {
        match self.tier {
            Tier::Own => Self { tier: hop.tier, node: Some(hop.node), ..self },
            _ => self,
        }
    }
}

impl Handed {
    /// By this node itself.
    pub(crate) const fn here(fill: u64, source: Source) -> Self {
        Self { fill, source, held: Duration::ZERO }
    }
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
