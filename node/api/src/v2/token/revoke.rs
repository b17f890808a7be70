//! `POST /api/v2/auth/revoke`: the end of an access token before its time (RFC 7009).
//!
//! The client proves who it is as for a token, and sends the token as `token`. The answer is 200 once no node accepts the token any
//! more, also for what is no token at all; `X-NCore-Ack` says if less than that could be reached. `Prefer: ack=committed` does not wait
//! for the other nodes.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use ncore_domain::{AckLevel, Domain};

use super::{TokenRequest, authenticated, error::OauthError, never_stored};
use crate::{
    front::{Shared, at, presented},
    problem::Problem,
    v2::message::ack,
};

pub(in crate::v2) async fn revoke(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    Ok(never_stored(answer(&domain, request).await))
}

async fn answer(domain: &Domain, request: Request) -> Result<Response, OauthError> {
    let level = ack::level(request.headers(), AckLevel::All);
    let (client, TokenRequest { token, .. }) = authenticated(domain, request).await?;
    let token = token.ok_or_else(|| OauthError::invalid_request("token is missing"))?;
    let revoked = domain.tokens().revoke(&token, Some(&client.id), level).await.map_err(|error| OauthError::of_revoke(&error))?;
    Ok(at(revoked.revision, ack::say(&revoked.acknowledged, StatusCode::OK)))
}
