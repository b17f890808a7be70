//! Who asks: bearer tokens (RFC 6750), in the `Authorization` header and nowhere else.

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION, request::Parts};
use ncore_domain::{AdministratorError, Administrators, Denied, Domain, Principal, TokenError};
use ncore_model::{Administrator, Scope};

use super::{called_from, message::form};
use crate::{
    front::{Caller, Turnstile, presented},
    problem::{Kind, Problem},
};

/// The client that asks, if it may do what needs `scope`.
///
/// # Errors
/// 401, 429 and 403, in that order, and 400 for what is wrong with the headers that every request may have.
pub(super) async fn authorize(domain: &Domain, head: &Parts, scope: Scope) -> Result<Principal, Problem> {
    let principal = known(domain, head).await?;
    pass(head, &principal, Some(scope)).await?;
    principal.require(scope).map_err(not_allowed)?;
    presented(&head.headers)?;
    Ok(principal)
}

/// The client that asks, whatever its token is good for.
///
/// # Errors
/// 401, 429 and 403, in that order, and 400.
pub(super) async fn identify(domain: &Domain, head: &Parts) -> Result<Principal, Problem> {
    let principal = known(domain, head).await?;
    pass(head, &principal, None).await?;
    Ok(principal)
}

/// The same client again, while it is being answered: its request was counted when it came.
///
/// # Errors
/// 401 and 403, and 400.
pub(super) async fn still(domain: &Domain, head: &Parts, scope: Scope) -> Result<Principal, Problem> {
    let principal = known(domain, head).await?;
    principal.require(scope).map_err(not_allowed)?;
    Ok(principal)
}

/// The client whose token is shown. A request with one that is not good counts for the address that it comes from.
pub(crate) async fn known(domain: &Domain, head: &Parts) -> Result<Principal, Problem> {
    let shown = match bearer(&head.headers, &head.uri) {
        Ok(token) => domain.tokens().verify(token, &called_from::of(head)).await.map_err(not_valid),
        Err(problem) => Err(problem),
    };
    let principal = shown.map_err(|problem| refused(head, problem))?;
    tracing::Span::current().record("client", principal.client.as_str());
    if let Some(caller) = head.extensions.get::<Caller>() {
        caller.is(&principal.client);
    }
    Ok(principal)
}

/// Counts a request with a good token.
async fn pass(head: &Parts, principal: &Principal, scope: Option<Scope>) -> Result<(), Problem> {
    match head.extensions.get::<Turnstile>() {
        Some(turnstile) => turnstile.pass(principal, scope).await,
        None => Ok(()),
    }
}

/// What a request without a good token is refused with.
fn refused(head: &Parts, problem: Problem) -> Problem {
    match head.extensions.get::<Turnstile>() {
        Some(turnstile) => turnstile.pass_refused(problem),
        None => problem,
    }
}

/// The administrator who asks. There is no limit for how often.
///
/// # Errors
/// 400, 401, 429 and, for a token of a client, 403.
pub(crate) async fn administrator(domain: &Domain, head: &Parts) -> Result<Administrator, Problem> {
    let token = bearer(&head.headers, &head.uri).map_err(|problem| refused(head, problem))?;
    if !Administrators::is_token(token) {
        identify(domain, head).await?;
        return Err(Problem::new(Kind::AdministratorRequired, "this is for administrators"));
    }
    let administrator = domain.administrators().verify(token).await.map_err(|error| refused(head, no_administrator(error)))?;
    tracing::Span::current().record("client", administrator.id.as_str());
    Ok(administrator)
}

/// Whether a request shows the token of an administrator, good or not.
pub(crate) fn shows_administrator(headers: &HeaderMap) -> bool {
    let text = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = text.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.is_some_and(|(_, token)| Administrators::is_token(token.trim()))
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
        TokenError::Address => return Problem::new(Kind::AddressNotAllowed, error.to_string()),
        TokenError::Site => return Problem::new(Kind::SiteNotAllowed, error.to_string()),
        _ => {}
    }
    let challenge = format!(r#"{CHALLENGE}, error="invalid_token", error_description="{error}""#);
    Problem::new(Kind::TokenInvalid, error.to_string()).with_challenge(challenge)
}

fn no_administrator(error: AdministratorError) -> Problem {
    match error {
        AdministratorError::State(error) => error.into(),
        AdministratorError::Change(error) => error.into(),
        AdministratorError::Entropy => Problem::internal(&error),
        AdministratorError::Fenced(fenced) => Problem::new(Kind::Fenced, fenced.to_string()),
        AdministratorError::Refused => {
            let challenge = format!(r#"{CHALLENGE}, error="invalid_token", error_description="{error}""#);
            Problem::new(Kind::TokenInvalid, error.to_string()).with_challenge(challenge)
        }
    }
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
