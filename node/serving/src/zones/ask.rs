//! Asking the origin, and keeping what it answers as far as it may be kept.
//!
//! What is kept whole gets its head when its last byte has come. A part gets it before its first: it says how long the whole is and by what
//! its version is known, and which slices are there shows when they are looked for.

use std::{borrow::Cow, mem, ops::Range, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::poll;
use http::{
    HeaderMap, HeaderName, Response, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
        LAST_MODIFIED, RANGE,
    },
};
use http_body_util::{BodyExt, Empty};
use ncore_cache::{
    freshness::Times,
    partial::{Part, PartAsked, StrongValidator, is_same_version},
    range::ByteRange,
    reuse::{Mark, OnError},
    storable::{Exchange, Storable, storable},
    targeted::Directives,
    validation::{self, Selected},
    vary::{self, VariantKey},
};
use ncore_origin::{OnInformational, OriginError};
use ncore_store::cached::EntryKey;
use tokio::time::timeout;

use super::{
    content::{GRID, SLICE_BYTES},
    engine::Engine,
    errand::Errand,
    filling::{End, Filling},
    flight::{Flight, State},
    origin::OriginBody,
    tiers::{Handed, Source, Way},
    trace::{self, WhoAnswered},
    upstream::{Asking, Wishes},
    variant::{Came, Kept, TARGETS, Variant, Version, kept_fields, lifetime},
    zone::{Authorised, Zone},
};
use crate::{metrics::During, request_id::RequestId};

/// What is asked, and under which circumstances.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) zone: Arc<Zone>,
    pub(crate) key: EntryKey,
    pub(crate) asking: Arc<Asking>,
    pub(crate) id: RequestId,
    pub(crate) wishes: Wishes,
    /// What is stored and may still be valid.
    pub(crate) stored: Option<Variant>,
    /// What to do if the origin fails.
    pub(crate) on_error: OnError,
    /// The revision that this node has applied.
    pub(crate) fill: u64,
    /// The newest purge that is about it; what is stored and older than that has no part in the answer.
    pub(crate) newest_purge: u64,
    /// How often what is under the key was invalidated.
    pub(crate) invalidations: u32,
    /// What interim responses are told to.
    pub(crate) informational: Option<OnInformational>,
    /// The nodes that are asked before the origin.
    pub(crate) way: Way,
    /// Which part of it, if not all.
    pub(crate) span: Option<Span>,
    /// Where the origin that answers is noted.
    pub(crate) answered: WhoAnswered,
}

/// A part that the origin is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) asked: PartAsked,
    /// What is stored, and lacks it.
    pub(crate) version: Option<Version>,
    pub(crate) others: Others,
}

/// What becomes of another version than the one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// It is the answer.
    Use,
    /// It is good for nothing: the beginning of the old one has been sent.
    Drop,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The answer is being kept.
    Filling(Arc<Filling>),
    /// What is stored is valid, as a tier or the origin says.
    Freshened(Arc<Variant>, Source),
    /// The answer is not kept.
    Through(Response<OriginBody>),
    /// There is none.
    Failed(OriginError),
}

/// The longest content that is kept beside its head, in bytes.
const INLINE_MAX: usize = 16 << 10;

/// The longest content that is kept, in bytes.
const OBJECT_MAX: u64 = 64 << 30;

/// How long the fields of a request may be, in bytes, for every origin to take it.
const USUAL_HEAD_BYTES: usize = 4 << 10;

/// How long an origin may pause in a content before it counts as broken off.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Engine {
    /// Asks the tiers or the origin, which goes on if whoever waits goes away. What is answered goes to who waits, to those who follow `flight`,
    /// and to the shelf.
    pub(crate) fn ask(self: &Arc<Self>, ask: Ask, flight: Option<Arc<Flight>>) -> Errand<Asked> {
        let engine = Arc::clone(self);
        Errand::new(|leader| async move {
            let _under_way = During::of(&engine.metrics.zone_asks);
            let landing = Landing { engine: &engine, flight: flight.as_ref() };
            let (asked, body) = engine.answer_to(&ask).await;
            let (Asked::Filling(filling), Some(body)) = (&asked, body) else {
                landing.tell(&asked);
                // The viewer may have gone away.
                let _ = leader.send(asked);
                return;
            };
            let filling = Arc::clone(filling);
            let waiting = || flight.as_ref().map_or(0, |flight| flight.waiting());
            let mut fill = pin!(engine.fill(&ask, &filling, body, waiting));
            // What has come with the head is there when it is told: a short content is whole by then, and is sent with the head.
            let is_kept = poll!(fill.as_mut()).is_ready();
            landing.tell(&asked);
            let _ = leader.send(asked);
            if !is_kept {
                fill.await;
            }
        })
    }

    async fn answer_to(&self, ask: &Ask) -> (Asked, Option<OriginBody>) {
        let mut stored = ask.stored.as_ref();
        loop {
            let mut request = ask.asking.request(&ask.zone, &ask.id, ask.wishes, stored.map(|variant| &*variant.headers), empty());
            if let Some(informational) = &ask.informational {
                request.extensions_mut().insert(informational.clone());
            }
            if let Some(Span { asked, version, .. }) = &ask.span {
                // With `If-Range` an origin that has another version sends that at once. One that does not know the condition names the
                // version of the part, which is compared in any case.
                asked.ask(request.headers_mut(), version.as_ref().and_then(Version::validator).as_ref());
            }
            let (response, times) = match self.forward(ask, request).await {
                Ok(answered) => answered,
                Err(error) => return (Asked::Failed(error), None),
            };
            trace::note(&ask.answered, response.extensions().get());
            match stored.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
                Some(known) if validation::selected(response.headers(), &known.headers) == Selected::This => {
                    let Handed { fill, source, .. } = handed(&response);
                    let variant = known.freshened(response.headers(), times, fill);
                    self.keep(ask, variant.clone()).await;
                    return (Asked::Freshened(Arc::new(variant), source), None);
                }
                // It is about something that is not stored here: then all of it is wanted.
                Some(_) => stored = None,
                None => return self.judge(ask, response, times).await,
            }
        }
    }

    /// Whether and as what a response is kept.
    async fn judge(&self, ask: &Ask, response: Response<OriginBody>, times: Times) -> (Asked, Option<OriginBody>) {
        let Some(span) = &ask.span else { return judge_whole(ask, response, times) };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let part = span.asked.received(response.headers()).ok().filter(|_| is_part);
        if let Some(version) = span.version.as_ref().filter(|_| !is_failure(response.status()))
            && !part.is_some_and(|part| is_same_version(&version.headers, version.length, response.headers(), part.size))
        {
            self.drop_version(ask.key, version.object).await;
            if span.others == Others::Drop {
                return (Asked::Through(response), None);
            }
        }
        if !is_part {
            return judge_whole(ask, response, times);
        }
        let filling = match part {
            Some(part) => self.begin_part(ask, part, response.headers(), times, handed(&response)).await,
            None => None,
        };
        match filling {
            Some(filling) => (Asked::Filling(Arc::new(filling)), Some(response.into_body())),
            None => {
                self.partless.insert(ask.key, ());
                (Asked::Through(response), None)
            }
        }
    }

    /// Begins to keep a part; `None` if it cannot be kept.
    async fn begin_part(&self, ask: &Ask, part: Part, answer: &HeaderMap, times: Times, handed: Handed) -> Option<Filling> {
        let Handed { fill, source, .. } = handed;
        let mut fresh = to_keep(ask, StatusCode::OK, answer, times, fill).filter(|_| part.size <= OBJECT_MAX)?;
        let mut sent = answer.clone();
        validation::strip_hops(&mut sent);
        for of_part in &OF_A_PART {
            Arc::make_mut(&mut fresh.headers).remove(of_part);
            sent.remove(of_part);
        }
        let version = ask.span.as_ref().and_then(|span| span.version.as_ref());
        let version = version.filter(|version| is_same_version(&version.headers, version.length, answer, part.size));
        if part.is_whole() && version.is_none() {
            return Some(Filling::new(fresh, sent, source, rand::random(), Some(part.size)));
        }
        let validator = StrongValidator::of(answer)?;
        if StrongValidator::of(&fresh.headers) != Some(validator) {
            return None;
        }
        let (first, last) = (part.range.first(), part.range.last());
        let variant = self.combine(ask, version, fresh, answer, part.size).await;
        let object = variant.content.object()?;
        Some(Filling::of_part(variant, sent, source, object, first..last + 1, fill))
    }

    /// The response that a part belongs to: of what is stored, with the fields that have come with the part (RFC 9111 §3.4), or a new one.
    async fn combine(&self, ask: &Ask, version: Option<&Version>, fresh: Variant, answer: &HeaderMap, size: u64) -> Variant {
        let (vary, times, fill) = (fresh.vary.clone(), fresh.times, fresh.fill);
        let object = version.map_or_else(rand::random, |version| version.object);
        let since = version.map_or(fill, |version| version.since);
        let mut combined = Variant { content: Kept::Slices { object, length: size, since, came: Came::Part }, ..fresh };
        self.shelf
            .change(ask.key, |head| {
                let is_of_it = |known: &&Variant| {
                    known.fill >= ask.newest_purge
                        && known.status == StatusCode::OK
                        && known.vary == vary
                        && known.content.object().is_some_and(|known| version.is_none_or(|version| version.object == known))
                        && is_same_version(&known.headers, known.content.length(), answer, size)
                };
                let known = head.variants.iter().find(is_of_it);
                if let Some(known) = known {
                    combined = known.freshened(answer, times, fill.max(known.fill));
                }
                // What was stored of a version may be gone by now, and then its slices are for the responses under way.
                let is_wanted = known.is_some() || version.is_none();
                if is_wanted && self.flights.invalidations(&ask.key) == ask.invalidations {
                    head.put(combined.clone());
                }
            })
            .await;
        combined
    }

    /// Ends the freshness of what is stored, if a response to HEAD says that the origin has another version (RFC 9111 §4.3.5).
    pub(super) async fn heed_head(&self, key: EntryKey, stored: &Variant, answer: &HeaderMap) {
        if !validation::is_other_version(answer, &stored.headers, stored.content.length()) {
            return;
        }
        let is_it = |known: &&mut Variant| known.vary == stored.vary && known.times == stored.times;
        self.shelf.change(key, |head| head.variants.iter_mut().filter(is_it).for_each(|known| known.mark = Mark::Stale)).await;
    }

    /// Drops what is stored of a version: the origin has another one.
    async fn drop_version(&self, key: EntryKey, object: u128) {
        self.shelf.change(key, |head| head.variants.retain(|variant| variant.content.object() != Some(object))).await;
    }

    /// Reads a content to its end, and keeps it. `followers` says how many wait who have not begun to read.
    async fn fill(&self, ask: &Ask, filling: &Filling, body: OriginBody, followers: impl Fn() -> usize) {
        let Filling { object, fill, .. } = *filling;
        let mut slices = Slicing::new(filling);
        let end = self.receive(filling, &mut slices, body, followers).await;
        let in_slices = |length, came| Kept::Slices { object, length, since: fill, came };
        let content = match (end, slices.finish()) {
            (End::Whole, (0, bytes)) if bytes.len() <= INLINE_MAX && filling.part.is_none() => Some(Kept::Inline(bytes)),
            (End::Whole, (number, last)) => {
                if !last.is_empty() {
                    self.keep_slice(filling, number, last);
                }
                // The head of a part is there already.
                filling.part.is_none().then(|| in_slices(filling.received(), Came::Whole))
            }
            // What has come is worth something if the rest of the same version can be asked for.
            (End::Broken, (1.., _)) if filling.part.is_none() && StrongValidator::of(&filling.variant.headers).is_some() => {
                filling.length.filter(|_| filling.variant.status == StatusCode::OK).map(|length| in_slices(length, Came::Part))
            }
            (End::Broken, _) => None,
        };
        if let Some(content) = content {
            self.keep(ask, Variant { content, ..filling.variant.clone() }).await;
        }
        filling.finish(end);
    }

    /// Reads a content, and keeps the slices of it that are complete.
    async fn receive(&self, filling: &Filling, slices: &mut Slicing, mut body: OriginBody, followers: impl Fn() -> usize) -> End {
        let end = filling.part.as_ref().map_or(OBJECT_MAX, |part| part.end);
        loop {
            match timeout(PAUSE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    if filling.received() + bytes.len() as u64 > end {
                        tracing::debug!("an origin sent more than it may");
                        return End::Broken;
                    }
                    let mut rest = &bytes[..];
                    while let Some((number, slice)) = slices.add(&mut rest) {
                        self.keep_slice(filling, number, slice);
                    }
                    filling.push(bytes, &followers).await;
                }
                Ok(None) if filling.part.is_some() && filling.received() < end => return End::Broken,
                Ok(None) => return End::Whole,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "an origin broke off its response");
                    return End::Broken;
                }
                Err(_) => {
                    tracing::debug!("an origin stalled in its response");
                    return End::Broken;
                }
            }
            if filling.is_forsaken() {
                return End::Broken;
            }
        }
    }

    fn keep_slice(&self, filling: &Filling, number: u64, slice: Bytes) {
        match filling.part {
            // The object has just got its name.
            None => self.shelf.put_new_slice(filling.object, number, filling.fill, slice),
            Some(_) => self.shelf.put_slice(filling.object, number, filling.fill, slice),
        }
    }

    /// Keeps a variant, unless what is under its key was invalidated since it was asked for.
    async fn keep(&self, ask: &Ask, variant: Variant) {
        self.shelf
            .change(ask.key, |head| {
                if self.flights.invalidations(&ask.key) == ask.invalidations {
                    head.put(variant);
                }
            })
            .await;
    }
}

/// A content on its way into slices. Each has a buffer of its own, which is all that is kept alive with it.
struct Slicing {
    slice: Vec<u8>,
    number: u64,
    /// Bytes of a slice of which the beginning does not come.
    skip: u64,
    /// The numbers of the slices that come whole, if that is not all.
    complete: Option<Range<u64>>,
}

impl Slicing {
    fn new(filling: &Filling) -> Self {
        let expected = filling.length.unwrap_or(INLINE_MAX as u64).min(SLICE_BYTES);
        let slice = Vec::with_capacity(usize::try_from(expected).unwrap_or(INLINE_MAX));
        let part = filling.part.as_ref().and_then(|part| {
            let range = ByteRange::new(part.start, part.end.checked_sub(1)?)?;
            Some(Part { range, size: filling.length? })
        });
        let Some(part) = part else { return Self { slice, number: 0, skip: 0, complete: None } };
        let complete = GRID.complete(part);
        let skip = complete.start.saturating_mul(SLICE_BYTES).saturating_sub(part.range.first());
        Self { slice, number: complete.start, skip, complete: Some(complete) }
    }

    /// Takes bytes from the front of `rest`, all of them or up to the end of a slice, which is then given with its number.
    fn add(&mut self, rest: &mut &[u8]) -> Option<(u64, Bytes)> {
        let skipped = rest.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= skipped as u64;
        *rest = &rest[skipped..];
        let slice_bytes = usize::try_from(SLICE_BYTES).unwrap_or(usize::MAX);
        let (now, later) = rest.split_at(rest.len().min(slice_bytes - self.slice.len()));
        self.slice.extend_from_slice(now);
        *rest = later;
        if self.slice.len() < slice_bytes {
            return None;
        }
        let full = mem::replace(&mut self.slice, Vec::with_capacity(slice_bytes.min(later.len().max(INLINE_MAX))));
        self.number += 1;
        Some((self.number - 1, Bytes::from(full.into_boxed_slice())))
    }

    /// The last slice, which may be empty, and its number.
    fn finish(self) -> (u64, Bytes) {
        let is_complete = self.complete.is_none_or(|complete| complete.contains(&self.number));
        let last = if is_complete { self.slice } else { Vec::new() };
        (self.number, Bytes::from(last.into_boxed_slice()))
    }
}

/// Ends a flight when its task ends, however it does.
struct Landing<'a> {
    engine: &'a Engine,
    flight: Option<&'a Arc<Flight>>,
}

impl Landing<'_> {
    fn tell(&self, asked: &Asked) {
        let Some(flight) = self.flight else { return };
        flight.tell(match asked {
            Asked::Filling(filling) => State::Filling(Arc::clone(filling)),
            Asked::Freshened(variant, source) => State::Freshened(Arc::clone(variant), source.clone()),
            Asked::Through(response) if is_failure(response.status()) => State::Failed,
            Asked::Through(_) => State::Alone,
            Asked::Failed(_) => State::Failed,
        });
        if !matches!(asked, Asked::Filling(_)) {
            self.engine.flights.land(flight);
        }
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight {
            self.engine.flights.land(flight);
        }
    }
}

/// The statuses for which what is stale may be used instead (RFC 5861 §4).
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether and as what a response is kept that is not a part.
fn judge_whole(ask: &Ask, response: Response<OriginBody>, times: Times) -> (Asked, Option<OriginBody>) {
    let Handed { fill, source, .. } = handed(&response);
    let Some(variant) = to_keep(ask, response.status(), response.headers(), times, fill) else {
        return (Asked::Through(response), None);
    };
    let length = length(response.headers());
    let (head, body) = response.into_parts();
    let mut sent = head.headers;
    validation::strip_hops(&mut sent);
    let filling = Filling::new(variant, sent, source, rand::random(), length);
    (Asked::Filling(Arc::new(filling)), Some(body))
}

/// A response as it is kept; `None` if it is not.
fn to_keep(ask: &Ask, status: StatusCode, response: &HeaderMap, times: Times, fill: u64) -> Option<Variant> {
    let Ask { zone, asking, .. } = ask;
    // What is stale is better than a failure.
    if is_failure(status) && ask.on_error == OnError::ServeStale {
        return None;
    }
    // The answer to a condition or for a range is nobody else's, unless it is the whole.
    let is_special = ask.span.is_some() || (ask.wishes == Wishes::Forwarded && is_special(&asking.headers));
    if status != StatusCode::OK && is_special {
        return None;
    }
    // It may be about this request, and have nothing to do with what others get for the same URL.
    if is_about_head(status) && head_bytes(&asking.headers) > USUAL_HEAD_BYTES {
        return None;
    }
    let directives = Directives::of(response, &TARGETS);
    let lifetime = lifetime(status, response, &directives, times, &zone.ttl);
    let request = without_authorization(asking, zone);
    let exchange = Exchange { method: &asking.method, request: &request, status, response };
    if storable(exchange, &directives, lifetime.source, zone.cookies) != Storable::Yes {
        return None;
    }
    let said = directives.get();
    let may_be_stale = said.stale_if_error_s.is_some() || said.stale_while_revalidate_s.is_some();
    let is_useful = lifetime.seconds > 0 || may_be_stale || response.contains_key(ETAG) || response.contains_key(LAST_MODIFIED);
    if !is_useful || length(response).is_some_and(|length| length > OBJECT_MAX) {
        return None;
    }
    let vary = VariantKey::of(&vary::fields(response).ok()?, &asking.headers);
    let headers = Arc::new(kept_fields(response, &directives, times.received_s));
    // Its content is known at its end.
    let content = Kept::Inline(Bytes::new());
    Some(Variant { vary, status, headers, times, fill, mark: Mark::None, content })
}

/// The fields of a request as far as they decide whether its answer is kept.
fn without_authorization<'a>(asking: &'a Asking, zone: &Zone) -> Cow<'a, HeaderMap> {
    let mut request = Cow::Borrowed(&asking.headers);
    if zone.authorised == Authorised::Keep && request.contains_key(AUTHORIZATION) {
        request.to_mut().remove(AUTHORIZATION);
    }
    request
}

/// Where a response came from; nothing is known to hold of one that does not say.
fn handed(response: &Response<OriginBody>) -> Handed {
    response.extensions().get().cloned().unwrap_or(Handed::here(0, Source::origin(None)))
}

/// What says something of the bytes of one message, and nothing of the whole (RFC 9110 §14.4, RFC 9530 §2).
const OF_A_PART: [HeaderName; 4] =
    [CONTENT_RANGE, CONTENT_LENGTH, HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")];
/// Whether an answer with this status may be about the head of the request, which is no part of the key.
fn is_about_head(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 413 | 414 | 431)
}

fn head_bytes(request: &HeaderMap) -> usize {
    request.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn is_special(request: &HeaderMap) -> bool {
    request.contains_key(RANGE) || has_conditions(request)
}

/// Whether a viewer wants something only on a condition.
pub(crate) fn has_conditions(request: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE].iter().any(|name| request.contains_key(name))
}

/// The length of a content that its origin has said. Of several lines hyper accepts none that differ.
fn length(response: &HeaderMap) -> Option<u64> {
    response.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn empty() -> OriginBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
