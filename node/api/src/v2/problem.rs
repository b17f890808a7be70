//! Every error of version 2: one table, and its rendering as a problem document (RFC 9457).
//!
//! A handler answers with a [`Problem`]; it becomes a document in [`render`], which knows the request's id and path.

mod from_domain;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::front::RequestId;

/// What went wrong. See [`Kind::row`] for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    TokenMissing,
    TokenMalformed,
    TokenInvalid,
    ScopeMissing,
    ClientUnderReview,
    ClientBlocked,
    AssetOfOther,
    EndpointNotFound,
    AssetNotFound,
    MethodNotAllowed,
    InvalidBody,
    IncompleteBody,
    InvalidField,
    InvalidQuery,
    InvalidCursor,
    InvalidHeader,
    UnsupportedMediaType,
    PreconditionFailed,
    KeyReused,
    RevisionLost,
    UploadTooLarge,
    BodyTooLarge,
    DiskFull,
    TooFewCopies,
    SchemaTooLow,
    Busy,
    Behind,
    Unavailable,
    Unknown,
    AnswerLost,
    Internal,
}

/// What the caller may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The same request will be refused again.
    Never,
    /// The same request may succeed, after this many seconds.
    After(u8),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) retry: Retry,
    /// For changes: `unavailable` did certainly not take place, `unknown` may have. Silent where the status says it.
    pub(crate) outcome: Option<&'static str>,
}

impl Kind {
    /// The table.
    pub(crate) const fn row(self) -> Row {
        const NOT_DONE: Option<&str> = Some("unavailable");
        const NOT_KNOWN: Option<&str> = Some("unknown");
        match self {
            Self::TokenMissing => refused(401, "token_missing", "Missing token"),
            Self::TokenMalformed => refused(400, "token_malformed", "Malformed authorization"),
            Self::TokenInvalid => refused(401, "token_invalid", "Invalid token"),
            Self::ScopeMissing => refused(403, "scope_missing", "Token valid but lacks required scope"),
            Self::ClientUnderReview => refused(403, "client_under_review", "Client is under review"),
            Self::ClientBlocked => refused(403, "client_blocked", "Client may not write"),
            Self::AssetOfOther => refused(403, "asset_of_other_client", "Asset belongs to different client"),
            Self::EndpointNotFound => refused(404, "endpoint_not_found", "Endpoint does not exist"),
            Self::AssetNotFound => refused(404, "asset_not_found", "Asset does not exist"),
            Self::MethodNotAllowed => refused(405, "method_not_allowed", "Method not allowed"),
            Self::InvalidBody => refused(400, "invalid_body", "Malformed request body or missing params"),
            Self::IncompleteBody => refused(400, "incomplete_body", "The request body broke off"),
            Self::InvalidField => refused(400, "invalid_field", "A field of the request is not valid"),
            Self::InvalidQuery => refused(400, "invalid_query", "A query parameter is not valid"),
            Self::InvalidCursor => refused(400, "invalid_cursor", "The cursor is not of this list"),
            Self::InvalidHeader => refused(400, "invalid_header", "A header of the request is not valid"),
            Self::UnsupportedMediaType => refused(415, "unsupported_media_type", "Unsupported media type"),
            Self::PreconditionFailed => refused(412, "precondition_failed", "Precondition failed"),
            Self::KeyReused => refused(422, "idempotency_key_reused", "Idempotency key was used for another request"),
            Self::RevisionLost => refused(409, "revision_lost", "The revision is of a history that was lost"),
            Self::UploadTooLarge => refused(413, "upload_too_large", "Upload exceeds the per file limit"),
            Self::BodyTooLarge => refused(413, "body_too_large", "Request body is too large"),
            Self::DiskFull => row(507, "disk_full", "Insufficient storage", Retry::Never, None),
            Self::TooFewCopies => row(503, "too_few_copies", "Too few nodes can store the upload", Retry::After(5), NOT_DONE),
            Self::SchemaTooLow => row(503, "schema_too_low", "Not every node has been upgraded", Retry::After(60), NOT_DONE),
            Self::Busy => row(503, "busy", "This node has too much to do", Retry::After(1), NOT_DONE),
            Self::Behind => row(503, "behind", "This node has not reached the revision", Retry::After(1), NOT_DONE),
            Self::Unavailable => row(503, "unavailable", "The cluster cannot take changes now", Retry::After(1), NOT_DONE),
            Self::Unknown => row(503, "unknown", "Whether the change took place is not known", Retry::After(1), NOT_KNOWN),
            Self::AnswerLost => row(500, "answer_lost", "The change took place, and its answer is lost", Retry::Never, NOT_KNOWN),
            Self::Internal => row(500, "internal", "Contact support with request ID", Retry::Never, None),
        }
    }
}

const fn refused(status: u16, code: &'static str, title: &'static str) -> Row {
    row(status, code, title, Retry::Never, None)
}

const fn row(status: u16, code: &'static str, title: &'static str, retry: Retry, outcome: Option<&'static str>) -> Row {
    let status = match StatusCode::from_u16(status) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Row { status, code, title, retry, outcome }
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    /// `WWW-Authenticate` (RFC 6750, section 3).
    challenge: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), challenge: None }
    }

    pub(crate) fn with_challenge(self, challenge: String) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// Something that is this node's fault. What it was goes to the log and not to the caller.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed for a reason of this node's own");
        Self::new(Kind::Internal, "this node failed; quote the request id")
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let row = self.kind.row();
        let mut response = row.status.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Retry::After(seconds) = row.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
        }
        if let Some(challenge) = self.challenge.as_ref().and_then(|challenge| HeaderValue::from_str(challenge).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The members of the document. `message` repeats `detail` for clients that know errors by that name.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
}

/// Gives problems their documents.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let request_id = request.extensions().get::<RequestId>().cloned();
    let head_only = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let row = problem.kind.row();
    tracing::debug!(code = row.code, detail = problem.detail, "request refused");
    let document = Document {
        r#type: format!("urn:ncore:problem:{}", row.code),
        title: row.title,
        status: row.status.as_u16(),
        detail: &problem.detail,
        instance: &instance,
        code: row.code,
        message: &problem.detail,
        request_id: request_id.as_ref().map_or("", RequestId::as_str),
        outcome: row.outcome,
    };
    let (mut head, _) = response.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let text = serde_json::to_vec(&document).unwrap_or_default();
    head.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response::from_parts(head, if head_only { axum::body::Body::empty() } else { text.into() })
}
