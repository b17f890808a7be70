//! The heads of responses that carry an asset, or say that the client's copy of it is current.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
    },
};
use ncore_cache::{content_range::ContentRange, multipart::Multipart, range::ByteRange};

use super::{catalog::AssetEntry, slices::SliceSource};
use crate::body::ResponseBody;

/// What can be done with an asset here.
pub(super) const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// 200: all of it.
pub(super) fn whole(entry: &AssetEntry, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = described(StatusCode::OK, entry, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, entry.content_type.clone());
    headers.insert(CONTENT_LENGTH, entry.content_length.clone());
    name_coding(headers, entry);
    response
}

/// 206: one range.
pub(super) fn range(entry: &AssetEntry, range: ByteRange, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = described(StatusCode::PARTIAL_CONTENT, entry, body);
    let headers = response.headers_mut();
    let size = entry.size();
    let content_range = ContentRange::Part { range, size };
    headers.insert(CONTENT_TYPE, entry.content_type.clone());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
    headers.insert(CONTENT_RANGE, content_range.to_header());
    name_coding(headers, entry);
    response
}

/// 206: several ranges; the body is yet to come.
pub(super) fn ranges(entry: &AssetEntry, parts: &Multipart) -> Response<ResponseBody> {
    let empty = ResponseBody::empty();
    let mut response = described(StatusCode::PARTIAL_CONTENT, entry, empty);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, parts.content_type());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(parts.content_length()));
    response
}

/// 304.
pub(super) fn not_modified(entry: &AssetEntry) -> Response<ResponseBody> {
    described(StatusCode::NOT_MODIFIED, entry, ResponseBody::empty())
}

/// 304: the client has a current variant, which need not be here.
pub(super) fn not_modified_variant(entry: &AssetEntry, tag: HeaderValue) -> Response<ResponseBody> {
    let mut response = not_modified(entry);
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.remove(REPR_DIGEST);
    response
}

/// 204 to an OPTIONS.
pub(super) fn options() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, ALLOWED_METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ASKED_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Lets scripts of every origin read the response (CORS). That gives away nothing: what is not public is had with a token or a signed
/// address, which a browser adds to no request by itself, and never with a cookie.
pub(super) fn allow_origins(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
}

/// Says where the first bytes were: for caches and tools in the words of RFC 9211, for people in `X-Cache`.
pub(super) fn mark_source(headers: &mut HeaderMap, source: SliceSource) {
    let (status, cache) = if source.is_hit() { ("ncore; hit", "HIT") } else { ("ncore; fwd=miss", "MISS") };
    headers.insert(CACHE_STATUS, HeaderValue::from_static(status));
    headers.insert(X_CACHE, HeaderValue::from_static(cache));
}

/// Says that the node has lost touch with the cluster: what is sent may have been replaced or deleted since. Whoever keeps it asks again
/// before using it.
pub(super) fn mark_stale(headers: &mut HeaderMap, entry: Option<&AssetEntry>) {
    headers.insert(X_NCORE_VIEW, HeaderValue::from_static("stale"));
    if let Some(entry) = entry.filter(|_| headers.contains_key(ETAG)) {
        headers.insert(CACHE_CONTROL, entry.cache_control_stale.clone());
    }
    let detailed = match headers.get(&CACHE_STATUS).map(HeaderValue::as_bytes) {
        Some(b"ncore; hit") => "ncore; hit; detail=stale-view",
        Some(b"ncore; fwd=miss") => "ncore; fwd=miss; detail=stale-view",
        _ => return,
    };
    headers.insert(CACHE_STATUS, HeaderValue::from_static(detailed));
}

fn name_coding(headers: &mut HeaderMap, entry: &AssetEntry) {
    if let Some(coding) = &entry.content_encoding {
        headers.insert(CONTENT_ENCODING, coding.clone());
    }
}

/// What is said of an asset in every response that selects it. Until [`mark_source`] says otherwise nothing had to be
/// fetched, which is a hit.
fn described(status: StatusCode, entry: &AssetEntry, body: ResponseBody) -> Response<ResponseBody> {
    let mut headers = HeaderMap::with_capacity(HEADERS_EXPECTED);
    headers.insert(ETAG, entry.etag.clone());
    headers.insert(LAST_MODIFIED, entry.last_modified.clone());
    headers.insert(CACHE_CONTROL, entry.cache_control.clone());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(REPR_DIGEST, entry.repr_digest.clone());
    headers.insert(X_NCORE_REVISION, entry.revision.clone());
    if entry.varies {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    mark_source(&mut headers, SliceSource::Memory);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// With those that the router and hyper add; so the map never grows.
const HEADERS_EXPECTED: usize = 20;

/// What a script may send beside what it may always send.
const ASKED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, X-Request-Id",
);
/// What a script may read beside what it may always read.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Content-Length, Content-Range, ETag, Repr-Digest, Cache-Status, X-Cache, X-Request-Id, X-NCore-Node, X-NCore-Revision",
);

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const X_NCORE_REVISION: HeaderName = HeaderName::from_static("x-ncore-revision");
const X_NCORE_VIEW: HeaderName = HeaderName::from_static("x-ncore-view");
