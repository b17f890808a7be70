//! Who asks: bearer tokens (RFC 6750), in the `Authorization` header and nowhere else.

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION, request::Parts};
use ncore_domain::{Denied, Domain, Principal, TokenError};
use ncore_model::Scope;

use super::message::form;
use crate::{
    front::{Caller, Turnstile, presented},
    problem::{Kind, Problem},
};

/// The client that asks, if it may do what needs `scope`.
///
/// # Errors
/// 401, 429 and 403, in that order, and 400 for what is wrong with the headers that every request may have.
pub(super) async fn authorize(domain: &Domain, head: &Parts, scope: Scope) -> Result<Principal, Problem> {
    let turnstile = head.extensions.get::<Turnstile>();
    let shown = match bearer(&head.headers, &head.uri) {
        Ok(token) => domain.tokens().verify(token).await.map_err(not_valid),
        Err(problem) => Err(problem),
    };
    let principal = match (shown, turnstile) {
        (Ok(principal), _) => principal,
        (Err(problem), Some(turnstile)) => return Err(turnstile.pass_refused(problem)),
        (Err(problem), None) => return Err(problem),
    };
    tracing::Span::current().record("client", principal.client.as_str());
    if let Some(caller) = head.extensions.get::<Caller>() {
        caller.is(&principal.client);
    }
    if let Some(turnstile) = turnstile {
        turnstile.pass(&principal, scope).await?;
    }
    principal.require(scope).map_err(not_allowed)?;
    presented(&head.headers)?;
    Ok(principal)
}

fn bearer<'a>(headers: &'a HeaderMap, uri: &Uri) -> Result<&'a str, Problem> {
    if form::parse(uri.query().unwrap_or_default()).is_ok_and(|query| query.has("access_token")) {
        return Err(malformed("a token is sent in the Authorization header, not in the query"));
    }
    bearer_token(headers.get_all(AUTHORIZATION)).map_err(|error| match error {
        BearerError::Missing => missing(),
        BearerError::Malformed(detail) => malformed(detail),
    })
}

/// Why a request has no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// It shows nothing, or credentials of another kind.
    #[error("a token is required: Authorization: Bearer <token>")]
    Missing,
    /// What it shows is no token, or more than one.
    #[error("{0}")]
    Malformed(&'static str),
}

/// The token in the `Authorization` headers of a request.
///
/// # Errors
/// [`BearerError`].
pub fn bearer_token<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>) -> Result<&'a str, BearerError> {
    let mut values = headers.into_iter();
    let value = values.next().ok_or(BearerError::Missing)?;
    if values.next().is_some() {
        return Err(BearerError::Malformed("there is more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| BearerError::Malformed("the Authorization header is not text"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(BearerError::Missing);
    }
    // RFC 6750, section 2.1: b64token.
    let is_token = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    if is_token { Ok(token) } else { Err(BearerError::Malformed("the token has characters that no token has")) }
}

/// RFC 6750, section 3.1: without credentials there is no error to name.
fn missing() -> Problem {
    Problem::new(Kind::TokenMissing, BearerError::Missing.to_string()).with_challenge(CHALLENGE.to_owned())
}

fn malformed(detail: &str) -> Problem {
    let challenge = format!(r#"{CHALLENGE}, error="invalid_request", error_description="{detail}""#);
    Problem::new(Kind::TokenMalformed, detail).with_challenge(challenge)
}

fn not_valid(error: TokenError) -> Problem {
    match error {
        TokenError::State(error) => return error.into(),
        TokenError::Fenced(fenced) => return Problem::new(Kind::Fenced, fenced.to_string()),
        _ => {}
    }
    let challenge = format!(r#"{CHALLENGE}, error="invalid_token", error_description="{error}""#);
    Problem::new(Kind::TokenInvalid, error.to_string()).with_challenge(challenge)
}

fn not_allowed(denied: Denied) -> Problem {
    match denied {
        Denied::UnderReview => Problem::new(Kind::ClientUnderReview, denied.to_string()),
        Denied::Scope(scope) => {
            let challenge = format!(r#"{CHALLENGE}, error="insufficient_scope", scope="{}""#, scope.as_str());
            Problem::new(Kind::ScopeMissing, denied.to_string()).with_challenge(challenge)
        }
    }
}

const CHALLENGE: &str = r#"Bearer realm="ncore""#;
