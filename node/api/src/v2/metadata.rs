//! What others need to know to get tokens here and to check them: the metadata of RFC 8414 and the public keys (RFC 7517).

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
use serde_json::json;

use super::message::json::respond;
use crate::{
    front::{Shared, at, presented},
    problem::Problem,
};

/// How long others may keep them: a fraction of the time for which a key is published before it signs.
const KEPT_FOR: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(super) async fn authorization_server(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    let base = domain.public_url();
    let methods = ["client_secret_basic", "client_secret_post"];
    let document = json!({
        "issuer": base,
        "token_endpoint": format!("{base}/api/v2/auth/token"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "revocation_endpoint": format!("{base}/api/v2/auth/revoke"),
        "introspection_endpoint": format!("{base}/api/v2/auth/introspect"),
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        // There is no authorization endpoint, so none is supported; the member is required.
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
    });
    let mut response = respond(StatusCode::OK, &document);
    response.headers_mut().insert(CACHE_CONTROL, KEPT_FOR);
    Ok(response)
}

pub(super) async fn keys(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    presented(request.headers())?;
    let keys = domain.signing_keys().list().await?;
    let published: Vec<_> = keys
        .value
        .iter()
        .map(|(key, _)| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id, "x": URL_SAFE_NO_PAD.encode(&key.public),
            })
        })
        .collect();
    let mut response = at(keys.revision, respond(StatusCode::OK, &json!({ "keys": published })));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, KEPT_FOR);
    Ok(response)
}
