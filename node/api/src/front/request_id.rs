//! The id of a request: on every response, in every log line about it, and in every problem document.

use axum::extract::Request;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries it, both ways.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 64;

/// An id that somebody chose: 1 to 64 letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id, if `text` is a sane one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_sane = (1..=BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        is_sane.then(|| Self(text.to_owned()))
    }

    /// The id that the listener gave the request, or the caller's own, or a new one.
    pub(super) fn of(request: &Request) -> Self {
        let given = || request.extensions().get::<Self>().cloned();
        let own = || Self::parse(request.headers().get(X_REQUEST_ID)?.to_str().ok()?);
        given().or_else(own).unwrap_or_else(|| Self(Uuid::now_v7().to_string()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_header(self) -> HeaderValue {
        HeaderValue::try_from(self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}
