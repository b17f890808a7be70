//! `POST /api/v2/auth/introspect`: whether an access token is good, and what for (RFC 7662).
//!
//! A client asks about tokens of its own, an administrator about anybody's. What is not good, or not to be known, is `active: false`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use ncore_domain::{Domain, TokenError};
use ncore_model::ClientId;
use schemars::JsonSchema;
use serde::Serialize;

use super::{TokenRequest, authenticated, error::OauthError, never_stored, request};
use crate::{
    front::{Shared, presented},
    problem::Problem,
    v2::{auth, message::json as message},
};

pub(in crate::v2) async fn introspect(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    if auth::shows_administrator(request.headers()) {
        let (head, body) = request.into_parts();
        auth::administrator(&domain, &head).await?;
        let body = message::read(body).await?;
        let token = request::token(&head.headers, &body);
        return Ok(match token {
            Ok(token) => never_stored(facts(&domain, &token, None).await),
            Err(error) => never_stored(Err(error)),
        });
    }
    Ok(never_stored(answer(&domain, request).await))
}

async fn answer(domain: &Domain, request: Request) -> Result<Response, OauthError> {
    let (client, TokenRequest { token, .. }) = authenticated(domain, request).await?;
    let token = token.ok_or_else(|| OauthError::invalid_request("token is missing"))?;
    facts(domain, &token, Some(&client.id)).await
}

/// What a token is good for (RFC 7662, section 2.2). If it is good for nothing, there is `active` alone.
#[derive(Serialize, JsonSchema)]
pub(in crate::v2) struct Facts {
    active: bool,
    #[serde(flatten)]
    more: Option<More>,
}

#[derive(Serialize, JsonSchema)]
struct More {
    scope: String,
    client_id: String,
    sub: String,
    token_type: &'static str,
    iss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

async fn facts(domain: &Domain, token: &str, owner: Option<&ClientId>) -> Result<Response, OauthError> {
    let facts = domain.tokens().facts(token, owner).await.map_err(|error| match error {
        TokenError::Fenced(fenced) => OauthError::later(fenced.to_string()),
        error => OauthError::internal(&error),
    })?;
    let more = facts.map(|facts| More {
        scope: facts.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
        client_id: facts.client.to_string(),
        sub: facts.client.to_string(),
        token_type: "Bearer",
        iss: facts.issuer,
        aud: facts.audience,
        jti: facts.token_id,
        iat: facts.issued_at_s,
        nbf: facts.begins_at_s,
        exp: facts.ends_at_s,
    });
    Ok(message::respond(StatusCode::OK, &Facts { active: more.is_some(), more }))
}
