//! `GET /api/v2/status`: for anybody.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;

use super::{message::json, shape};
use crate::{
    front::{Shared, at, presented},
    problem::Problem,
};

pub(super) async fn show(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    let status = domain.status().await?;
    Ok(at(status.revision, json::respond(StatusCode::OK, &shape::Status::from(status))))
}
