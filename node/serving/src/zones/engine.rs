//! The walk of a request for a zone.
//!
//! ```text
//!   RECEIVE ── loop? fenced? ────────────► 508 │ 503
//!      │
//!   SORT ───── method, bypass ───────────► straight to the origin; a write ends what is stored of its URL
//!      │ GET, HEAD
//!   LOOK ───── key, variant, purge ──────► nothing that may be used: ASK
//!      │ stored
//!   JUDGE ──── fresh, or stale and allowed ► ANSWER (and ask in the background, RFC 5861)
//!      │ to be validated
//!   ASK ────── alone, as the leader of a flight, or as a follower of one: the tiers, then the origin; only for what is missing, if not all is
//!      │
//!   ANSWER ─── whole │ 206 │ 304 │ 412 │ 416, with Age, Via, Cache-Status
//! ```
//! What is stored is judged anew for every request: nothing of the judgement is kept with it.
//!
//! A hit is most of what is asked, and its future is moved several times before it is polled: so what a hit does not come through has a box of its own,
//! and no room in that future.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::BodyExt;
use moka::sync::Cache;
use ncore_cache::{
    cache_control::{Flag, RequestDirectives},
    cache_status::{Collapse, Forward, Handling, Kept as IsKept},
    invalidation,
    reuse::{OnError, Requests, Reuse, reuse},
    validation,
};
use ncore_origin::{OnInformational, OriginError, Origins, Switched, UpgradeAnswer};
use ncore_store::cached::{Cached, EntryKey};
use ncore_telemetry::Allowance;
use tokio::sync::{Semaphore, watch};

use super::{
    answer::{Found, Told},
    ask::{Ask, Asked, Others, Span, empty, is_failure},
    content::{Content, SLICE_BYTES},
    early::Early,
    explain::{Explanation, Question},
    filling::Filling,
    flight::{Flights, Seat, State, answer},
    key::CacheKey,
    origin::{OriginBody, send},
    parted::Gap,
    shelf::{Sent, SharedShelf, Shelf},
    shown::Chosen,
    table::Zones,
    tiers::{ASKERS_MAX, AskedAs, Handed, Source, TierLink, Tiers, Way},
    trace::{self, Came, Trace},
    upgrade::{Owner, Tunnels, Upgrading},
    upstream::{Asking, REGION_NAME, SHIELD_NAME, Wishes, is_loop},
    usage::CacheUsed,
    variant::{Condition, Kept, Variant},
    view::View,
    zone::{FencedZone, Zone},
};
use crate::{
    access::Pending,
    body::ResponseBody,
    listener::Interim,
    metrics::{During, Outcome, ServingMetrics},
    problem::{self, About},
    request_body::RequestBody,
    request_id::RequestId,
    router::{ApiRequest, PeerInfo},
    serve::{ViewAge, X_CACHE},
};

/// The most requests to origins that others may follow, at once.
const FLIGHTS_MAX: usize = 16_384;
/// The most URLs of which it is remembered that their answers are not kept.
const UNCACHEABLE_MAX: u64 = 65_536;
/// For how long it is remembered.
const UNCACHEABLE_FOR: Duration = Duration::from_secs(60);
/// How often a request looks for an answer before it asks by itself.
const ROUNDS_MAX: usize = 2;

/// What a zone engine is made of.
pub struct ZoneParts {
    /// Which zones there are.
    pub zones: Zones,
    /// This node's view of the cluster.
    pub view: Arc<dyn View>,
    /// The way to the origins.
    pub origins: Origins,
    /// Where what is kept is.
    pub cached: Cached,
    /// What is counted.
    pub metrics: Arc<ServingMetrics>,
    /// The way to other nodes, if there may be any.
    pub tiers: Option<Arc<dyn TierLink>>,
}

/// Serves zones.
#[derive(Clone)]
pub struct ZoneServer(Arc<Engine>);

pub(crate) struct Engine {
    pub(super) zones: Zones,
    pub(super) view: Arc<dyn View>,
    pub(super) origins: Origins,
    pub(super) shelf: SharedShelf,
    pub(super) flights: Flights,
    /// What is known not to be kept: nobody has to wait for anybody else's answer to it.
    pub(super) uncacheable: Cache<EntryKey, ()>,
    /// What is known to come in parts that cannot be kept: they are asked for as they are wanted.
    pub(super) partless: Cache<EntryKey, ()>,
    pub(super) metrics: Arc<ServingMetrics>,
    /// The other nodes; `None` on one that has none.
    pub(super) tiers: Option<Tiers>,
    /// The id of this node, if it is one of several.
    pub(super) own: Option<u64>,
    /// What tiers are known to pass through: the origin is asked for it without them.
    pub(super) past_tiers: Cache<EntryKey, ()>,
    /// The turns of requests of other nodes.
    pub(super) askers: Arc<Semaphore>,
    tunnels: Tunnels,
}

/// A request on its walk.
pub(super) struct Walk<'a> {
    pub(super) engine: &'a Arc<Engine>,
    zone: &'a Arc<Zone>,
    pub(super) asking: Arc<Asking>,
    directives: RequestDirectives,
    pub(super) key: CacheKey,
    age: ViewAge,
    id: &'a RequestId,
    /// The way to send it interim responses.
    interim: Option<Interim>,
    asked_as: AskedAs,
    /// What interim responses are told to, if another node asks.
    informational: Option<OnInformational>,
    trace: &'a Trace,
}

/// What is known of a request beside itself.
#[derive(Clone, Copy)]
struct Sight<'a> {
    age: ViewAge,
    id: &'a RequestId,
    trace: &'a Trace,
}

/// What is to be done for a request.
enum Plan {
    /// Answer with what is stored.
    Answer(Ready, CacheUsed),
    /// Answer with what is stored, and ask meanwhile.
    AnswerAndAsk(Ready),
    /// Ask.
    Ask(Box<Need>),
}

/// What is stored for a request, and may be its answer.
struct Ready {
    variant: Chosen,
    condition: Condition,
    /// As it is at hand.
    content: Kept,
}

/// Why the origin is asked, and what there is in case that it fails.
pub(super) struct Need {
    pub(super) why: Forward,
    pub(super) stored: Option<Variant>,
    pub(super) on_error: OnError,
    /// What is missing of what is stored, where the rest of that is good.
    pub(super) gap: Option<Gap>,
}

/// What ends a request without an answer of the origin.
pub(super) enum Refusal {
    Loop,
    Fenced,
    BandwidthSpent,
    TooManyUpgrades,
    NotStored,
    BadTarget,
    Origin(OriginError),
    Vanished,
    Shared,
}

impl ZoneServer {
    /// An engine of these parts.
    #[must_use]
    pub fn new(parts: ZoneParts) -> Self {
        let ZoneParts { zones, view, origins, cached, metrics, tiers } = parts;
        let shelf = SharedShelf::new(Shelf::new(cached));
        let remembered = || Cache::builder().max_capacity(UNCACHEABLE_MAX).time_to_live(UNCACHEABLE_FOR).build();
        Self(Arc::new(Engine {
            zones,
            view,
            origins,
            shelf,
            flights: Flights::new(FLIGHTS_MAX),
            uncacheable: remembered(),
            partless: remembered(),
            metrics,
            own: tiers.as_ref().map(|link| link.own().id),
            tiers: tiers.map(Tiers::new),
            past_tiers: remembered(),
            askers: Arc::new(Semaphore::new(ASKERS_MAX)),
            tunnels: Tunnels::new(),
        }))
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.0
    }

    /// The zone of a host.
    pub(crate) fn zone(&self, host: &str) -> Option<Arc<Zone>> {
        self.0.zones.load().get(host).cloned()
    }

    /// Takes no more requests that change the protocol, and ends the connections that are still there after `patience`.
    pub async fn end_upgrades(&self, patience: Duration) {
        self.0.tunnels.end(patience).await;
    }

    /// What would become of a request at this node, and why; `None` if it has no zone of that host. Nothing is asked for, and nothing
    /// changes.
    pub async fn explain(&self, question: &Question) -> Option<Explanation> {
        self.0.explain(question).await
    }

    /// Answers one request for `zone`, and notes how.
    pub(crate) async fn serve(
        &self,
        zone: &Arc<Zone>,
        request: ApiRequest,
        peer: PeerInfo,
        id: &RequestId,
        record: Option<&mut Pending>,
    ) -> Response<ResponseBody> {
        let engine = &self.0;
        let age = engine.view.age();
        let client = zone.meter.tally(unix_now_s());
        let (parts, body) = request.into_parts();
        let came = record.is_some().then(|| Came::new(parts.version, peer.secure, &parts.headers));
        let trace = Trace::default();
        // Shares what it stands in.
        let uri = parts.uri.clone();
        let head_only = parts.method == Method::HEAD;
        let walked = engine.walk(zone, parts, body, peer, Sight { age, id, trace: &trace }).await;
        let (used, outcome, mut response) = match walked {
            Ok((used, response)) => (used, Outcome::Zone, response),
            Err(refusal) => {
                let about = About { instance: Some(uri.path()), request_id: id, head_only };
                let (outcome, response) = refuse(&refusal, zone, about);
                (CacheUsed::Error, outcome, response)
            }
        };
        let source = response.extensions().get().map(|handed: &Handed| &handed.source);
        if let (Some(record), Some(came)) = (record, came) {
            record.zone(trace.told(zone, came, source));
        }
        engine.metrics.used(used);
        engine.metrics.record(outcome);
        if let Some(source) = source {
            engine.metrics.answered_by(source.tier);
        }
        used.count(&client);
        client.answered(response.status().as_u16());
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        response.body_mut().meter(Arc::clone(&engine.metrics), client, length);
        if age == ViewAge::Stale && zone.fenced == FencedZone::Serve {
            response.headers_mut().insert(X_NCORE_VIEW, http::HeaderValue::from_static("stale"));
        }
        response
    }
}

pub(super) type Answer = Result<(CacheUsed, Response<ResponseBody>), Refusal>;

impl Engine {
    async fn walk(self: &Arc<Self>, zone: &Arc<Zone>, mut parts: Parts, body: RequestBody, peer: PeerInfo, sight: Sight<'_>) -> Answer {
        let Sight { age, id, trace } = sight;
        if is_loop(zone, &parts.headers) {
            return Err(Refusal::Loop);
        }
        if age == ViewAge::Stale && zone.fenced == FencedZone::Refuse {
            return Err(Refusal::Fenced);
        }
        if zone.meter.allowance() == Allowance::Spent {
            return Err(Refusal::BandwidthSpent);
        }
        let target = parts.uri.path_and_query().cloned().filter(|target| target.as_str().starts_with('/')).ok_or(Refusal::BadTarget)?;
        let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
            || parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        let upgrading = Upgrading::of(&mut parts).filter(|_| !has_body);
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let key = CacheKey::of(zone, &target, &parts.headers);
        let directives = RequestDirectives::of(&parts.headers);
        let host = parts.headers.get(HOST).cloned().or_else(|| parts.uri.authority()?.as_str().try_into().ok());
        let asking = Arc::new(Asking {
            method: parts.method,
            target,
            headers: Asking::fields(parts.headers),
            host,
            remote: peer.remote.ip(),
            secure: peer.secure,
            version: parts.version,
        });
        let interim = body.interim().cloned();
        let walk =
            Walk { engine: self, zone, asking, directives, key, age, id, trace, interim, asked_as: AskedAs::Node, informational: None };
        if let Some(upgrading) = upgrading {
            return Box::pin(walk.upgrade(upgrading)).await;
        }
        if !reads {
            return Box::pin(walk.pass(body, Forward::Method)).await;
        }
        if has_body || walk.is_bypassed() {
            return Box::pin(walk.pass(body, Forward::Bypass)).await;
        }
        walk.answer_or_ask().await
    }

    /// The answer to another node, which is told nothing that is for viewers.
    pub(super) async fn answer_node(
        self: &Arc<Self>,
        zone: &Arc<Zone>,
        asking: Asking,
        id: &RequestId,
        asked_as: AskedAs,
        informational: Option<OnInformational>,
    ) -> Answer {
        let key = CacheKey::of(zone, &asking.target, &asking.headers);
        let directives = RequestDirectives::of(&asking.headers);
        let (age, trace, asking) = (ViewAge::Current, &Trace::default(), Arc::new(asking));
        Walk { engine: self, zone, asking, directives, key, age, id, trace, interim: None, asked_as, informational }.answer_or_ask().await
    }

    /// Ends what is kept under a key, and what is asked for under it.
    pub(super) async fn end(&self, key: &EntryKey) {
        self.flights.invalidate(key);
        self.shelf.remove(key).await;
    }
}

impl Engine {
    /// What somebody else is answered.
    async fn waited(&self, follower: &mut watch::Receiver<State>) -> State {
        let _waiting = During::of(&self.metrics.zone_waiting);
        answer(follower).await
    }
}

impl Walk<'_> {
    async fn answer_or_ask(&self) -> Answer {
        for round in 1.. {
            let landings = self.engine.flights.landings(&self.key.head);
            let need = match self.plan().await {
                Plan::Answer(ready, used) => return Ok(self.ready_answer(ready, used, None)),
                Plan::AnswerAndAsk(ready) => {
                    self.ask_in_background(&ready.variant);
                    return Ok(self.ready_answer(ready, CacheUsed::Stale, Some("revalidating")));
                }
                Plan::Ask(need) => need,
            };
            if self.directives.has(Flag::OnlyIfCached) && self.zone.reuse.requests == Requests::Obey {
                return Err(Refusal::NotStored);
            }
            // A future is as large as its largest part, and is copied with whatever holds it. What asks an origin is large, and a hit is to
            // carry none of it: so here and wherever an origin is asked it has a place of its own.
            if let Some(answer) = Box::pin(self.ask(&need, round, landings)).await {
                return answer;
            }
        }
        Err(Refusal::Vanished)
    }

    /// What is stored for this request, and what is due before it is used.
    async fn plan(&self) -> Plan {
        if self.age == ViewAge::Stale && self.zone.fenced == FencedZone::Revalidate {
            // Whatever is stored may have been purged, and this node would not know.
            return Plan::Ask(Box::new(Need { why: Forward::Stale, stored: None, on_error: OnError::Fail, gap: None }));
        }
        let newest_purge = self.newest_purge();
        let head = self.engine.shelf.head(&self.key.head).await;
        let Some(variant) = head.select(&self.asking.headers, newest_purge) else {
            let why = if head.variants.iter().any(|variant| variant.fill >= newest_purge) { Forward::VaryMiss } else { Forward::UriMiss };
            return Plan::Ask(Box::new(Need { why, stored: None, on_error: OnError::Fail, gap: None }));
        };
        let condition = variant.at(self.zone, unix_now_s());
        let judged = reuse(condition.stored(), &self.directives, self.zone.reuse);
        if let Reuse::Validate(on_error) = judged {
            let why = if condition.ttl_s() > 0 { Forward::Request } else { Forward::Stale };
            return Plan::Ask(Box::new(Need { why, stored: Some(Variant::clone(&variant)), on_error, gap: None }));
        }
        let content = match self.at_hand(&variant, newest_purge).await {
            Ok(content) => content,
            Err((first, last)) => return Plan::Ask(Box::new(Box::pin(self.need_of(&variant, first, last)).await)),
        };
        let ready = Ready { variant, condition, content };
        match judged {
            Reuse::StaleWhileRevalidate => Plan::AnswerAndAsk(ready),
            Reuse::Stale => Plan::Answer(ready, CacheUsed::Stale),
            Reuse::Fresh | Reuse::Validate(_) => Plan::Answer(ready, CacheUsed::Hit),
        }
    }

    /// A content as it is answered with, or the first slice that is wanted of it and is not there, and the last that is wanted with it. A
    /// content of one slice is as it stands there: then its answer is all here, and nothing has to be read while it is sent.
    async fn at_hand(&self, variant: &Variant, newest_purge: u64) -> Result<Kept, (u64, u64)> {
        if let Kept::Slices { object, length: 1..=SLICE_BYTES, .. } = variant.content
            && self.asking.method != Method::HEAD
        {
            let only = self.engine.shelf.slice(object, 0, variant.content.oldest_slice(newest_purge), self.sent()).await;
            if let Some(only) = only.filter(|only| only.len() as u64 == variant.content.length()) {
                return Ok(Kept::Inline(only));
            }
        }
        match self.missing(variant, newest_purge).await {
            None => Ok(variant.content.clone()),
            Some(missing) => Err(missing),
        }
    }

    /// How the answer goes. Between nodes all is enciphered.
    pub(super) fn sent(&self) -> Sent {
        if self.asked_as == AskedAs::Node && !self.asking.secure { Sent::AsItIs } else { Sent::Sealed }
    }

    /// Asks the origin, or waits for who asks it already. `None` if it is best to look again; so many flights had ended when it was looked last.
    async fn ask(&self, need: &Need, round: usize, landings: u32) -> Option<Answer> {
        if let Some(gap) = need.gap.as_ref().filter(|_| round <= ROUNDS_MAX) {
            return self.ask_for_gap(need, gap).await;
        }
        if self.asking.method == Method::HEAD || self.is_for_itself(need) {
            // What is stored is validated for everybody; what is not may be asked for as this viewer wants it.
            let wishes = if need.stored.is_some() && self.asking.method == Method::GET { Wishes::Kept } else { Wishes::Forwarded };
            return Some(self.ask_alone(need, wishes).await);
        }
        let (fill, newest_purge, way) = (self.engine.view.revision(), self.newest_purge(), self.way());
        let landings = (round < ROUNDS_MAX).then_some(landings);
        match self.engine.flights.board_since(landings, self.key.head, fill, newest_purge, &way) {
            Seat::Missed => None,
            Seat::None => Some(self.ask_alone(need, Wishes::Kept).await),
            Seat::Leader(flight) => {
                let (mut order, early) = self.order_early(need, Wishes::Kept, flight.fill);
                order.way = way;
                // It counts among those who wait until it reads.
                let _waits = flight.follow();
                let asked = early.until(self.engine.ask(order, Some(flight))).await;
                Some(self.answered_or_passed(need, asked).await)
            }
            Seat::Follower(mut follower) => match self.engine.waited(&mut follower).await {
                State::Filling(filling) if self.may_share(&filling.variant) && self.is_reached_by(&filling) => {
                    let found = self.found(&filling, &filling.variant.headers);
                    self.trace.follows();
                    let handling = forwarded(need.why, None, IsKept::Yes, Collapse::Yes);
                    Some(Ok(self.filling_answer(found, handling, &filling)))
                }
                State::Freshened(variant, source) if self.may_share(&variant) => {
                    self.trace.follows();
                    Some(self.answered(need, Some(Asked::Freshened(variant, source)), Collapse::Yes))
                }
                State::Failed => match self.stale(need) {
                    Some(answer) => Some(Ok(answer)),
                    None if round < ROUNDS_MAX => None,
                    // A thousand who ask by themselves now would not make it well.
                    None => Some(Err(Refusal::Shared)),
                },
                // It was a part that cannot be kept. Now that this is known, the whole may be asked for together.
                State::Alone if round < ROUNDS_MAX && self.engine.partless.contains_key(&self.key.head) => None,
                _ => {
                    // It waits for this flight no longer.
                    drop(follower);
                    Some(self.ask_alone(need, Wishes::Kept).await)
                }
            },
        }
    }

    async fn ask_alone(&self, need: &Need, wishes: Wishes) -> Answer {
        let (order, early) = self.order_early(need, wishes, self.engine.view.revision());
        let asked = early.until(self.engine.ask(order, None)).await;
        match wishes {
            Wishes::Kept => self.answered_or_passed(need, asked).await,
            Wishes::Forwarded => {
                if let (Some(stored), Some(Asked::Through(response))) = (&need.stored, &asked)
                    && self.asking.method == Method::HEAD
                    && response.status() == StatusCode::OK
                {
                    self.engine.heed_head(self.key.head, stored, response.headers()).await;
                }
                self.answered(need, asked, Collapse::No)
            }
        }
    }

    /// The answer to who has asked. A part that cannot be kept is another one than the viewer wants: what it wants is asked for as it is.
    async fn answered_or_passed(&self, need: &Need, asked: Option<Asked>) -> Answer {
        let is_other = |response: &Response<OriginBody>| response.status() == StatusCode::PARTIAL_CONTENT && !self.is_asked_as_it_is();
        if !matches!(&asked, Some(Asked::Through(response)) if is_other(response)) {
            return self.answered(need, asked, Collapse::No);
        }
        let (mut order, early) = self.order_early(need, Wishes::Forwarded, self.engine.view.revision());
        order.stored = None;
        let asked = early.until(self.engine.ask(order, None)).await;
        self.answered(need, asked, Collapse::No)
    }

    fn ask_in_background(&self, variant: &Variant) {
        let need = Need { why: Forward::Stale, stored: Some(variant.clone()), on_error: OnError::ServeStale, gap: None };
        let (fill, way) = (self.engine.view.revision(), self.way());
        if let Seat::Leader(flight) = self.engine.flights.board(self.key.head, fill, self.newest_purge(), &way) {
            let mut order = Ask { way, ..self.order(&need, Wishes::Kept, flight.fill) };
            Arc::make_mut(&mut order.asking).method = Method::GET;
            self.engine.ask(order, Some(flight)).set_off();
        }
    }

    /// An order of this viewer's, to whom interim responses go.
    fn order_early(&self, need: &Need, wishes: Wishes, fill: u64) -> (Ask, Early) {
        let (early, informational) = Early::to(self.interim.as_ref());
        let informational = informational.or_else(|| self.informational.clone());
        (Ask { informational, ..self.order(need, wishes, fill) }, early)
    }

    pub(super) fn order(&self, need: &Need, wishes: Wishes, fill: u64) -> Ask {
        // After the revision: what a purge has ended by then is not validated, nor what one may have ended that this node has missed.
        let is_in_doubt = self.age == ViewAge::Stale && self.zone.fenced == FencedZone::Revalidate;
        let newest_purge = if is_in_doubt { u64::MAX } else { self.newest_purge() };
        let stored = need.stored.clone().filter(|stored| self.asking.method == Method::GET && stored.fill >= newest_purge);
        let asked = self.part_asked().filter(|_| wishes == Wishes::Kept);
        Ask {
            zone: Arc::clone(self.zone),
            key: self.key.head,
            asking: Arc::clone(&self.asking),
            id: self.id.clone(),
            wishes,
            stored,
            on_error: need.on_error,
            fill,
            newest_purge,
            invalidations: self.engine.flights.invalidations(&self.key.head),
            informational: None,
            way: self.way(),
            span: asked.map(|asked| Span { asked, version: None, others: Others::Use }),
            answered: self.trace.asks(),
        }
    }

    /// The nodes that are asked before the origin.
    fn way(&self) -> Way {
        let (key, asked_as) = (&self.key.head, self.asked_as);
        let tiers = self.engine.tiers_for(self.zone, key, self.age);
        Way { asked_as, hops: tiers.map(|tiers| tiers.hops(self.zone, key, asked_as)).unwrap_or_default() }
    }

    /// The answer to who has asked.
    pub(super) fn answered(&self, need: &Need, asked: Option<Asked>, collapse: Collapse) -> Answer {
        match asked {
            Some(Asked::Filling(filling)) => {
                self.engine.uncacheable.invalidate(&self.key.head);
                self.engine.past_tiers.invalidate(&self.key.head);
                let fields = if collapse == Collapse::No { &filling.sent } else { &filling.variant.headers };
                let found = self.found(&filling, fields);
                Ok(self.filling_answer(found, forwarded(need.why, None, IsKept::Yes, collapse), &filling))
            }
            Some(Asked::Freshened(variant, source)) => {
                let handling = forwarded(need.why, Some(StatusCode::NOT_MODIFIED), IsKept::Yes, collapse);
                Ok(self.stored_answer(&variant, source, CacheUsed::Revalidated, handling, None))
            }
            Some(Asked::Through(response)) => {
                if is_failure(response.status())
                    && let Some(answer) = self.stale(need)
                {
                    return Ok(answer);
                }
                let is_of_all = response.status() == StatusCode::OK || !self.asking.headers.contains_key(RANGE);
                if self.asking.method == Method::GET && is_of_all && !is_failure(response.status()) && need.why != Forward::Request {
                    self.engine.uncacheable.insert(self.key.head, ());
                    let is_whole = !matches!(response.status().as_u16(), 206 | 304 | 412 | 416);
                    if is_whole && !self.directives.has(Flag::NoStore) {
                        self.engine.past_tiers.insert(self.key.head, ());
                    }
                }
                Ok(self.through(response, CacheUsed::Miss, need.why))
            }
            Some(Asked::Failed(error)) => self.stale(need).ok_or(Refusal::Origin(error)),
            None => self.stale(need).ok_or(Refusal::Vanished),
        }
    }

    /// What is stale, if it may be used when the origin fails.
    fn stale(&self, need: &Need) -> Option<(CacheUsed, Response<ResponseBody>)> {
        let variant = need.stored.as_ref().filter(|_| need.on_error == OnError::ServeStale)?;
        let source = Source::own(self.engine.own);
        Some(self.stored_answer(variant, source, CacheUsed::Stale, Handling::Hit, Some("stale-if-error")))
    }

    /// Sends the request on as it is, and its answer back.
    async fn pass(&self, body: RequestBody, why: Forward) -> Answer {
        let body: OriginBody = body.map_err(Into::into).boxed_unsync();
        let mut request: Request<OriginBody> = self.asking.request(self.zone, self.id, Wishes::Forwarded, None, body);
        let (early, informational) = Early::to(self.interim.as_ref());
        if let Some(informational) = informational {
            request.extensions_mut().insert(informational);
        }
        let mut response = early.until(Box::pin(send(&self.engine.origins, &self.zone.origins, request))).await.map_err(Refusal::Origin)?;
        trace::note(&self.trace.asks(), response.extensions().get());
        response.extensions_mut().insert(Handed::here(0, Source::origin(self.engine.own)));
        let ended = self.ended_by(&response);
        for key in &ended {
            self.engine.end(key).await;
        }
        self.engine.end_elsewhere(self.zone, &ended).await;
        Ok(self.through(response, CacheUsed::Bypass, why))
    }

    /// Has the origin change the protocol, and joins the viewer with it. Its answer is nobody else's.
    async fn upgrade(&self, upgrading: Upgrading) -> Answer {
        let place = self.engine.tunnels.place().ok_or(Refusal::TooManyUpgrades)?;
        let request = self.asking.request(self.zone, self.id, Wishes::Forwarded, None, empty());
        let mut request = request.map(drop);
        request.headers_mut().insert(UPGRADE, upgrading.protocol());
        let answer = self.engine.origins.upgrade(&self.zone.origins, request).await.map_err(Refusal::Origin)?;
        let Switched { head, tunnel } = match answer {
            UpgradeAnswer::Switched(switched) => switched,
            UpgradeAnswer::Refused(response) => {
                let mut response = response.map(|body| body.map_err(Into::into).boxed_unsync());
                response.extensions_mut().insert(Handed::here(0, Source::origin(self.engine.own)));
                trace::note(&self.trace.asks(), response.extensions().get());
                return Ok(self.through(response, CacheUsed::Bypass, Forward::Bypass));
            }
        };
        let (zones, zone, metrics) = (Zones::clone(&self.engine.zones), Arc::clone(self.zone), Arc::clone(&self.engine.metrics));
        self.engine.tunnels.join(place, upgrading, tunnel, Owner { zones, zone, metrics });
        let mut response = head.map(|()| ResponseBody::empty());
        let handling = forwarded(Forward::Bypass, None, IsKept::No, Collapse::No);
        response.extensions_mut().insert(Handed::here(0, Source::origin(self.engine.own)));
        self.say(&Told { used: CacheUsed::Bypass, handling, ttl_s: None, detail: None }, &mut response);
        Ok((CacheUsed::Bypass, response))
    }

    /// The keys under which a write ends what is stored (RFC 9111 §4.4).
    fn ended_by(&self, response: &Response<OriginBody>) -> Vec<EntryKey> {
        let Some(own) = self.own_uri() else { return Vec::new() };
        let uris = invalidation::invalidated(&self.asking.method, &own, response.status(), response.headers());
        let targets = uris.iter().filter_map(Uri::path_and_query);
        targets.map(|target| CacheKey::of(self.zone, target, &self.asking.headers).head).collect()
    }

    fn own_uri(&self) -> Option<Uri> {
        let scheme = if self.asking.secure { Scheme::HTTPS } else { Scheme::HTTP };
        let authority: Authority = self.asking.host.as_ref()?.to_str().ok()?.parse().ok()?;
        Uri::builder().scheme(scheme).authority(authority).path_and_query(PathAndQuery::clone(&self.asking.target)).build().ok()
    }

    fn ready_answer(&self, ready: Ready, used: CacheUsed, detail: Option<&'static str>) -> (CacheUsed, Response<ResponseBody>) {
        let Ready { variant, condition, content } = ready;
        let kept = Arc::clone(&variant.headers);
        let found = Found {
            status: variant.status,
            headers: HeaderMap::clone(&kept),
            kept,
            age_s: condition.age_s,
            content: Content::Kept(content),
        };
        let handed = Handed::here(variant.fill, Source::own(self.engine.own));
        self.tell(found, handed, &Told { used, handling: Handling::Hit, ttl_s: Some(condition.ttl_s()), detail })
    }

    fn stored_answer(
        &self,
        variant: &Variant,
        source: Source,
        used: CacheUsed,
        handling: Handling,
        detail: Option<&'static str>,
    ) -> (CacheUsed, Response<ResponseBody>) {
        let condition = variant.at(self.zone, unix_now_s());
        let found = Found {
            status: variant.status,
            headers: HeaderMap::clone(&variant.headers),
            kept: Arc::clone(&variant.headers),
            age_s: condition.age_s,
            content: Content::Kept(variant.content.clone()),
        };
        self.tell(found, Handed::here(variant.fill, source), &Told { used, handling, ttl_s: Some(condition.ttl_s()), detail })
    }

    /// What is on its way, with these fields of it. What has come whole by now is as good as kept.
    fn found(&self, filling: &Arc<Filling>, fields: &HeaderMap) -> Found {
        let variant = &filling.variant;
        let content = filling.whole().map_or_else(|| Content::Filling(Arc::clone(filling)), |bytes| Content::Kept(Kept::Inline(bytes)));
        let kept = Arc::clone(&variant.headers);
        Found { status: variant.status, headers: fields.clone(), kept, age_s: variant.age_s(unix_now_s()), content }
    }

    /// The answer with what is on its way in `filling`.
    fn filling_answer(&self, found: Found, handling: Handling, filling: &Filling) -> (CacheUsed, Response<ResponseBody>) {
        let handed = Handed::here(filling.variant.fill, filling.source.clone());
        self.tell(found, handed, &Told { used: CacheUsed::Miss, handling, ttl_s: None, detail: None })
    }

    /// An answer, with what is said of it.
    fn tell(&self, found: Found, handed: Handed, told: &Told) -> (CacheUsed, Response<ResponseBody>) {
        let mut response = self.answer(found);
        response.extensions_mut().insert(handed);
        self.say(told, &mut response);
        (told.used, response)
    }

    /// Says how a response came about: in its fields if it is for a viewer, and beside them if it is for another node, where they are as the
    /// origin made them.
    fn say(&self, told: &Told, response: &mut Response<ResponseBody>) {
        match self.asked_as {
            AskedAs::Node => told.tell(self.zone, response),
            AskedAs::Region => told.note(REGION_NAME, response),
            AskedAs::Shield => told.note(SHIELD_NAME, response),
        }
    }

    fn answer(&self, found: Found) -> Response<ResponseBody> {
        let place = self.place(&found);
        // A viewer has it with the content. A node may have that with a type that has been corrected since (RFC 9111 §3.2).
        let kind = found.headers.get(CONTENT_TYPE).filter(|_| self.asked_as != AskedAs::Node).cloned();
        let mut response = found.answer(&self.asking.method, &self.asking.headers, unix_now_s(), &place);
        if let Some(kind) = kind.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    }

    /// An answer of the origin that is nobody else's.
    fn through(&self, response: Response<OriginBody>, used: CacheUsed, why: Forward) -> (CacheUsed, Response<ResponseBody>) {
        let mut response = response.map(ResponseBody::streamed);
        validation::strip_hops(response.headers_mut());
        self.say(&Told { used, handling: forwarded(why, None, IsKept::No, Collapse::No), ttl_s: None, detail: None }, &mut response);
        (used, response)
    }

    /// Whether an answer to somebody else is one to this request: it is for such requests, and would be used if it were stored.
    pub(super) fn may_share(&self, variant: &Variant) -> bool {
        let condition = variant.at(self.zone, unix_now_s());
        let reusable = reuse(condition.stored(), &self.directives, self.zone.reuse);
        variant.vary.matches(&self.asking.headers) && matches!(reusable, Reuse::Fresh | Reuse::Stale | Reuse::StaleWhileRevalidate)
    }

    /// Whether nobody else has anything of what this request is answered with.
    fn is_for_itself(&self, need: &Need) -> bool {
        self.directives.has(Flag::NoStore)
            || self.engine.uncacheable.contains_key(&self.key.head)
            || (need.stored.is_none() && self.wants_a_part() && self.part_asked().is_none())
    }

    /// Whether it wants bytes that do not begin where the content does.
    fn wants_a_part(&self) -> bool {
        self.asking.headers.get(RANGE).is_some_and(|range| !range.as_bytes().starts_with(b"bytes=0-"))
    }

    fn is_bypassed(&self) -> bool {
        self.zone.bypassed_by(self.asking.target.path(), &self.asking.headers).is_some()
    }

    pub(super) fn newest_purge(&self) -> u64 {
        self.engine.view.newest_purge(self.zone.id, &self.key.path)
    }
}

fn forwarded(why: Forward, status: Option<StatusCode>, kept: IsKept, collapse: Collapse) -> Handling {
    Handling::Forwarded { why, status, kept, collapse }
}

fn refuse(refusal: &Refusal, zone: &Zone, about: About<'_>) -> (Outcome, Response<ResponseBody>) {
    let (status, outcome, detail) = match refusal {
        Refusal::Loop => (StatusCode::LOOP_DETECTED, Outcome::LoopDetected, "the request has been through this zone before".to_owned()),
        Refusal::Fenced => (
            StatusCode::SERVICE_UNAVAILABLE,
            Outcome::Fenced,
            "this node has lost touch with the cluster, and cannot say now what may be served of this zone".to_owned(),
        ),
        Refusal::BandwidthSpent => (
            StatusCode::FORBIDDEN,
            Outcome::BandwidthSpent,
            "as much was served in 30 days as the plan of this zone's client allows".to_owned(),
        ),
        Refusal::TooManyUpgrades => (
            StatusCode::SERVICE_UNAVAILABLE,
            Outcome::NodeBusy,
            "this node has as many connections of other protocols as it may have, or is about to stop".to_owned(),
        ),
        Refusal::NotStored => (
            StatusCode::GATEWAY_TIMEOUT,
            Outcome::NotStored,
            "the request is to be answered from the cache alone, and nothing is stored for it".to_owned(),
        ),
        Refusal::BadTarget => (StatusCode::BAD_REQUEST, Outcome::BadPath, "the request has no path".to_owned()),
        Refusal::Origin(error) => {
            tracing::debug!(zone = zone.id, error = error as &dyn std::error::Error, "an origin has not answered");
            let outcome = match error.status() {
                StatusCode::GATEWAY_TIMEOUT => Outcome::OriginLate,
                StatusCode::SERVICE_UNAVAILABLE => Outcome::OriginBusy,
                _ => Outcome::OriginFailed,
            };
            // Not where the origin is: viewers who knew could go past the cache.
            (error.status(), outcome, format!("the origin has not answered: {}", error.kind().describe()))
        }
        Refusal::Shared => {
            (StatusCode::BAD_GATEWAY, Outcome::OriginFailed, "the origin has failed all who asked for this at the same time".to_owned())
        }
        Refusal::Vanished => (StatusCode::BAD_GATEWAY, Outcome::OriginFailed, "the origin was not asked".to_owned()),
    };
    let mut response = problem::respond(status, outcome, &detail, about);
    let headers = response.headers_mut();
    headers.insert(X_CACHE, CacheUsed::Error.header());
    (outcome, response)
}

pub(super) fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

const X_NCORE_VIEW: http::HeaderName = http::HeaderName::from_static("x-ncore-view");
