//! Version 1: zones, in the shapes that clients of its contract know.
//!
//! It has nothing of version 2 but how requests prove who they are and how messages are read. Its errors are `{"message": …}`, with `errors`
//! by field where the request is at fault; lists have `data`, `links` and `meta`; times are ISO 8601.

mod auth;
mod document;
mod page;
mod refusal;
mod zones;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use ncore_domain::Domain;

use crate::problem::{Kind, Problem};

pub(crate) use document::render;

/// What its paths begin with.
const BASE: &str = "/api/v1/";

pub(crate) fn routes(domain: Arc<Domain>) -> Router {
    Router::new()
        .route("/api/v1/zones", get(zones::list).post(zones::create))
        .route("/api/v1/zones/{uuid}", get(zones::show).put(zones::update).patch(zones::update).delete(zones::remove))
        .route("/api/v1/zones/{uuid}/purge", post(zones::purges::purge).get(zones::purges::list))
        .route("/api/v1/zones/{uuid}/purge/{id}", get(zones::purges::show))
        .route("/api/v1/zones/{uuid}/explain", get(zones::explain::explain))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "the Allow header names the methods that this endpoint has")
        })
        .with_state(domain)
}
