//! Who asks, and how often: the access tokens of version 2, and limits of version 1.

use http::request::Parts;
use ncore_domain::{Denied, Domain, Principal};
use ncore_limits::Class;
use ncore_model::Scope;

use crate::{
    front::{Turnstile, presented},
    problem::{Kind, Problem},
    v2::known,
};

/// The client that asks, if it may do what needs `scope`.
///
/// # Errors
/// 401, 429 and 403, in that order, and 400 for what is wrong with the headers that every request may have.
pub(super) async fn authorize(domain: &Domain, head: &Parts, scope: Scope) -> Result<Principal, Problem> {
    let principal = known(domain, head).await?;
    let class = match scope {
        Scope::CachePurge => Class::V1Purges,
        Scope::ZonesWrite | Scope::AssetsWrite => Class::V1Writes,
        Scope::ZonesRead | Scope::AssetsRead | Scope::MetricsRead => Class::V1Reads,
    };
    if let Some(turnstile) = head.extensions.get::<Turnstile>() {
        turnstile.pass_as(&principal, class).await?;
    }
    principal.require(scope).map_err(|denied| match denied {
        Denied::UnderReview => Problem::new(Kind::ClientUnderReview, denied.to_string()),
        Denied::Scope(_) => Problem::new(Kind::ScopeMissing, denied.to_string()),
    })?;
    presented(&head.headers)?;
    Ok(principal)
}
