//! Version 2: the native API.

mod account;
mod admin;
mod assets;
mod auth;
mod called_from;
mod cursor;
mod document;
mod logs;
mod message;
mod metadata;
mod metrics;
mod purge;
mod reference;
mod replication;
mod resumable;
mod shape;
mod sign;
mod status;
mod token;
mod upload;
mod written;

use std::sync::Arc;

use axum::{
    Router,
    middleware::map_response,
    routing::{get, head, post},
};
use ncore_domain::Domain;

use crate::problem::{Kind, Problem};

pub use auth::{BearerError, bearer_token};
pub(crate) use auth::{administrator, known, shows_administrator};
pub use called_from::site_of;
pub(crate) use document::render;
pub(crate) use message::{ack, form, headers::idempotency_key, json};
pub(crate) use reference::document as reference;

/// Where anybody sees that the node works.
pub(crate) const STATUS_PATH: &str = "/api/v2/status";
/// Where assets are uploaded to.
pub(crate) const UPLOAD_PATH: &str = "/api/v2/assets/upload";
/// Where uploads are that come in pieces.
pub(crate) const UPLOADS_PATH: &str = "/api/v2/uploads";

pub(crate) fn routes(domain: Arc<Domain>) -> Router {
    Router::new()
        .route("/api/v2/auth/token", post(token::issue))
        .route("/api/v2/auth/revoke", post(token::revoke))
        .route("/api/v2/auth/introspect", post(token::introspect))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/.well-known/jwks.json", get(metadata::keys))
        .merge(admin::routes())
        .route("/api/v2/account", get(account::show))
        .route(STATUS_PATH, get(status::show))
        .route("/api/v2/openapi.json", get(reference::show))
        .route(UPLOAD_PATH, post(upload::upload))
        .merge(uploads())
        .route("/api/v2/assets", get(assets::list))
        .route("/api/v2/assets/delete", post(assets::delete_all))
        .route("/api/v2/assets/sign", post(sign::sign))
        .route("/api/v2/assets/signing-key", get(sign::key))
        .route("/api/v2/assets/{id}/move", post(assets::move_to))
        .route("/api/v2/assets/{id}", get(assets::show).patch(assets::patch).delete(assets::delete))
        .route("/api/v2/assets/{id}/replication", get(replication::show))
        .route("/api/v2/cache/purge", post(purge::purge))
        .route("/api/v2/metrics", get(metrics::show))
        .route("/api/v2/logs", get(logs::list))
        .route("/api/v2/logs/stream", get(logs::follow))
        .fallback(async || Problem::new(Kind::EndpointNotFound, "no such endpoint"))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "the Allow header names the methods that this endpoint has")
        })
        .with_state(domain)
}

/// Uploads in pieces, which say on every response what protocol they follow.
fn uploads() -> Router<Arc<Domain>> {
    Router::new()
        .route("/api/v2/uploads", post(resumable::create).options(resumable::discover))
        .route(
            "/api/v2/uploads/{id}",
            head(resumable::show)
                .patch(resumable::append)
                .delete(resumable::end)
                .post(resumable::by_another_name)
                .options(resumable::discover),
        )
        .layer(map_response(resumable::introduced))
}
