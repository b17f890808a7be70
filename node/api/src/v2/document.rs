//! Errors as version 2 shows them: problem documents (RFC 9457).

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use http::{
    HeaderValue, Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Serialize;

use crate::{
    front::RequestId,
    problem::{Kind, Problem},
};

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
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'a str; 1]>,
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
    let row = problem.kind().row();
    tracing::debug!(code = row.code, detail = problem.detail(), "request refused");
    let document = Document {
        r#type: type_of(&problem),
        title: row.title,
        status: row.status.as_u16(),
        detail: problem.detail(),
        instance: &instance,
        code: row.code,
        message: problem.detail(),
        request_id: request_id.as_ref().map_or("", RequestId::as_str),
        outcome: row.outcome,
        violated_policies: problem.violated_policy().map(|policy| [policy]),
    };
    let (mut head, _) = response.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let text = serde_json::to_vec(&document).unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response::from_parts(head, if head_only { Body::empty() } else { text.into() })
}

/// Ours, but where there is one that clients may know already.
fn type_of(problem: &Problem) -> String {
    match problem.kind() {
        Kind::RateLimited => QUOTA_EXCEEDED.to_owned(),
        kind => format!("urn:ncore:problem:{}", kind.row().code),
    }
}

/// draft-ietf-httpapi-ratelimit-headers, section "Problem Types".
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
