//! `POST /api/v2/auth/token`: an access token for a client's secret (RFC 6749, section 4.4), or for a refresh token (section 6).
//!
//! The secret comes as JSON (`{"client_id","secret","scope"}`), as a form, or by HTTP Basic, in one of these ways only.
//! Errors are those of OAuth, `{"error","error_description"}`, and no problem documents.

mod error;
mod introspect;
mod request;
mod revoke;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, PRAGMA},
};
use ncore_domain::{Domain, Refreshed};
use ncore_model::{Client, Scope};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{called_from, message::json};
use crate::{
    front::{Shared, at, presented},
    problem::Problem,
};
pub(super) use error::OauthDocument;
pub(super) use introspect::{Facts, introspect};
pub(super) use request::Parameters;
pub(super) use revoke::revoke;

use error::OauthError;
use request::{Grant, TokenRequest};

/// The reply (RFC 6749, section 5.1).
#[derive(Serialize, JsonSchema)]
pub(super) struct Reply {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

pub(super) async fn issue(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    Ok(never_stored(answer(&domain, request).await))
}

/// The answer, or the error, for nobody to keep.
fn never_stored(answer: Result<Response, OauthError>) -> Response {
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Who asks, and what for.
async fn authenticated(domain: &Domain, request: Request) -> Result<(Client, TokenRequest), OauthError> {
    let (head, body) = request.into_parts();
    let body = json::read(body).await.map_err(|problem| OauthError::of_body(&problem))?;
    let wanted = TokenRequest::parse(&head.headers, &body)?;
    let from = called_from::of(&head);
    let authenticated = domain.clients().authenticate_from(&wanted.client_id, wanted.secret.clone(), &from).await;
    let client = authenticated.map_err(|error| OauthError::of_client(&error, wanted.is_basic))?;
    tracing::Span::current().record("client", client.id.as_str());
    Ok((client, wanted))
}

async fn answer(domain: &Domain, request: Request) -> Result<Response, OauthError> {
    let (client, TokenRequest { scope, grant, .. }) = authenticated(domain, request).await?;
    let scopes = scope.as_deref().map(scopes).transpose()?;
    let (issued, refresh_token) = match grant? {
        Grant::ClientCredentials => {
            let issued = domain.tokens().issue(&client, scopes.as_deref()).await;
            (issued.map_err(|error| OauthError::of_issue(&error))?, None)
        }
        Grant::RefreshToken(token) => {
            let refreshed = domain.tokens().refresh(&client, &token, scopes.as_deref()).await;
            let Refreshed { access, refresh_token } = refreshed.map_err(|error| OauthError::of_refresh(&error))?;
            (access, Some(refresh_token.expose_secret().to_owned()))
        }
    };
    let reply = Reply {
        access_token: issued.token,
        token_type: "Bearer",
        expires_in: issued.expires_in_s,
        scope: issued.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
        refresh_token,
    };
    Ok(at(issued.revision, json::respond(StatusCode::OK, &reply)))
}

/// The scopes that are asked for, each once.
fn scopes(text: &str) -> Result<Vec<Scope>, OauthError> {
    let mut scopes = Vec::new();
    for name in text.split(' ').filter(|name| !name.is_empty()) {
        let scope = name.parse().map_err(|()| OauthError::invalid_scope("a scope that is asked for does not exist"))?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() { Err(OauthError::invalid_scope("the scope names nothing")) } else { Ok(scopes) }
}
