//! Who may have a restricted asset: whoever shows a token of its owner that is good for reading, or an address that the owner has signed.
//!
//! It joins the data plane, which knows no credentials, and the domain, which knows no requests.

use std::{error::Error, sync::Arc};

use futures_util::future::BoxFuture;
use ncore_api::{BearerError, bearer_token, site_of};
use ncore_domain::{CalledFrom, DenialReason, Denied, Domain, Principal, StateError, TokenError, VisitError, is_signed};
use ncore_model::Scope;
use ncore_serving::{Admission, Refused, RefusedReason, Visit};

pub(super) struct Doorkeeper {
    domain: Arc<Domain>,
}

impl Doorkeeper {
    pub(super) fn new(domain: Arc<Domain>) -> Self {
        Self { domain }
    }
}

impl Admission for Doorkeeper {
    fn admit(&self, visit: Visit) -> BoxFuture<'static, Result<(), Refused>> {
        let domain = Arc::clone(&self.domain);
        Box::pin(async move {
            let admitted = admit(&domain, &visit).await;
            if let Err(refused) = &admitted {
                note(&domain, &visit, refused);
            }
            admitted
        })
    }
}

/// Counts and logs who is not let in; not what is this node's fault.
fn note(domain: &Domain, visit: &Visit, refused: &Refused) {
    let reason = match refused.reason {
        RefusedReason::TokenMissing | RefusedReason::TokenMalformed | RefusedReason::TokenInvalid => DenialReason::Token,
        RefusedReason::ScopeMissing => DenialReason::Scope,
        RefusedReason::OfOther => DenialReason::Owner,
        RefusedReason::AddressNotAllowed => DenialReason::Address,
        RefusedReason::SiteNotAllowed => DenialReason::Site,
        RefusedReason::AddressInvalid => DenialReason::Signature,
        RefusedReason::Fenced | RefusedReason::Internal => return,
    };
    let _in = tracing::info_span!("restricted", path = visit.path).entered();
    domain.denials().note(reason, Some(visit.remote), &refused.detail);
}

async fn admit(domain: &Domain, visit: &Visit) -> Result<(), Refused> {
    match bearer_token(&visit.authorization) {
        Ok(token) => {
            let site = site_of(visit.origin.as_ref(), visit.host.as_deref());
            let from = CalledFrom { address: Some(visit.remote), site };
            let principal = domain.tokens().verify(token, &from).await.map_err(of_token)?;
            may_read(&principal, visit.owner.as_deref())
        }
        Err(BearerError::Missing) => match visit.query.as_deref().filter(|query| is_signed(query)) {
            Some(query) => {
                let checked = domain.signer().check(query, &visit.path, visit.owner.as_deref(), visit.remote).await;
                checked.map_err(of_address)
            }
            None => Err(refused(RefusedReason::TokenMissing, BearerError::Missing, "")),
        },
        Err(error @ BearerError::Malformed(_)) => Err(refused(RefusedReason::TokenMalformed, error, "invalid_request")),
    }
}

fn may_read(principal: &Principal, owner: Option<&str>) -> Result<(), Refused> {
    principal.require(Scope::AssetsRead).map_err(|denied| match denied {
        Denied::Scope(scope) => Refused {
            challenge: Some(format!(r#"{CHALLENGE}, error="insufficient_scope", scope="{}""#, scope.as_str())),
            ..refused(RefusedReason::ScopeMissing, denied, "")
        },
        Denied::UnderReview => Refused { challenge: None, ..refused(RefusedReason::ScopeMissing, denied, "") },
    })?;
    if owner.is_some_and(|owner| owner != principal.client.as_str()) {
        let reason = RefusedReason::OfOther;
        return Err(Refused { reason, detail: "the asset belongs to another client".to_owned(), challenge: None });
    }
    Ok(())
}

fn of_token(error: TokenError) -> Refused {
    match error {
        TokenError::State(error) => failed(&error),
        TokenError::Fenced(fenced) => Refused { challenge: None, ..refused(RefusedReason::Fenced, fenced, "") },
        TokenError::Address => Refused { challenge: None, ..refused(RefusedReason::AddressNotAllowed, error, "") },
        TokenError::Site => Refused { challenge: None, ..refused(RefusedReason::SiteNotAllowed, error, "") },
        error => refused(RefusedReason::TokenInvalid, error, "invalid_token"),
    }
}

fn of_address(error: VisitError) -> Refused {
    match error {
        VisitError::State(error) => failed(&error),
        VisitError::Fenced(fenced) => Refused { challenge: None, ..refused(RefusedReason::Fenced, fenced, "") },
        VisitError::Address(error) => refused(RefusedReason::AddressInvalid, error, ""),
    }
}

fn failed(error: &StateError) -> Refused {
    tracing::error!(error = error as &dyn Error, "whether a restricted asset may be given cannot be found out");
    Refused { reason: RefusedReason::Internal, detail: "this node failed; quote the request id".to_owned(), challenge: None }
}

/// A refusal with the challenge of RFC 6750; `error` is left out of it where nothing was shown (section 3.1).
fn refused(reason: RefusedReason, detail: impl Error, error: &str) -> Refused {
    let detail = detail.to_string();
    let challenge = match error {
        "" => CHALLENGE.to_owned(),
        error => format!(r#"{CHALLENGE}, error="{error}", error_description="{detail}""#),
    };
    Refused { reason, detail, challenge: Some(challenge) }
}

const CHALLENGE: &str = r#"Bearer realm="ncore""#;
