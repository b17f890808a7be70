//! `GET /api/v2/assets/{id}/replication`: which node holds an asset.

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use ncore_model::Scope;

use super::{assets::asset_id, auth::authorize, message::json, shape};
use crate::{
    front::{Shared, at},
    problem::Problem,
};

pub(super) async fn show(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsRead).await?;
    let replication = domain.assets().replication(&caller.client, &asset_id(id)?).await?;
    Ok(at(replication.revision, json::respond(StatusCode::OK, &shape::Replicas::from(replication.value))))
}
