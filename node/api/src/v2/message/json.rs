//! JSON in and out.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::problem::{Kind, Problem};

/// The longest body of a request that is not an upload, in bytes.
pub(in crate::v2) const BODY_BYTES_MAX: usize = 64 << 10;
/// How long such a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Reads a body to its end.
pub(crate) async fn read(body: Body) -> Result<Bytes, Problem> {
    read_up_to(body, BODY_BYTES_MAX).await
}

async fn read_up_to(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let read = timeout(BODY_TIME, Limited::new(body, bytes_max).collect());
    match read.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Kind::BodyTooLarge, format!("the body has more than {bytes_max} bytes")))
        }
        Ok(Err(_)) => Err(Problem::new(Kind::IncompleteBody, "the body broke off")),
        Err(_) => Err(Problem::new(Kind::IncompleteBody, "the body did not come in time")),
    }
}

/// Reads a JSON document.
pub(in crate::v2) async fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    parse_up_to(headers, body, BODY_BYTES_MAX).await
}

/// Reads a JSON document of at most `bytes_max`.
pub(in crate::v2) async fn parse_up_to<T: DeserializeOwned>(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(Kind::UnsupportedMediaType, "the body must be application/json"));
    }
    let bytes = read_up_to(body, bytes_max).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::new(Kind::InvalidBody, format!("the body is not as it must be: {error}")))
}

/// Whether a body says that it is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|mime| mime == "application/json" || mime.ends_with("+json"))
}

/// What a body says that it is, without parameters, in lower case.
pub(in crate::v2) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next()?.trim().to_ascii_lowercase())
}

/// Renders a JSON document. What a client may see is nothing for caches that others share.
pub(crate) fn respond(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(text) => respond_text(status, text),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// A JSON document that is about so many bytes long: one that grows while it is written is copied each time.
pub(in crate::v2) fn respond_long(status: StatusCode, document: &impl Serialize, about: usize) -> Response {
    let mut text = Vec::with_capacity(about);
    match serde_json::to_writer(&mut text, document) {
        Ok(()) => respond_text(status, text),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// A JSON document that is rendered already.
pub(in crate::v2) fn respond_text(status: StatusCode, text: Vec<u8>) -> Response {
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    (status, headers, text).into_response()
}
