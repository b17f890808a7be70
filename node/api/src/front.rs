//! What is the same for every API family: who asked which request, how long it may take, how many there may be, and from which state it is
//! answered.

mod body;
mod caller;
mod denied;
mod limits;
mod peer;
mod request_id;
mod revision;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use ncore_domain::Domain;
use tokio::time::timeout;
use tracing::{Instrument, field::Empty};

pub(crate) use caller::Caller;
pub(crate) use denied::Denial;
pub(crate) use limits::{LIMIT_HEADERS, Turnstile};
pub use peer::PeerAddress;
pub use request_id::RequestId;
pub(crate) use revision::{X_NCORE_REVISION, at, presented};

use crate::{
    ApiParts,
    problem::{Kind, Problem},
};

/// Puts the layers around the routes of the families, outermost last.
pub(crate) fn around(routes: Router, parts: ApiParts) -> Router {
    let ApiParts { domain, usage, limiter, logs, explains } = parts;
    routes
        .layer(Extension(logs))
        .layer(Extension(explains))
        .layer(from_fn_with_state(Arc::clone(&domain), revision::from_a_state_that_new))
        .layer(from_fn_with_state(Arc::clone(&domain), bounded))
        .layer(from_fn_with_state((Arc::clone(&domain), limiter), limits::limited))
        .layer(from_fn_with_state(domain, denied::noted))
        .layer(from_fn(crate::v1::render))
        .layer(from_fn(crate::v2::render))
        .layer(from_fn(body::read_what_nobody_wants))
        .layer(from_fn_with_state(usage, caller::counted))
        .layer(from_fn(identified))
}

/// Gives the request its id and its span.
async fn identified(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let span = tracing::info_span!(
        "api",
        request_id = id.as_str(),
        method = %request.method(),
        path = request.uri().path(),
        client = Empty,
        revision = Empty,
        status = Empty,
    );
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    if let Some(revision) = response.headers().get(&X_NCORE_REVISION).and_then(|value| value.to_str().ok()) {
        span.record("revision", revision);
    }
    response.headers_mut().insert(request_id::X_REQUEST_ID, id.into_header());
    response
}

/// Ends what takes too long, and answers for what panicked. Whether a change was made is not known then.
///
/// Whatever waits inside has a shorter deadline of its own, so this one is for defects. An upload has none: it takes as long as
/// its bytes do, and each of them has a deadline.
async fn bounded(State(domain): Shared, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path();
    let is_upload = path == crate::v2::UPLOAD_PATH || path.starts_with(crate::v2::UPLOADS_PATH);
    let deadline = if is_upload { Duration::MAX } else { domain.request_deadline() * WAITS_FOR_THE_CLUSTER + OTHER_WAITS };
    match timeout(deadline, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::new(Kind::Internal, "a defect of this node").into_response(),
        Err(_) => Problem::new(Kind::Unknown, "the request took too long").into_response(),
    }
}

/// How often one request waits for the cluster at most: for its revision, and for two changes.
const WAITS_FOR_THE_CLUSTER: u32 = 3;
/// More than everything else that a request waits for: its body, a turn for hashing, the answers of holders.
const OTHER_WAITS: Duration = Duration::from_secs(30);

/// Reads the state that handlers share.
pub(crate) type Shared = State<Arc<Domain>>;
