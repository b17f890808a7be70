//! `GET /api/v2/account`: what a client is, what its plan allows and what it uses. Any token of it will do.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;

use super::{admin::Client, auth::identify, message::json};
use crate::{
    front::{Shared, at, presented},
    problem::{Kind, Problem},
};

pub(super) async fn show(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = identify(&domain, &head).await?;
    presented(&head.headers)?;
    let seen = domain.clients().details(caller.client).await?;
    let details = seen.value.ok_or_else(|| Problem::new(Kind::ClientNotFound, "the client is gone"))?;
    Ok(at(seen.revision, json::respond(StatusCode::OK, &Client::from(details))))
}
