//! The errors of the token endpoint (RFC 6749, section 5.2).

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use ncore_domain::{AuthenticateError, ChangeError, DenialReason, IssueError, RefreshError, RevokeError, SigningKeyError};
use ncore_model::Rejection;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    front::Denial,
    problem::{Kind, Problem},
    v2::message::json,
};

/// Why there is no token.
#[derive(Debug)]
pub(super) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
    /// Whether the client showed its secret by HTTP Basic, and so is asked for it in that way.
    asks_for_basic: bool,
    /// After how many seconds another try may succeed.
    retry_after_s: Option<u64>,
    /// Why somebody was not let in, if that is what it says.
    denial: Option<DenialReason>,
}

/// The reply.
#[derive(Serialize, JsonSchema)]
pub(in crate::v2) struct OauthDocument<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl OauthError {
    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(super) fn unsupported_grant_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "the grant types of this endpoint are client_credentials and refresh_token",
        )
    }

    pub(super) fn invalid_scope(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    pub(super) fn invalid_client(description: impl Into<String>, asks_for_basic: bool) -> Self {
        Self { asks_for_basic, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description) }
    }

    /// A body that could not be read.
    pub(super) fn of_body(problem: &Problem) -> Self {
        match problem.kind() {
            Kind::BodyTooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large"),
            _ => Self::invalid_request("the body broke off"),
        }
    }

    pub(super) fn of_client(error: &AuthenticateError, is_basic: bool) -> Self {
        match error {
            AuthenticateError::Refused => Self::invalid_client(error.to_string(), is_basic).denied(DenialReason::Secret),
            AuthenticateError::Address => {
                Self::new(StatusCode::FORBIDDEN, "unauthorized_client", error.to_string()).denied(DenialReason::Address)
            }
            AuthenticateError::Slowed { wait } => {
                let slowed = Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", error.to_string()).denied(DenialReason::Slowed);
                Self { retry_after_s: Some(wait.as_secs() + 1), ..slowed }
            }
            AuthenticateError::Busy | AuthenticateError::Fenced(_) => Self::later(error.to_string()),
            AuthenticateError::Hash(_) | AuthenticateError::State(_) => Self::internal(error),
        }
    }

    pub(super) fn of_issue(error: &IssueError) -> Self {
        match error {
            IssueError::ScopeNotGranted(_) => Self::invalid_scope(error.to_string()),
            IssueError::Key(SigningKeyError::Change(ChangeError::Unavailable { .. } | ChangeError::Unknown { .. })) => {
                Self::later("the cluster has no key to sign with, and can take none now")
            }
            IssueError::Key(_) | IssueError::Sealed(_) | IssueError::Sign(_) | IssueError::State(_) => Self::internal(error),
        }
    }

    pub(super) fn of_refresh(error: &RefreshError) -> Self {
        match error {
            RefreshError::Refused | RefreshError::Reused => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_grant", error.to_string()).denied(DenialReason::Refresh)
            }
            RefreshError::Scope(_) => Self::invalid_scope(error.to_string()),
            RefreshError::Fenced(_) => Self::later(error.to_string()),
            RefreshError::Issue(error) => Self::of_issue(error),
            RefreshError::Change(ChangeError::Unavailable { .. }) => {
                Self::later("the cluster cannot take changes now; the refresh token is good as before")
            }
            RefreshError::Change(ChangeError::Unknown { .. }) => {
                Self::later("whether the refresh token was used is not known: do not use it again, ask with the secret")
            }
            RefreshError::Change(_) | RefreshError::State(_) | RefreshError::Entropy => Self::internal(error),
        }
    }

    pub(super) fn of_revoke(error: &RevokeError) -> Self {
        match error {
            RevokeError::OfOther => Self::invalid_request(error.to_string()).denied(DenialReason::Owner),
            RevokeError::Behind(_) => Self::later(error.to_string()),
            RevokeError::Change(ChangeError::Unavailable { .. }) => {
                Self::later("the cluster cannot take changes now; the token is good as before")
            }
            RevokeError::Change(ChangeError::Unknown { .. }) => Self::later("whether the token was revoked is not known; ask again"),
            RevokeError::Change(ChangeError::Rejected { rejection: Rejection::SchemaTooLow { .. }, .. }) => {
                Self::later("tokens can be revoked once every node has been upgraded")
            }
            RevokeError::Change(_) | RevokeError::State(_) => Self::internal(error),
        }
    }

    pub(super) fn later(description: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description) }
    }

    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "no token for a reason of this node's own");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "this node failed; quote the request id")
    }

    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), asks_for_basic: false, retry_after_s: None, denial: None }
    }

    fn denied(self, reason: DenialReason) -> Self {
        Self { denial: Some(reason), ..self }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        tracing::debug!(error = self.error, description = self.description, "no token");
        let document = OauthDocument { error: self.error, error_description: &self.description };
        let mut response = json::respond(self.status, &document);
        if let Some(reason) = self.denial {
            response.extensions_mut().insert(Denial { reason, detail: self.description });
        }
        let headers = response.headers_mut();
        if self.asks_for_basic {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="ncore", charset="UTF-8""#));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
