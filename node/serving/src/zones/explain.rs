//! Why a request would be answered as it would: the walk of [`engine`](super::engine) over the same pure functions, without asking the
//! origin and without leaving a trace.
//!
//! Of the fields of requests, the asked and those that are kept for `Vary`, only those are shown that tell nothing of who asks.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ETAG, LAST_MODIFIED, ORIGIN},
    uri::PathAndQuery,
};
use ncore_cache::{
    cache_control::{Extent, Flag, RequestDirectives},
    freshness,
    range::{self, ByteRange, RangeRequest},
    reuse::{Mark, OnError, Requests, Reuse, reuse},
    targeted::Directives,
};
use ncore_store::cached::Tier;
use serde::Serialize;

use super::{
    content::SLICE_BYTES,
    engine::{Engine, unix_now_s},
    key::{self, CacheKey},
    tiers::TiersExplained,
    upstream::{Asking, is_loop},
    variant::{Condition, Kept, TARGETS, Variant},
    zone::{Bypass, FencedZone, QueryKey, Zone},
};
use crate::serve::ViewAge;

/// The most slices of a content that are looked for.
const SLICES_MAX: u64 = 1_024;

/// The fields of requests that may be shown: they tell what is wanted, and not by whom.
const SHOWN: [HeaderName; 5] = [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ORIGIN];

/// A GET that nobody sends.
#[derive(Clone)]
pub struct Question {
    /// The host that it names, without a port.
    pub host: Box<str>,
    /// Path and query.
    pub target: PathAndQuery,
    /// Its other fields.
    pub headers: HeaderMap,
}

/// What would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It would be answered with what is kept, which is fresh.
    Hit,
    /// It would be answered with what is kept, which is stale.
    Stale,
    /// What is kept would have to be validated before.
    Revalidate,
    /// There is nothing that could be used.
    Miss,
    /// The cache would not be asked.
    Bypass,
    /// It would be refused.
    Error,
}

/// What would become of a request at this node, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence.
    pub why: String,
    /// Who would be asked first: `region`, `shield` or `origin`; `None` if nobody would.
    pub asks: Option<&'static str>,
    /// The nodes that are asked before the origin.
    pub tiers: TiersExplained,
    /// The id of the zone.
    pub zone: String,
    /// The host by which it was found.
    pub host: String,
    /// The revision of the last change that this node has applied.
    pub revision: u64,
    /// Whether its view of the cluster may be too old: `current` or `stale`.
    pub view: &'static str,
    /// What it does then.
    pub fence_policy: &'static str,
    /// Under which key answers are kept.
    pub key: KeyExplained,
    /// The rule by which the request goes past the cache.
    pub bypass: Option<RuleExplained>,
    /// The revision of the newest purge that is about it.
    pub newest_purge: Option<u64>,
    /// Whether it is remembered that answers to it are not kept: then nobody waits for anybody else's.
    pub known_not_kept: bool,
    /// In which tier the list of variants is.
    pub kept_in: Option<&'static str>,
    /// What is kept under the key, the newest first.
    pub variants: Vec<VariantExplained>,
}

/// The parts of a cache key.
#[derive(Debug, Clone, Serialize)]
pub struct KeyExplained {
    /// The path, and what counts of the query.
    pub path: String,
    /// Which parts of a query count: `all`, `nothing`, `only` some, or all `without` some.
    pub query: &'static str,
    /// The fields of the request that count.
    pub headers: Vec<String>,
    /// All of it as the store has it, in hex.
    pub hash: String,
}

/// A rule by which requests go past the cache.
#[derive(Debug, Clone, Serialize)]
pub struct RuleExplained {
    /// What it looks at: `path` or `cookie`.
    pub by: &'static str,
    /// How the path begins, or what the cookie is called.
    pub value: String,
}

/// A response that is kept.
#[derive(Debug, Clone, Serialize)]
pub struct VariantExplained {
    /// Whether it is the one for this request.
    pub is_for_this: bool,
    /// For which requests it is, by the fields that it varies by.
    pub vary: Vec<FieldExplained>,
    /// Its status.
    pub status: u16,
    /// How old it is, in seconds.
    pub age_s: u64,
    /// How long it is fresh, in seconds.
    pub lifetime_s: u64,
    /// What says so: `s-maxage`, `max-age`, `expires`, `heuristic`, `nothing`, or the `zone`.
    pub lifetime_from: &'static str,
    /// Whether that is in `cache-control`, or in a `targeted` field for this cache.
    pub directives_from: &'static str,
    /// For how much longer it is fresh, in seconds; negative if it is stale.
    pub fresh_for_s: i64,
    /// Its entity tag.
    pub etag: Option<String>,
    /// The date of its last change.
    pub last_modified: Option<String>,
    /// Whether something other than time has ended its freshness.
    pub is_marked_stale: bool,
    /// The revision that this node had applied before it was asked for.
    pub filled_at: u64,
    /// Whether a newer purge is about it.
    pub is_purged: bool,
    /// Bytes of its content.
    pub length: u64,
    /// Its slices; `None` if the content stands beside its head.
    pub slices: Option<SlicesExplained>,
}

/// A field that a response varies by.
#[derive(Debug, Clone, Serialize)]
pub struct FieldExplained {
    /// Which.
    pub name: String,
    /// What the request had for which it was kept, if that may be shown.
    pub kept: Option<String>,
    /// Whether the present request has the same.
    pub matches: bool,
}

/// Where the slices of a content are.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct SlicesExplained {
    /// How many it has.
    pub all: u64,
    /// How many of them were looked for: the first ones.
    pub looked_for: u64,
    /// Of those, how many are in memory.
    pub memory: u64,
    /// How many are on disk alone.
    pub disk: u64,
    /// Whether the first that this request needs is there.
    pub first_is_there: bool,
}

impl fmt::Debug for Question {
    /// Without the values of fields: they may prove who asks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Question").field("host", &self.host).field("path", &self.target.path()).field("fields", &fields).finish()
    }
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Stale => "STALE",
            Self::Revalidate => "REVALIDATE",
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
            Self::Error => "ERROR",
        }
    }
}

/// A verdict, why, and whether somebody would be asked.
struct Judged(Verdict, String, Asks);

/// Whether somebody would be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nobody,
    /// Those who can have it, and the origin last.
    Tiers,
    /// The origin alone.
    Origin,
}

impl Asks {
    fn first(self, tiers: &TiersExplained) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Tiers => Some(tiers.asks.first().map_or("origin", |hop| hop.tier)),
            Self::Origin => Some("origin"),
        }
    }
}

/// What is known of a request before it is judged.
struct Case<'a> {
    zone: &'a Zone,
    headers: &'a HeaderMap,
    age: ViewAge,
    newest_purge: u64,
    variants: &'a [(Variant, Option<SlicesExplained>)],
}

impl Engine {
    /// What would become of a request; `None` if this node has no zone of that host.
    pub(super) async fn explain(&self, question: &Question) -> Option<Explanation> {
        let zone = self.zones.load().get(&question.host).cloned()?;
        let (age, revision) = (self.view.age(), self.view.revision());
        let key = CacheKey::of(&zone, &question.target, &question.headers);
        let newest_purge = self.view.newest_purge(zone.id, &key.path);
        let headers = Asking::fields(question.headers.clone());
        let (kept_in, head) = self.shelf.peek(&key.head).await.unzip();
        let mut variants = Vec::new();
        for variant in head.into_iter().flat_map(|head| head.variants) {
            let slices = self.slices_of(&variant, &headers).await;
            variants.push((variant, slices));
        }
        let case = Case { zone: &zone, headers: &headers, age, newest_purge, variants: &variants };
        let rule = zone.bypassed_by(question.target.path(), &headers);
        let Judged(verdict, why, asks) = case.judged(rule, is_loop(&zone, &headers));
        let chosen = case.chosen();
        let tiers = TiersExplained::of(&zone, &key.head, revision, self.tiers.as_ref(), self.tiers_for(&zone, &key.head, age));
        Some(Explanation {
            verdict,
            why,
            asks: asks.first(&tiers),
            tiers,
            zone: zone.uuid.to_string(),
            host: question.host.to_string(),
            revision,
            view: if age == ViewAge::Stale { "stale" } else { "current" },
            fence_policy: match zone.fenced {
                FencedZone::Revalidate => "revalidate",
                FencedZone::Serve => "serve",
                FencedZone::Refuse => "refuse",
            },
            bypass: rule.map(explained_rule),
            newest_purge: (newest_purge > 0).then_some(newest_purge),
            known_not_kept: self.uncacheable.contains_key(&key.head),
            kept_in: kept_in.map(Tier::as_str),
            variants: (0..variants.len()).map(|at| case.explained(at, chosen == Some(at))).collect(),
            key: explained_key(&zone, &key),
        })
    }

    async fn slices_of(&self, variant: &Variant, headers: &HeaderMap) -> Option<SlicesExplained> {
        let Kept::Slices { object, length, .. } = variant.content else { return None };
        let all = length.div_ceil(SLICE_BYTES);
        let looked_for = all.min(SLICES_MAX);
        let first = first_wanted(headers, length) / SLICE_BYTES;
        let wanted = (0..looked_for).chain([first]).map(|number| key::slice(object, number)).collect();
        let mut tiers = self.shelf.tiers(wanted).await;
        let first_is_there = tiers.pop().flatten().is_some();
        let count = |tier| tiers.iter().filter(|found| **found == Some(tier)).count() as u64;
        Some(SlicesExplained { all, looked_for, memory: count(Tier::Memory), disk: count(Tier::Disk), first_is_there })
    }
}

impl Case<'_> {
    /// Which of the variants is for this request.
    fn chosen(&self) -> Option<usize> {
        self.variants.iter().position(|(variant, _)| variant.fill >= self.newest_purge && variant.vary.matches(self.headers))
    }

    fn judged(&self, rule: Option<&Bypass>, is_loop: bool) -> Judged {
        if is_loop {
            return Judged(Verdict::Error, "the request has been through this zone before".to_owned(), Asks::Nobody);
        }
        if self.age == ViewAge::Stale && self.zone.fenced == FencedZone::Refuse {
            let why = "this node has lost touch with the cluster, and the zone has it refuse then";
            return Judged(Verdict::Error, why.to_owned(), Asks::Nobody);
        }
        if let Some(rule) = rule {
            let why = match rule {
                Bypass::Prefix(prefix) => format!("paths that begin with {prefix} go past the cache"),
                Bypass::Cookie(name) => format!("requests with a cookie {name} go past the cache"),
            };
            return Judged(Verdict::Bypass, why, Asks::Origin);
        }
        let directives = RequestDirectives::of(self.headers);
        let judged = self.judged_by_what_is_kept(&directives);
        let may_ask = !directives.has(Flag::OnlyIfCached) || self.zone.reuse.requests == Requests::Ignore;
        match judged {
            Judged(Verdict::Miss | Verdict::Revalidate, why, _) if !may_ask => {
                Judged(Verdict::Error, format!("{why}, and the request wants nothing but what is kept (only-if-cached)"), Asks::Nobody)
            }
            judged => judged,
        }
    }

    fn judged_by_what_is_kept(&self, directives: &RequestDirectives) -> Judged {
        let miss = |why: &str| Judged(Verdict::Miss, why.to_owned(), Asks::Tiers);
        let Some(chosen) = self.chosen() else {
            let purged = self.variants.iter().filter(|(variant, _)| variant.fill < self.newest_purge).count();
            return match self.variants.len() {
                0 => miss("nothing is kept under its key"),
                all if purged == all => miss("what is kept under its key was asked for before the newest purge"),
                _ => miss("what is kept under its key is for requests with other fields (Vary)"),
            };
        };
        if self.age == ViewAge::Stale && self.zone.fenced == FencedZone::Revalidate {
            return miss("this node has lost touch with the cluster, and what it keeps may have been purged");
        }
        let (variant, slices) = &self.variants[chosen];
        let condition = variant.at(self.zone, unix_now_s());
        let due = reuse(condition.stored(), directives, self.zone.reuse);
        if !matches!(due, Reuse::Validate(_)) && slices.is_some_and(|slices| !slices.first_is_there) {
            return miss("its head is kept, and the content was evicted");
        }
        let stale_for = condition.age_s.saturating_sub(condition.lifetime.seconds);
        match due {
            Reuse::Fresh => Judged(Verdict::Hit, format!("it is fresh for another {} s", condition.ttl_s()), Asks::Nobody),
            Reuse::Stale => {
                let why = format!("it has been stale for {stale_for} s, and the request takes that (max-stale)");
                Judged(Verdict::Stale, why, Asks::Nobody)
            }
            Reuse::StaleWhileRevalidate => {
                let why = format!("it has been stale for {stale_for} s, and is used while it is asked for anew (stale-while-revalidate)");
                Judged(Verdict::Stale, why, Asks::Tiers)
            }
            Reuse::Validate(on_error) => {
                let cause = self.cause(variant, &condition, directives, stale_for);
                let otherwise = match on_error {
                    OnError::ServeStale => "if that fails it is used as it is",
                    OnError::Fail => "it is not used otherwise",
                };
                Judged(Verdict::Revalidate, format!("{cause}: {}; {otherwise}", how(variant)), Asks::Tiers)
            }
        }
    }

    /// Why what is kept has to be validated.
    fn cause(&self, variant: &Variant, condition: &Condition, directives: &RequestDirectives, stale_for: u64) -> String {
        let obeys = self.zone.reuse.requests == Requests::Obey;
        if condition.directives.get().no_cache == Extent::Everything {
            "it is to be validated each time (no-cache)".to_owned()
        } else if obeys && directives.has(Flag::NoCache) {
            "the request wants what the origin has now (no-cache)".to_owned()
        } else if variant.mark == Mark::Stale {
            "it was marked as stale".to_owned()
        } else if condition.ttl_s() > 0 {
            "it is fresh, and the request wants something younger (max-age, min-fresh)".to_owned()
        } else {
            format!("it has been stale for {stale_for} s")
        }
    }

    fn explained(&self, at: usize, is_for_this: bool) -> VariantExplained {
        let (variant, slices) = &self.variants[at];
        let condition = variant.at(self.zone, unix_now_s());
        let own = freshness::lifetime(variant.status, &variant.headers, &condition.directives, variant.times, self.zone.ttl.heuristic);
        let is_zones = !own.source.is_explicit() && own != condition.lifetime;
        let of = |name: &HeaderName| variant.headers.get(name).map(text);
        VariantExplained {
            is_for_this,
            vary: variant.vary.parts().map(|(name, kept)| self.field(name, kept, variant)).collect(),
            status: variant.status.as_u16(),
            age_s: condition.age_s,
            lifetime_s: condition.lifetime.seconds,
            lifetime_from: if is_zones { "zone" } else { own.source.as_str() },
            directives_from: match Directives::of(&variant.headers, &TARGETS) {
                Directives::Targeted(_) => "targeted",
                Directives::Common(_) => "cache-control",
            },
            fresh_for_s: condition.ttl_s(),
            etag: of(&ETAG),
            last_modified: of(&LAST_MODIFIED),
            is_marked_stale: variant.mark == Mark::Stale,
            filled_at: variant.fill,
            is_purged: variant.fill < self.newest_purge,
            length: variant.content.length(),
            slices: *slices,
        }
    }

    fn field(&self, name: &HeaderName, kept: Option<&[u8]>, variant: &Variant) -> FieldExplained {
        FieldExplained {
            name: name.to_string(),
            kept: kept.filter(|_| SHOWN.contains(name)).map(|kept| String::from_utf8_lossy(kept).into_owned()),
            matches: variant.vary.has_same(name, self.headers),
        }
    }
}

/// How what is kept is validated.
fn how(variant: &Variant) -> &'static str {
    if variant.headers.contains_key(ETAG) || variant.headers.contains_key(LAST_MODIFIED) {
        "the origin is asked whether it still holds"
    } else {
        "the origin is asked for all of it, for there is nothing to validate it by"
    }
}

/// The first byte that a request wants of a content.
fn first_wanted(headers: &HeaderMap, length: u64) -> u64 {
    match range::resolve(headers, length) {
        RangeRequest::Single(range) => range.first(),
        RangeRequest::Multiple(ranges) => ranges.first().map_or(0, ByteRange::first),
        _ => 0,
    }
}

fn explained_rule(rule: &Bypass) -> RuleExplained {
    match rule {
        Bypass::Prefix(prefix) => RuleExplained { by: "path", value: prefix.to_string() },
        Bypass::Cookie(name) => RuleExplained { by: "cookie", value: name.to_string() },
    }
}

fn explained_key(zone: &Zone, key: &CacheKey) -> KeyExplained {
    KeyExplained {
        path: key.path.to_string(),
        query: match zone.key.query {
            QueryKey::All => "all",
            QueryKey::Nothing => "nothing",
            QueryKey::Only(_) => "only",
            QueryKey::Without(_) => "without",
        },
        headers: zone.key.headers.iter().map(ToString::to_string).collect(),
        hash: hex::encode(key.head.as_bytes()),
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
