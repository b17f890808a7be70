//! What is true of every answer of the console.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::{BodyExt, Full};

use crate::console::PageBody;

/// Where the forms of a page may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Nowhere.
    None,
    /// To this node.
    Own,
}

/// A page. It is for nobody to keep.
pub(crate) fn document(status: StatusCode, html: String, forms: Forms) -> Response<PageBody> {
    let mut response = Response::new(whole(Bytes::from(html)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = guarded(response);
    if forms == Forms::Own {
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_OWN_FORMS));
        // Without a referrer browsers send no origin with a form either, and that is what tells our forms from those of others.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

/// What is true of every answer: nothing from elsewhere, nothing inline, in no frame.
pub(crate) fn guarded(mut response: Response<PageBody>) -> Response<PageBody> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<PageBody> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// The answer to a method that a path does not have.
pub(crate) fn not_allowed(allow: &'static str) -> Response<PageBody> {
    let mut refused = empty(StatusCode::METHOD_NOT_ALLOWED);
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    guarded(refused)
}

pub(crate) fn whole(bytes: Bytes) -> PageBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
const POLICY_OWN_FORMS: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri \
                                'none'; form-action 'self'; frame-ancestors 'none'";
