//! Errors as version 1 shows them: `{"message": …}`.

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::json;

use super::BASE;
use crate::problem::{Kind, Problem};

/// Gives the problems of version 1 their bodies.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let is_ours = request.uri().path().starts_with(BASE);
    let head_only = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    if !is_ours {
        return response;
    }
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    tracing::debug!(code = problem.kind().row().code, detail = problem.detail(), "request refused");
    let text = json!({ "message": message(&problem) }).to_string();
    let (mut head, _) = response.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response::from_parts(head, if head_only { Body::empty() } else { text.into() })
}

/// The texts that clients of this version know, and for what they know none, what happened.
fn message(problem: &Problem) -> &str {
    let kind = problem.kind();
    match kind.row().status {
        StatusCode::UNAUTHORIZED => "Unauthenticated.",
        StatusCode::FORBIDDEN if kind == Kind::ScopeMissing => "Invalid ability provided.",
        StatusCode::FORBIDDEN => "This action is unauthorized.",
        StatusCode::NOT_FOUND => "Not Found.",
        StatusCode::TOO_MANY_REQUESTS => "Too Many Attempts.",
        _ => problem.detail(),
    }
}
