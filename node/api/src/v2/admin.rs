//! `/api/v2/admin/…`: what administrators do, with tokens of their own.

mod clients;
mod page;
mod shape;

pub(super) use shape::{Changes, Client, ClientPage, GivenToken, NewClient, Wanted};

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use ncore_domain::Domain;

pub(super) fn routes() -> Router<Arc<Domain>> {
    Router::new()
        .route("/api/v2/admin/clients", get(clients::list).post(clients::register))
        .route("/api/v2/admin/clients/{id}", get(clients::show).patch(clients::change).delete(clients::delete))
        .route("/api/v2/admin/clients/{id}/secret", post(clients::rotate_secret))
        .route("/api/v2/admin/clients/{id}/refresh-tokens", post(clients::add_refresh_token))
}
