//! The HTTP API of a node.
//!
//! ```text
//!   request ──► front: id, span, time limit, the revision that it presents ──► v2, v1: authenticate ─► limit ─► parse ─► Domain ─► render
//! ```
//!
//! [`router`] gives an axum router for whoever owns the connections; [`Api`] is the same as a service over any body. What can be
//! done, and what it means, is in `ncore-domain`: an API family authenticates, parses and renders, and decides nothing.
//!
//! # Version 2
//!
//! | method and path | scope | success |
//! |---|---|---|
//! | `POST /api/v2/auth/token` | client secret | 200 |
//! | `POST /api/v2/auth/revoke` | client secret | 200 |
//! | `POST /api/v2/auth/introspect` | client secret, or administrator | 200 |
//! | `GET /.well-known/oauth-authorization-server`, `GET /.well-known/jwks.json` | none | 200 |
//! | `GET /api/v2/account` | any | 200 |
//! | `GET`, `POST /api/v2/admin/clients` | administrator | 200; 201 with `Location` |
//! | `GET`, `PATCH`, `DELETE /api/v2/admin/clients/{id}` | administrator | 200, 200, 204 |
//! | `POST /api/v2/admin/clients/{id}/secret` | administrator | 200 |
//! | `POST /api/v2/admin/clients/{id}/refresh-tokens` | administrator | 201 |
//! | `GET /api/v2/status` | none | 200 |
//! | `GET /api/v2/openapi.json` | none | 200 |
//! | `POST /api/v2/assets/upload` | `assets:write` | 201 with `Location`, also when content is replaced |
//! | `GET /api/v2/assets` | `assets:read` | 200 |
//! | `GET /api/v2/assets/{id}` | `assets:read` | 200 or 304 |
//! | `PATCH /api/v2/assets/{id}` | `assets:write` | 200 |
//! | `POST /api/v2/assets/{id}/move` | `assets:write` | 200 |
//! | `POST /api/v2/assets/sign` | `assets:write` | 200 |
//! | `GET /api/v2/assets/signing-key` | `assets:write` | 200 |
//! | `DELETE /api/v2/assets/{id}` | `assets:write` | 204 |
//! | `POST /api/v2/assets/delete` | `assets:write` | 200 |
//! | `POST /api/v2/uploads` | `assets:write` | 201 with `Location` |
//! | `HEAD /api/v2/uploads/{id}` | `assets:write` | 200 |
//! | `PATCH /api/v2/uploads/{id}` | `assets:write` | 204 |
//! | `DELETE /api/v2/uploads/{id}` | `assets:write` | 204 |
//! | `GET /api/v2/assets/{id}/replication` | `assets:read` | 200 |
//! | `POST /api/v2/cache/purge` | `cache:purge` | 200 |
//! | `GET /api/v2/metrics` | `metrics:read` | 200 |
//! | `GET /api/v2/logs` | `metrics:read` | 200 |
//! | `GET /api/v2/logs/stream` | `metrics:read` | 200, server-sent events |
//!
//! # Version 1
//!
//! | method and path | scope | success |
//! |---|---|---|
//! | `GET /api/v1/zones` | `zones:read` | 200 |
//! | `POST /api/v1/zones` | `zones:write` | 201 with `Location` |
//! | `GET /api/v1/zones/{uuid}` | `zones:read` | 200 |
//! | `PUT`, `PATCH /api/v1/zones/{uuid}` | `zones:write` | 200 |
//! | `DELETE /api/v1/zones/{uuid}` | `zones:write` | 204 |
//! | `POST /api/v1/zones/{uuid}/purge` | `cache:purge` | 202 |
//! | `GET /api/v1/zones/{uuid}/explain` | `zones:read`, or administrator | 200 |
//! | `GET /api/v1/zones/{uuid}/purge`, `GET /api/v1/zones/{uuid}/purge/{id}` | `zones:read` | 200 |
//!
//! Its errors have bodies of their own: `{"message": …}`, and with 422 `errors` by field. Its limits are its own, too.
//!
//! # What holds for every response
//!
//! * `X-Request-Id`: the caller's own if it is sane, or a new one.
//! * `X-NCore-Revision`: the state was at least that new. A request that presents one is answered from a state that includes it,
//!   or with 503 `behind` after the deadline. One that no node has is 400 `revision_unknown`, where a leader confirms that. One of
//!   another history is 409 `revision_lost`: drop it and ask again. (Not 410, which says that the *resource* is gone, and may be cached.)
//! * `X-NCore-Ack` on changes that end something: `committed`, `all` or `all_except_serving`, with the ids of those nodes in
//!   `X-NCore-Ack-Except`. `Prefer: ack=all` waits until no node acts on what was before.
//! * `RateLimit`, `RateLimit-Policy` and `X-RateLimit-*`, where the request counts for a limit; 429 when that is reached.
//! * Errors are `application/problem+json` with `code`, `request_id` and, where it matters to the caller, `outcome`; the table
//!   of all of them is in `problem`. They come in the order 401, 403, 404, 400.
//! * A body that nobody wants is read to a bound, so that the client gets to see the answer.

mod front;
mod problem;
mod v1;
mod v2;

use std::{net::IpAddr, sync::Arc};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use ncore_domain::{Domain, Explains, Logs};
use ncore_limits::Limiter;
use ncore_telemetry::Usage;
use tower::ServiceExt;

pub use front::{PeerAddress, RequestId};
pub use v2::{BearerError, bearer_token, site_of};

/// An error of a part that this crate knows nothing about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the API stands on.
pub struct ApiParts {
    /// What can be done.
    pub domain: Arc<Domain>,
    /// Where the requests of clients are counted.
    pub usage: Arc<Usage>,
    /// Which requests may go on.
    pub limiter: Limiter,
    /// The access log of the cluster.
    pub logs: Arc<Logs>,
    /// Why requests for zones are answered as they are.
    pub explains: Arc<Explains>,
}

/// The API as an axum router. It answers every path: those that it does not know with 404.
///
/// A [`RequestId`] in the extensions of a request is taken over; without one it is found or made here. A [`PeerAddress`] says where the request
/// comes from; without one it comes from an address that is nobody's.
pub fn router(parts: ApiParts) -> Router {
    let families = v2::routes(Arc::clone(&parts.domain)).merge(v1::routes(Arc::clone(&parts.domain)));
    front::around(families, parts)
}

/// What the API is, as an OpenAPI document: the one at `/api/v2/openapi.json`.
#[must_use]
pub fn openapi() -> serde_json::Value {
    v2::reference()
}

/// The API as a service over any body. A handle: clones are the same API.
#[derive(Clone)]
pub struct Api {
    router: Router,
}

impl Api {
    /// The API over these parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        Self { router: router(parts) }
    }

    /// Answers one request, which whoever took it calls `id`, and which came from the address `peer`.
    pub async fn call<B>(&self, mut request: Request<B>, id: &str, peer: IpAddr) -> Response<UnsyncBoxBody<Bytes, BoxError>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(id) = RequestId::parse(id) {
            request.extensions_mut().insert(id);
        }
        request.extensions_mut().insert(PeerAddress(peer));
        let answer = self.router.clone().oneshot(request.map(Body::new)).await;
        let response = answer.unwrap_or_else(|never| match never {});
        response.map(|body| body.map_err(BoxError::from).boxed_unsync())
    }
}
