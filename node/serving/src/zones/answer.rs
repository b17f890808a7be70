//! What a viewer gets for a response of the cache: whole, in part, or the word that the viewer has it already.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
        IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, VIA,
    },
};
use ncore_cache::{
    cache_status::{CACHE_STATUS, CacheStatus, Handling},
    conditional::{self, Precondition, Validators},
    content_range::ContentRange,
    etag::EntityTag,
    http_date,
    if_range::{self, IfRange},
    multipart::{Boundary, Multipart},
    range::{self, ByteRange, RangeRequest},
};

use super::{
    content::{Content, Piece, Place},
    tiers::Handed,
    upstream::{NAME, via},
    usage::CacheUsed,
    zone::Zone,
};
use crate::{
    body::{ApiBody, ResponseBody},
    serve::X_CACHE,
};

/// A response of the cache, before it is cut to what the viewer asked for.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Those that it is kept with.
    pub(crate) kept: Arc<HeaderMap>,
    pub(crate) age_s: u64,
    pub(crate) content: Content,
}

/// How a response came about.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) used: CacheUsed,
    pub(crate) handling: Handling,
    pub(crate) ttl_s: Option<i64>,
    pub(crate) detail: Option<&'static str>,
}

/// What of a content a viewer gets.
enum Cut {
    Whole,
    NotModified,
    PreconditionFailed,
    Unsatisfiable(u64),
    Range(ByteRange, u64),
    Ranges(Vec<ByteRange>, u64),
}

impl Found {
    /// The response to a GET or HEAD with the fields `request`.
    pub(crate) fn answer(self, method: &Method, request: &HeaderMap, now_s: u64, place: &Place) -> Response<ResponseBody> {
        let cut = self.cut(method, request, now_s);
        let Self { status, mut headers, age_s, content, .. } = self;
        headers.insert(AGE, HeaderValue::from(age_s));
        let length = content.length();
        if let Some(length) = length.filter(|_| has_content(status)) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            if status == StatusCode::OK && !headers.contains_key(ACCEPT_RANGES) {
                headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
        }
        let head_only = *method == Method::HEAD || !has_content(status);
        let (status, body) = match cut {
            Cut::Whole if head_only => (status, ResponseBody::empty()),
            Cut::Whole => (status, whole(content, place)),
            Cut::NotModified => {
                without_content(&mut headers);
                (StatusCode::NOT_MODIFIED, ResponseBody::empty())
            }
            Cut::PreconditionFailed => {
                without_content(&mut headers);
                (StatusCode::PRECONDITION_FAILED, ResponseBody::empty())
            }
            Cut::Unsatisfiable(size) => {
                without_content(&mut headers);
                headers.insert(CONTENT_RANGE, ContentRange::Unsatisfied { size }.to_header());
                (StatusCode::RANGE_NOT_SATISFIABLE, ResponseBody::empty())
            }
            Cut::Range(range, size) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
                headers.insert(CONTENT_RANGE, ContentRange::Part { range, size }.to_header());
                (StatusCode::PARTIAL_CONTENT, part(content, range, place))
            }
            Cut::Ranges(ranges, size) => {
                let body = parts(content, &ranges, size, &mut headers, place);
                (StatusCode::PARTIAL_CONTENT, body)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn cut(&self, method: &Method, request: &HeaderMap, now_s: u64) -> Cut {
        // Conditions are for what would be a success without them (RFC 9110 §13.2.1).
        if !self.status.is_success() || !LESS_THAN_WHOLE.iter().any(|name| request.contains_key(name)) {
            return Cut::Whole;
        }
        let etag = self.headers.get(ETAG).and_then(|tag| EntityTag::parse(tag.as_bytes()).ok());
        let date = |name| self.headers.get(name).and_then(http_date::parse);
        let validators = Validators { etag, last_modified_s: date(LAST_MODIFIED), dated_s: date(DATE) };
        match conditional::evaluate(method, request, &validators) {
            Precondition::NotModified => return Cut::NotModified,
            Precondition::Failed => return Cut::PreconditionFailed,
            Precondition::Proceed => {}
        }
        let Some(size) = self.content.length() else { return Cut::Whole };
        if *method != Method::GET || self.status != StatusCode::OK || !request.contains_key(RANGE) {
            return Cut::Whole;
        }
        if if_range::evaluate(request, &validators, now_s) == IfRange::Fails {
            return Cut::Whole;
        }
        match range::resolve(request, size) {
            RangeRequest::None | RangeRequest::Ignored(_) => Cut::Whole,
            RangeRequest::Unsatisfiable => Cut::Unsatisfiable(size),
            RangeRequest::Single(range) => Cut::Range(range, size),
            // Clients differ in what a coding of the whole means for its parts.
            RangeRequest::Multiple(_) if self.headers.contains_key(CONTENT_ENCODING) => Cut::Whole,
            RangeRequest::Multiple(ranges) => Cut::Ranges(ranges, size),
        }
    }
}

impl Told {
    /// Says so in the response, behind what the tiers say that it came through (RFC 9211 §2).
    pub(crate) fn tell(&self, zone: &Zone, response: &mut Response<ResponseBody>) {
        let tiers = response.extensions_mut().get_mut::<Handed>().map(|handed| mem::take(&mut handed.source.told)).unwrap_or_default();
        let headers = response.headers_mut();
        for line in tiers.into_iter().filter_map(|line| HeaderValue::try_from(line).ok()) {
            headers.append(CACHE_STATUS, line);
        }
        self.status().append(headers, NAME);
        headers.insert(X_CACHE, self.used.header());
        headers.append(VIA, via(http::Version::HTTP_11));
        if let Some(origin) = zone.cors.as_ref().filter(|_| !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }

    /// Notes it for the node that has asked, as what the cache called `name` did.
    pub(crate) fn note(&self, name: &str, response: &mut Response<ResponseBody>) {
        if let Some(handed) = response.extensions_mut().get_mut::<Handed>() {
            handed.source.told.push(self.status().line(name));
        }
    }

    fn status(&self) -> CacheStatus {
        CacheStatus { handling: self.handling, ttl_s: self.ttl_s, detail: self.detail }
    }
}

/// The fields by one of which a viewer can come to get something else than the whole. (`If-Range` is about `Range` alone.)
const LESS_THAN_WHOLE: [HeaderName; 5] = [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];

fn has_content(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Takes out what describes a content that is not sent (RFC 9110 §15.4.5).
fn without_content(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE] {
        headers.remove(name);
    }
}

fn whole(content: Content, place: &Place) -> ResponseBody {
    match content.inline() {
        Some(bytes) => ResponseBody::here(bytes.clone()),
        None => streamed(content, place, [Piece::Range { first: 0, last: None }].into()),
    }
}

fn part(content: Content, range: ByteRange, place: &Place) -> ResponseBody {
    let within = content.inline().map(|bytes| bytes.slice(within(range.first())..=within(range.last())));
    match within {
        Some(bytes) => ResponseBody::here(bytes),
        None => streamed(content, place, [Piece::Range { first: range.first(), last: Some(range.last()) }].into()),
    }
}

fn parts(content: Content, ranges: &[ByteRange], size: u64, headers: &mut HeaderMap, place: &Place) -> ResponseBody {
    let octets = HeaderValue::from_static("application/octet-stream");
    let content_type = headers.get(CONTENT_TYPE).unwrap_or(&octets);
    let parts = Multipart::new(Boundary::new(rand::random()), content_type, size, ranges);
    headers.insert(CONTENT_TYPE, parts.content_type());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(parts.content_length()));
    let closing = parts.closing();
    let mut pieces = VecDeque::new();
    for part in parts.into_parts() {
        pieces.push_back(Piece::Text(Bytes::from(part.head)));
        pieces.push_back(Piece::Range { first: part.range.first(), last: Some(part.range.last()) });
    }
    pieces.push_back(Piece::Text(Bytes::from(closing)));
    streamed(content, place, pieces)
}

fn streamed(content: Content, place: &Place, pieces: VecDeque<Piece>) -> ResponseBody {
    let body: ApiBody = content.stream(place.clone(), pieces);
    ResponseBody::streamed(body)
}

/// A place in what is in memory.
fn within(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
