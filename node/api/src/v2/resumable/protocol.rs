//! The headers of tus 1.0.0, and what is said of them to everybody.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, CONTENT_LENGTH,
    },
};

use super::checksum::ALGORITHMS;
use crate::{
    front::Shared,
    problem::{Kind, Problem},
    v2::message::headers::one,
};

const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(super) const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub(super) const X_NCORE_ASSET: HeaderName = HeaderName::from_static("x-ncore-asset");
pub(super) const X_HTTP_METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const EXTENSIONS: HeaderValue = HeaderValue::from_static("creation,creation-with-upload,checksum,expiration,termination");
const METHODS: HeaderValue = HeaderValue::from_static("POST, HEAD, PATCH, DELETE, OPTIONS");
const ASKED: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Tus-Resumable, Upload-Checksum, Upload-Length, Upload-Metadata, \
     Upload-Offset, X-HTTP-Method-Override, X-NCore-Revision, X-Request-Id, X-Requested-With",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, \
     Upload-Metadata, Upload-Offset, X-NCore-Asset, X-NCore-Revision, X-Request-Id",
);

/// Says on every response, errors too, what protocol is spoken, and lets pages of other sites read it.
pub(in crate::v2) async fn introduced(mut response: Response) -> Response {
    let is_refused = response.status() == StatusCode::PRECONDITION_FAILED;
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, VERSION);
    if is_refused {
        headers.insert(TUS_VERSION, VERSION);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response
}

/// `OPTIONS`: what can be done, for clients of tus and for browsers that ask first.
pub(in crate::v2) async fn discover(State(domain): Shared) -> Response {
    let headers = [
        (TUS_VERSION, VERSION),
        (TUS_EXTENSION, EXTENSIONS),
        (TUS_MAX_SIZE, HeaderValue::from(domain.uploads().max_bytes())),
        (TUS_CHECKSUM_ALGORITHM, ALGORITHMS),
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, ASKED),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

pub(super) fn speaks_tus(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(&TUS_RESUMABLE) {
        Some(version) if version == VERSION => Ok(()),
        _ => Err(Problem::new(Kind::TusVersion, "the header Tus-Resumable: 1.0.0 is required")),
    }
}

pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let text = one(headers, name)?.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Problem::new(Kind::InvalidHeader, format!("{name} is required, and is a number of bytes")))
}

/// How long the body is, if the client says so.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A time as headers have it (RFC 9110, section 5.6.7).
pub(super) fn date(unix_ms: u64) -> HeaderValue {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(unix_ms));
    HeaderValue::try_from(date).unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}
