//! Asking the origin, and keeping what it answers as far as it may be kept.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE},
};
use http_body_util::{BodyExt, Empty};
use ncore_cache::{
    freshness::Times,
    reuse::{Mark, OnError},
    storable::{Exchange, Storable, storable},
    targeted::Directives,
    validation::{self, Selected},
    vary::{self, VariantKey},
};
use ncore_origin::{OnInformational, OriginError};
use ncore_store::cached::EntryKey;
use tokio::{sync::oneshot, time::timeout};

use super::{
    content::SLICE_BYTES,
    engine::{Engine, unix_now_s},
    filling::{End, Filling},
    flight::{Flight, State},
    origin::OriginBody,
    tiers::{Handed, Hop, Tier},
    upstream::{Asking, Wishes},
    variant::{Kept, TARGETS, Variant, kept_fields, lifetime},
    zone::{Authorised, Zone},
};
use crate::request_id::RequestId;

/// What is asked, and under which circumstances.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) zone: Arc<Zone>,
    pub(crate) key: EntryKey,
    pub(crate) asking: Asking,
    pub(crate) id: RequestId,
    pub(crate) wishes: Wishes,
    /// What is stored and may still be valid.
    pub(crate) stored: Option<Variant>,
    /// What to do if the origin fails.
    pub(crate) on_error: OnError,
    /// The revision that this node has applied.
    pub(crate) fill: u64,
    /// How often what is under the key was invalidated.
    pub(crate) invalidations: u64,
    /// What interim responses are told to.
    pub(crate) informational: Option<OnInformational>,
    /// The nodes that are asked before the origin.
    pub(crate) hops: Vec<Hop>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The answer is being kept.
    Filling(Arc<Filling>),
    /// What is stored is valid, as the cache of a tier or the origin says.
    Freshened(Arc<Variant>, Tier),
    /// The answer is not kept.
    Through(Response<OriginBody>),
    /// There is none.
    Failed(OriginError),
}

/// The longest content that is kept beside its head, in bytes.
const INLINE_MAX: usize = 16 << 10;

/// The longest content that is kept, in bytes.
const OBJECT_MAX: u64 = 64 << 30;

/// How long an origin may pause in a content before it counts as broken off.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Engine {
    /// Asks the tiers or the origin, in a task of its own. What it answers goes to the receiver, to those who follow `flight`, and to the shelf.
    pub(crate) fn ask(self: &Arc<Self>, ask: Ask, flight: Option<Arc<Flight>>) -> oneshot::Receiver<Asked> {
        let (leader, answer) = oneshot::channel();
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let landing = Landing { engine: &engine, flight: flight.as_ref() };
            let (asked, body) = engine.answer_to(&ask).await;
            landing.tell(&asked);
            let filling = match &asked {
                Asked::Filling(filling) => Some(Arc::clone(filling)),
                _ => None,
            };
            // The viewer may have gone away.
            let _ = leader.send(asked);
            if let (Some(filling), Some(body)) = (filling, body) {
                engine.fill(&ask, &filling, body).await;
            }
        });
        answer
    }

    async fn answer_to(&self, ask: &Ask) -> (Asked, Option<OriginBody>) {
        let mut stored = ask.stored.as_ref();
        loop {
            let requested_s = unix_now_s();
            let mut request = ask.asking.request(&ask.zone, &ask.id, ask.wishes, stored.map(|variant| &variant.headers), empty());
            if let Some(informational) = &ask.informational {
                request.extensions_mut().insert(informational.clone());
            }
            let response = match self.forward(ask, request).await {
                Ok(response) => response,
                Err(error) => return (Asked::Failed(error), None),
            };
            let times = Times { requested_s, received_s: unix_now_s() };
            match stored.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
                Some(known) if validation::selected(response.headers(), &known.headers) == Selected::This => {
                    let Handed { fill, tier } = handed(&response);
                    let variant = known.freshened(response.headers(), times, fill);
                    self.keep(ask, variant.clone()).await;
                    return (Asked::Freshened(Arc::new(variant), tier), None);
                }
                // It is about something that is not stored here: then all of it is wanted.
                Some(_) => stored = None,
                None => return judge(ask, response, times),
            }
        }
    }

    /// Reads a content to its end, and keeps it.
    async fn fill(&self, ask: &Ask, filling: &Filling, mut body: OriginBody) {
        let Filling { object, variant: Variant { fill, .. }, .. } = *filling;
        let mut slices = Slicing::new(filling);
        loop {
            match timeout(PAUSE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    let mut rest = &bytes[..];
                    while let Some((number, slice)) = slices.add(&mut rest) {
                        self.shelf.put_slice(object, number, fill, slice);
                    }
                    filling.push(bytes).await;
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "an origin broke off its response");
                    return filling.finish(End::Broken);
                }
                Err(_) => {
                    tracing::debug!("an origin stalled in its response");
                    return filling.finish(End::Broken);
                }
            }
            if filling.received() > OBJECT_MAX {
                return filling.finish(End::Broken);
            }
        }
        let content = match slices.finish() {
            (0, bytes) if bytes.len() <= INLINE_MAX => Kept::Inline(bytes),
            (number, last) => {
                if !last.is_empty() {
                    self.shelf.put_slice(object, number, fill, last);
                }
                Kept::Slices { object, length: filling.received() }
            }
        };
        self.keep(ask, Variant { content, ..filling.variant.clone() }).await;
        filling.finish(End::Whole);
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
}

impl Slicing {
    fn new(filling: &Filling) -> Self {
        let expected = filling.length.unwrap_or(INLINE_MAX as u64).min(SLICE_BYTES);
        Self { slice: Vec::with_capacity(usize::try_from(expected).unwrap_or(INLINE_MAX)), number: 0 }
    }

    /// Takes bytes from the front of `rest`, all of them or up to the end of a slice, which is then given with its number.
    fn add(&mut self, rest: &mut &[u8]) -> Option<(u64, Bytes)> {
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
        (self.number, Bytes::from(self.slice.into_boxed_slice()))
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
            Asked::Freshened(variant, tier) => State::Freshened(Arc::clone(variant), *tier),
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

/// Whether and as what a response is kept.
fn judge(ask: &Ask, response: Response<OriginBody>, times: Times) -> (Asked, Option<OriginBody>) {
    let Handed { fill, tier } = handed(&response);
    let Some(variant) = to_keep(ask, response.status(), response.headers(), times, fill) else {
        return (Asked::Through(response), None);
    };
    let length = length(response.headers());
    let (head, body) = response.into_parts();
    let mut sent = head.headers;
    validation::strip_hops(&mut sent);
    let filling = Filling::new(variant, sent, tier, rand::random(), length);
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
    if status != StatusCode::OK && ask.wishes == Wishes::Forwarded && is_special(&asking.headers) {
        return None;
    }
    let directives = Directives::of(response, &TARGETS);
    let lifetime = lifetime(status, response, &directives, times, &zone.ttl);
    let mut request = asking.headers.clone();
    if zone.authorised == Authorised::Keep {
        request.remove(AUTHORIZATION);
    }
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
    let headers = kept_fields(response, &directives, times.received_s);
    // Its content is known at its end.
    let content = Kept::Inline(Bytes::new());
    Some(Variant { vary, status, headers, times, fill, mark: Mark::None, content })
}

/// Where a response came from; nothing is known to hold of one that does not say.
fn handed(response: &Response<OriginBody>) -> Handed {
    response.extensions().get().copied().unwrap_or(Handed { fill: 0, tier: Tier::Origin })
}

fn is_special(request: &HeaderMap) -> bool {
    [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE].iter().any(|name| request.contains_key(name))
}

/// The length of a content that its origin has said. Of several lines hyper accepts none that differ.
fn length(response: &HeaderMap) -> Option<u64> {
    response.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn empty() -> OriginBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
