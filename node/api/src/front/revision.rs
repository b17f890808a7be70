//! Read your writes: `X-NCore-Revision`, in requests and in responses.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use ncore_control::ReadError;
use ncore_domain::{Domain, RevisionError};
use ncore_model::Revision;

use crate::problem::{Kind, Problem};

/// In a request: the state that it must be answered from includes this. In a response: the state that it was answered from does.
pub(crate) const X_NCORE_REVISION: HeaderName = HeaderName::from_static("x-ncore-revision");

/// The revision that a request presents.
///
/// # Errors
/// It presents something else, or more than one.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let mut values = headers.get_all(X_NCORE_REVISION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let revision = value.to_str().ok().and_then(|text| text.parse().ok());
    match revision {
        Some(revision) if values.next().is_none() => Ok(Some(revision)),
        _ => Err(Problem::new(Kind::InvalidHeader, "X-NCore-Revision is written lineage.index, for example 1.42, and at most once")),
    }
}

/// Waits until this node's state includes what the request presents; what is not a revision is left to the handler, whose order
/// of errors it has. Every response gets a revision: what this node had reached, unless the handler knows better.
pub(super) async fn from_a_state_that_new(State(domain): State<Arc<Domain>>, request: Request, next: Next) -> Response {
    let waited = match presented(request.headers()) {
        Ok(Some(wanted)) => domain.wait_for(wanted).await,
        Ok(None) | Err(_) => Ok(()),
    };
    let reached = domain.revision();
    let response = match waited {
        Ok(()) => next.run(request).await,
        Err(error) => not_that_new(&error).into_response(),
    };
    if response.headers().contains_key(&X_NCORE_REVISION) { response } else { at(reached, response) }
}

/// A response that was answered from this state.
pub(crate) fn at(revision: Revision, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    if let Ok(value) = HeaderValue::try_from(revision.to_string()) {
        response.headers_mut().insert(X_NCORE_REVISION, value);
    }
    response
}

fn not_that_new(error: &RevisionError) -> Problem {
    let kind = match error {
        RevisionError::Unknown { .. } => Kind::RevisionUnknown,
        RevisionError::Read(ReadError::Behind { .. }) => Kind::Behind,
        RevisionError::Read(ReadError::Lost { .. }) => Kind::RevisionLost,
        RevisionError::Read(ReadError::NoLeader) => Kind::Unavailable,
    };
    Problem::new(kind, error.to_string())
}
