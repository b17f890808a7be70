//! Errors of the data plane as problem documents (RFC 9457).

use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use crate::{body::ResponseBody, metrics::Outcome, request_id::RequestId};

/// The members of the document: those that the API gives a problem, so that a client needs to know one shape.
#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
}

/// Which request the problem is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// Path of the request, where it is still known.
    pub(crate) instance: Option<&'a str>,
    pub(crate) request_id: &'a RequestId,
    /// HEAD gets the head of the document and none of its bytes.
    pub(crate) head_only: bool,
}

/// The response for `outcome`. Nobody may cache it: what is missing now can be here a moment later.
pub(crate) fn respond(status: StatusCode, outcome: Outcome, detail: &str, about: About<'_>) -> Response<ResponseBody> {
    let document = Document {
        r#type: format!("urn:ncore:problem:{}", outcome.as_str()),
        title: title(status, outcome),
        status: status.as_u16(),
        detail,
        instance: about.instance,
        code: outcome.as_str(),
        message: detail,
        request_id: about.request_id.as_str(),
    };
    let text = serde_json::to_vec(&document).expect("strings and a number are JSON");
    let length = HeaderValue::from(text.len());
    let body = if about.head_only { ResponseBody::empty() } else { ResponseBody::text(text) };

    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The words of the API, where it has the same problem.
fn title(status: StatusCode, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AssetNotFound => "Asset does not exist",
        Outcome::MethodNotAllowed => "Method not allowed",
        Outcome::TokenMissing => "Missing token",
        Outcome::TokenMalformed => "Malformed authorization",
        Outcome::TokenInvalid => "Invalid token",
        Outcome::ScopeMissing => "Token valid but lacks required scope",
        Outcome::AssetOfOther => "Asset belongs to different client",
        Outcome::AddressNotAllowed => "Credentials may not be used from this address",
        Outcome::SiteNotAllowed => "Token may not be used by pages of this site",
        Outcome::AddressInvalid => "The signed address is not valid",
        Outcome::BandwidthSpent => "Bandwidth quota of the client is used up",
        Outcome::Internal | Outcome::Panicked => "Contact support with request ID",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}
