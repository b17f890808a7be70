//! `POST /api/v2/auth/introspect`: whether an access token is good, and what for (RFC 7662).
//!
//! A client asks about tokens of its own, an administrator about anybody's. What is not good, or not to be known, is `active: false`.

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use ncore_domain::{Domain, TokenError};
use serde_json::json;

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

async fn facts(domain: &Domain, token: &str, owner: Option<&ncore_model::ClientId>) -> Result<Response, OauthError> {
    let facts = domain.tokens().facts(token, owner).await.map_err(|error| match error {
        TokenError::Fenced(fenced) => OauthError::later(fenced.to_string()),
        error => OauthError::internal(&error),
    })?;
    let Some(facts) = facts else { return Ok(message::respond(StatusCode::OK, &json!({ "active": false })).into_response()) };
    let scope = facts.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let document = json!({
        "active": true,
        "scope": scope,
        "client_id": facts.client,
        "sub": facts.client,
        "token_type": "Bearer",
        "iss": facts.issuer,
        "jti": facts.token_id,
        "iat": facts.issued_at_s,
        "nbf": facts.begins_at_s,
        "exp": facts.ends_at_s,
    });
    Ok(message::respond(StatusCode::OK, &document))
}
