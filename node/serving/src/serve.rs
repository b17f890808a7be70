//! Serving of pushed assets: GET, HEAD and OPTIONS at their addresses, as RFC 9110 says.
//!
//! # The states of a request
//! ```text
//!   RECEIVE ── method? ──────────────► 405, or 204 to OPTIONS
//!      │
//!   LOCATE ─── path, catalog ────────► 400 │ 404 │ 503 view_unavailable, fenced
//!      │ entry
//!   ADMIT ──── token, signed address ► 401 │ 403 │ 400 │ 503 (of a restricted asset; there may be none, which is a 404 after this)
//!      │
//!   CHOOSE ─── accepted codings ─────► 304 (of a variant that is not here)
//!      │ representation
//!   JUDGE ──── conditions, ranges ───► 412 │ 304 │ 416
//!      │ selection
//!   FETCH ──── the first slice ──────► 502 content_corrupt │ 503 content_unreachable, content_deadline, node_busy
//!      │ bytes                         (HEAD has no bytes to fetch)
//!   DELIVER ── 200 │ 206 │ 206 multipart: the head, then the body slice by slice
//! ```
//! Each is one function below, and everything that a state can end a request with is a [`Refusal`], so the states read
//! top to bottom. The head goes out only when the first bytes are here: a failure until then is a clean answer. A failure
//! after that breaks the response off, since by then there is no other way to tell the client.
//!
//! # The fast path
//! Asset and slice in memory, one slice or less wanted: no task, no wait, no copy of the content, no box.

mod admission;
mod catalog;
mod coded;
mod head;
mod judge;
mod negotiate;
mod slice_body;
mod slices;

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, WWW_AUTHENTICATE},
};
use http_body::Body as _;
use ncore_cache::{
    content_range::ContentRange,
    multipart::{Boundary, Multipart},
    path::{AssetPath, PathError},
    range::ByteRange,
};
use ncore_telemetry::{Allowance, Tally};

pub use self::{
    admission::{Admission, Refused, RefusedReason, Visit},
    catalog::{AssetEntry, AssetFacts, BlobHash, Catalog, Lookup, Readers, ViewAge},
    coded::{Absent, CODED_BYTES, CodedContent, CodedSlot, Variants},
    slices::{LoadedSlice, SLICE_BYTES, SliceError, SliceSource, Slices},
};
pub(crate) use self::{head::X_CACHE, slice_body::SliceBody};
use self::{
    judge::{Dates, Selection, Verdict},
    negotiate::Choice,
    slice_body::{Piece, first_slice, within_slice},
    slices::SliceReader,
};
use crate::{
    body::{BodyMeter, ResponseBody},
    metrics::{Outcome, ServingMetrics, add},
    problem::{self, About},
    request_id::RequestId,
};

/// Serves assets from a [`Catalog`] and [`Slices`].
pub struct AssetServer {
    catalog: Arc<dyn Catalog>,
    admission: Arc<dyn Admission>,
    variants: Arc<dyn Variants>,
    reader: Arc<SliceReader>,
    node: Option<HeaderValue>,
    metrics: Arc<ServingMetrics>,
}

/// The head of a request for an asset.
#[derive(Debug)]
pub(crate) struct AssetRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// The whole path, as sent.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What in it names the asset.
    pub(crate) asset: &'a str,
    /// The client whose host was asked.
    pub(crate) host_owner: Option<Arc<str>>,
    /// The host that was asked, with its port.
    pub(crate) host: Option<&'a str>,
    pub(crate) remote: IpAddr,
    pub(crate) request_id: &'a RequestId,
}

/// What ends a request before its asset is delivered.
enum Refusal {
    MethodNotAllowed,
    BadPath(PathError),
    NotFound(ViewAge),
    ViewUnavailable,
    Fenced,
    NotAdmitted(Refused),
    BandwidthSpent,
    PreconditionFailed,
    RangeNotSatisfiable { size: u64 },
    Slice(SliceError),
}

/// An asset that is there, and where its request is counted.
struct Located {
    entry: Arc<AssetEntry>,
    client: Tally,
}

type Delivery = (Outcome, Response<ResponseBody>);

impl AssetServer {
    /// `node` is the name of this node, for `X-NCore-Node`; a name that cannot stand in a header is left out of
    /// responses. A slice that is not there `slice_deadline` after it was asked for has failed.
    #[must_use]
    pub fn new(
        catalog: Arc<dyn Catalog>,
        admission: Arc<dyn Admission>,
        slices: Arc<dyn Slices>,
        variants: Arc<dyn Variants>,
        node: &str,
        slice_deadline: Duration,
        metrics: Arc<ServingMetrics>,
    ) -> Self {
        let reader = SliceReader::new(slices, slice_deadline, Arc::clone(&metrics));
        Self { catalog, admission, variants, reader: Arc::new(reader), node: HeaderValue::try_from(node).ok(), metrics }
    }

    pub(crate) fn metrics(&self) -> &Arc<ServingMetrics> {
        &self.metrics
    }

    /// The client whose own host this is.
    pub(crate) fn host_owner(&self, host: &str) -> Option<Arc<str>> {
        self.catalog.host_owner(host)
    }

    /// Answers one request. With the answer comes the asset, if there is one.
    pub(crate) async fn serve(&self, request: &AssetRequest<'_>) -> (Response<ResponseBody>, Option<Arc<AssetEntry>>) {
        let mut located = None;
        let (outcome, mut response) = match self.receive(request, &mut located).await {
            Ok(delivery) => delivery,
            Err(refusal) => {
                let (outcome, response) = refuse(&refusal, request);
                if let Some(Located { client, .. }) = &located {
                    // A problem has no meter of its own, and counts like any other body.
                    client.sent(response.body().size_hint().lower());
                }
                (outcome, response)
            }
        };
        head::allow_origins(response.headers_mut());
        if let Some(node) = &self.node {
            response.headers_mut().insert(X_NCORE_NODE, node.clone());
        }
        self.metrics.record(outcome);
        tracing::debug!(outcome = outcome.as_str(), "asset request judged");
        let Some(Located { entry, client }) = located else { return (response, None) };
        client.answered(response.status().as_u16());
        (response, Some(entry))
    }

    /// What the request is for goes to `found` as soon as it is known, for refusals count as well.
    async fn receive(&self, request: &AssetRequest<'_>, found: &mut Option<Located>) -> Result<Delivery, Refusal> {
        match *request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok((Outcome::Options, head::options())),
            _ => return Err(Refusal::MethodNotAllowed),
        }
        let path = AssetPath::parse(request.asset).map_err(Refusal::BadPath)?;
        let (entry, age) = match self.locate(&path, request) {
            // What is not there at such a path is said to those alone who could have had it.
            Err(Refusal::NotFound(age)) if path.is_restricted() => {
                self.admit(&path, None, request).await?;
                return Err(Refusal::NotFound(age));
            }
            located => located?,
        };
        let now_s = unix_now_s();
        let located = &*found.insert(Located { client: entry.meter.tally(now_s), entry });
        let entry = &located.entry;
        if entry.facts().readers == Readers::Admitted {
            self.admit(&path, Some(&entry.facts().client), request).await?;
        }
        if entry.meter.allowance() == Allowance::Spent {
            return Err(Refusal::BandwidthSpent);
        }
        let (outcome, mut response) = self.answer(request, located, now_s).await?;
        if age == ViewAge::Stale {
            head::mark_stale(response.headers_mut(), Some(entry));
        }
        Ok((outcome, response))
    }

    /// Answers with the representation that the request is about. A variant that cannot be read is no reason to fail: the content as it
    /// is can be had.
    async fn answer(&self, request: &AssetRequest<'_>, located: &Located, now_s: u64) -> Result<Delivery, Refusal> {
        let entry = &located.entry;
        let chosen = match negotiate::choose(request.headers, entry, &*self.variants) {
            Choice::Only => return self.answer_with(request, located, Dates::Bytes, now_s).await,
            Choice::Current(tag) => return Ok((Outcome::NotModified, head::not_modified_variant(entry, tag))),
            Choice::One(entry) => Located { entry, client: located.client.clone() },
        };
        let answer = self.answer_with(request, &chosen, Dates::Content, now_s).await;
        match answer {
            Err(Refusal::Slice(error)) if chosen.entry.is_coded() => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a variant cannot be read");
                self.answer_with(request, located, Dates::Content, now_s).await
            }
            answer => answer,
        }
    }

    async fn answer_with(&self, request: &AssetRequest<'_>, located: &Located, dates: Dates, now_s: u64) -> Result<Delivery, Refusal> {
        let entry = &located.entry;
        match judge::judge(request.method, request.headers, entry, dates, now_s) {
            Verdict::NotModified => Ok((Outcome::NotModified, head::not_modified(entry))),
            Verdict::PreconditionFailed => Err(Refusal::PreconditionFailed),
            Verdict::RangeNotSatisfiable => Err(Refusal::RangeNotSatisfiable { size: entry.size() }),
            Verdict::Deliver(_) if request.method == Method::HEAD => Ok((Outcome::Head, head::whole(entry, ResponseBody::empty()))),
            Verdict::Deliver(selection) => self.deliver(located, selection).await,
        }
    }

    fn locate(&self, path: &AssetPath<'_>, request: &AssetRequest<'_>) -> Result<(Arc<AssetEntry>, ViewAge), Refusal> {
        match self.catalog.lookup(path.as_str()) {
            // On a client's host there are that client's assets alone.
            Lookup::Found(entry, age) if request.host_owner.as_ref().is_some_and(|owner| **owner != *entry.facts().client) => {
                Err(Refusal::NotFound(age))
            }
            Lookup::Found(entry, age) => Ok((entry, age)),
            Lookup::NotFound(age) => Err(Refusal::NotFound(age)),
            Lookup::Unavailable => Err(Refusal::ViewUnavailable),
            Lookup::Fenced => Err(Refusal::Fenced),
        }
    }

    async fn admit(&self, path: &AssetPath<'_>, owner: Option<&str>, request: &AssetRequest<'_>) -> Result<(), Refusal> {
        let visit = Visit::new(path.as_str(), owner, request);
        self.admission.admit(visit).await.map_err(Refusal::NotAdmitted)
    }

    async fn deliver(&self, located: &Located, selection: Selection) -> Result<Delivery, Refusal> {
        let entry = &located.entry;
        match selection {
            Selection::Whole => {
                let Some(range) = ByteRange::whole(entry.size()) else {
                    // No bytes: none had to be fetched.
                    return Ok((Outcome::Whole, head::whole(entry, ResponseBody::empty())));
                };
                let (body, source) = self.body_of(located, range).await?;
                let mut response = head::whole(entry, body);
                head::mark_source(response.headers_mut(), source);
                Ok((Outcome::Whole, response))
            }
            Selection::Range(range) => {
                let (body, source) = self.body_of(located, range).await?;
                let mut response = head::range(entry, range, body);
                head::mark_source(response.headers_mut(), source);
                Ok((Outcome::Range, response))
            }
            Selection::Ranges(ranges) => {
                let boundary = Boundary::new(rand::random());
                let parts = Multipart::new(boundary, &entry.content_type, entry.size(), &ranges);
                let mut response = head::ranges(entry, &parts);
                let (body, source) = self.body_of_parts(located, parts).await?;
                *response.body_mut() = body;
                head::mark_source(response.headers_mut(), source);
                Ok((Outcome::Ranges, response))
            }
        }
    }

    /// The bytes of one range, with the first slice of them at hand.
    async fn body_of(&self, located: &Located, range: ByteRange) -> Result<(ResponseBody, SliceSource), Refusal> {
        let slice = range.first() / SLICE_BYTES;
        let LoadedSlice { bytes, source } = self.fetch(located, slice).await?;
        if range.last() / SLICE_BYTES == slice {
            let start = slice * SLICE_BYTES;
            let (first, last) = (range.first() - start, range.last() - start);
            let bytes = bytes.slice(within_slice(first)..=within_slice(last));
            let body = ResponseBody::content(bytes, self.meter(located));
            return Ok((body, source));
        }
        let pieces = VecDeque::from([Piece::Range(range)]);
        Ok((self.slice_body(located, pieces, bytes), source))
    }

    /// The parts of a multipart response, with the first slice of the first at hand.
    async fn body_of_parts(&self, located: &Located, parts: Multipart) -> Result<(ResponseBody, SliceSource), Refusal> {
        let closing = parts.closing();
        let mut pieces = VecDeque::new();
        for part in parts.into_parts() {
            pieces.push_back(Piece::Text(Bytes::from(part.head)));
            pieces.push_back(Piece::Range(part.range));
        }
        pieces.push_back(Piece::Text(Bytes::from(closing)));
        let slice = first_slice(&pieces).unwrap_or(0);
        let LoadedSlice { bytes, source } = self.fetch(located, slice).await?;
        Ok((self.slice_body(located, pieces, bytes), source))
    }

    fn slice_body(&self, located: &Located, pieces: VecDeque<Piece>, first: Bytes) -> ResponseBody {
        let (entry, reader) = (Arc::clone(&located.entry), Arc::clone(&self.reader));
        let body = SliceBody::new(entry, reader, pieces, first);
        ResponseBody::slices(body, self.meter(located))
    }

    fn meter(&self, located: &Located) -> BodyMeter {
        BodyMeter { metrics: Arc::clone(&self.metrics), client: located.client.clone() }
    }

    /// The first slice of a response.
    async fn fetch(&self, located: &Located, slice: u64) -> Result<LoadedSlice, Refusal> {
        let entry = &located.entry;
        let loaded = match self.reader.cached(entry, slice) {
            Some(loaded) => loaded,
            None => {
                let loading = self.reader.load(Arc::clone(entry), slice);
                loading.await.map_err(Refusal::Slice)?
            }
        };
        if loaded.source.is_hit() {
            add(&self.metrics.hits, 1);
            located.client.hit();
        } else {
            add(&self.metrics.misses, 1);
            located.client.missed();
        }
        Ok(loaded)
    }
}

/// The table of what each refusal is to the client.
fn refuse(refusal: &Refusal, request: &AssetRequest<'_>) -> Delivery {
    let (status, outcome, detail) = match refusal {
        Refusal::MethodNotAllowed => {
            (StatusCode::METHOD_NOT_ALLOWED, Outcome::MethodNotAllowed, "assets are read with GET and HEAD".to_owned())
        }
        Refusal::BadPath(error) => (StatusCode::BAD_REQUEST, Outcome::BadPath, error.to_string()),
        Refusal::NotFound(_) => (StatusCode::NOT_FOUND, Outcome::AssetNotFound, "there is no asset at this path".to_owned()),
        Refusal::ViewUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, Outcome::ViewUnavailable, "this node cannot say now what is at this path".to_owned())
        }
        Refusal::Fenced => (
            StatusCode::SERVICE_UNAVAILABLE,
            Outcome::Fenced,
            "this node has lost touch with the cluster, and cannot say now what is at this path".to_owned(),
        ),
        Refusal::NotAdmitted(refused) => {
            let (status, outcome) = refused.reason.row();
            (status, outcome, refused.detail.clone())
        }
        Refusal::BandwidthSpent => (
            StatusCode::FORBIDDEN,
            Outcome::BandwidthSpent,
            "as much was served in 30 days as the plan of this asset's client allows".to_owned(),
        ),
        Refusal::PreconditionFailed => (
            StatusCode::PRECONDITION_FAILED,
            Outcome::PreconditionFailed,
            "the asset is not the one that the request is meant for".to_owned(),
        ),
        Refusal::RangeNotSatisfiable { size } => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            Outcome::RangeNotSatisfiable,
            format!("the asset has {size} bytes, and the range lies beyond them"),
        ),
        Refusal::Slice(error) => {
            let (status, outcome) = judge_failure(error);
            (status, outcome, error.to_string())
        }
    };
    let about = About { instance: Some(request.path), request_id: request.request_id, head_only: request.method == Method::HEAD };
    let mut response = problem::respond(status, outcome, &detail, about);
    let headers = response.headers_mut();
    match refusal {
        Refusal::NotFound(ViewAge::Stale) => head::mark_stale(headers, None),
        Refusal::NotAdmitted(refused) => {
            if let Some(challenge) = refused.challenge.as_ref().and_then(|challenge| HeaderValue::from_str(challenge).ok()) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        Refusal::MethodNotAllowed => {
            headers.insert(ALLOW, head::ALLOWED_METHODS);
        }
        Refusal::RangeNotSatisfiable { size } => {
            let field = ContentRange::Unsatisfied { size: *size };
            headers.insert(http::header::CONTENT_RANGE, field.to_header());
        }
        _ => {}
    }
    (outcome, response)
}

fn judge_failure(error: &SliceError) -> (StatusCode, Outcome) {
    match error {
        SliceError::Corrupt(_) => {
            // Every copy in reach is bad: somebody should look.
            tracing::error!(error = error as &dyn std::error::Error, "the content of an asset cannot be had verified");
            (StatusCode::BAD_GATEWAY, Outcome::ContentCorrupt)
        }
        SliceError::Unreachable(_) => {
            tracing::debug!(error = error as &dyn std::error::Error, "the content of an asset cannot be reached");
            (StatusCode::SERVICE_UNAVAILABLE, Outcome::ContentUnreachable)
        }
        SliceError::Busy => (StatusCode::SERVICE_UNAVAILABLE, Outcome::NodeBusy),
        SliceError::Deadline => (StatusCode::SERVICE_UNAVAILABLE, Outcome::ContentDeadline),
    }
}

fn unix_now_s() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| elapsed.as_secs())
}

const X_NCORE_NODE: HeaderName = HeaderName::from_static("x-ncore-node");
