//! `GET /api/v2/status`: for anybody.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;

use super::{json, problem::Problem, shape};
use crate::front::{Shared, at, presented};

pub(super) async fn show(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    let status = domain.status().await?;
    Ok(at(status.revision, json::respond(StatusCode::OK, &shape::Status::from(status))))
}
