//! What others need to know to get tokens here and to check them: the metadata of RFC 8414 and the public keys (RFC 7517).
//!
//! The issuer is what tokens have as `iss` (RFC 8414, section 3.3). Every node publishes the same keys.

use axum::{
    extract::{Request, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use ncore_model::Scope;
use schemars::JsonSchema;
use serde::Serialize;

use super::message::json::respond;
use crate::{
    front::{Shared, at, presented},
    problem::Problem,
};

/// How long others may keep them: a fraction of the time for which a key is published before it signs.
const KEPT_FOR: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// The first key signs at once: that there is none may not be kept.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");

/// The metadata (RFC 8414, section 2).
#[derive(Serialize, JsonSchema)]
pub(super) struct AuthorizationServer {
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    scopes_supported: Vec<&'static str>,
    /// There is no authorization endpoint to ask for any. But the member is required, and may not be empty (section 3.2): this is the
    /// registered type with which nothing is given.
    response_types_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
}

/// The public keys (RFC 7517, section 5).
#[derive(Serialize, JsonSchema)]
pub(super) struct Keys {
    keys: Vec<Key>,
}

#[derive(Serialize, JsonSchema)]
struct Key {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
}

pub(super) async fn authorization_server(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    let base = domain.public_url();
    let issuer = domain.tokens().issuer().await?;
    let methods = ["client_secret_basic", "client_secret_post"];
    let document = AuthorizationServer {
        issuer,
        token_endpoint: format!("{base}/api/v2/auth/token"),
        jwks_uri: format!("{base}/.well-known/jwks.json"),
        revocation_endpoint: format!("{base}/api/v2/auth/revoke"),
        introspection_endpoint: format!("{base}/api/v2/auth/introspect"),
        scopes_supported: Scope::ALL.map(Scope::as_str).to_vec(),
        response_types_supported: ["none"],
        grant_types_supported: ["client_credentials", "refresh_token"],
        token_endpoint_auth_methods_supported: methods,
        revocation_endpoint_auth_methods_supported: methods,
        introspection_endpoint_auth_methods_supported: methods,
    };
    let mut response = respond(StatusCode::OK, &document);
    response.headers_mut().insert(CACHE_CONTROL, KEPT_FOR);
    Ok(response)
}

pub(super) async fn keys(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    let keys = domain.signing_keys().published().await?;
    let kept_for = if keys.value.is_empty() { NOT_KEPT } else { KEPT_FOR };
    let published = keys.value.iter().map(|(key, _)| Key {
        kty: "OKP",
        crv: "Ed25519",
        r#use: "sig",
        alg: "EdDSA",
        kid: key.id.clone(),
        x: URL_SAFE_NO_PAD.encode(&key.public),
    });
    let mut response = at(keys.revision, respond(StatusCode::OK, &Keys { keys: published.collect() }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, kept_for);
    Ok(response)
}
