//! Who is not let in is counted, and logged with where it came from.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use ncore_domain::DenialReason;

use super::{PeerAddress, Shared};
use crate::problem::{Kind, Problem};

/// In the extensions of a response that is no [`Problem`]: why somebody was not let in.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    pub(crate) reason: DenialReason,
    pub(crate) detail: String,
}

/// Notes it. What is this node's fault, and what the client is allowed and got wrong, is no denial.
pub(super) async fn noted(State(domain): Shared, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
    let mut response = next.run(request).await;
    let of_problem =
        response.extensions().get::<Problem>().and_then(|problem| Some((reason(problem.kind())?, problem.detail().to_owned())));
    let denied = of_problem.or_else(|| response.extensions_mut().remove::<Denial>().map(|denial| (denial.reason, denial.detail)));
    if let Some((reason, detail)) = denied {
        domain.denials().note(reason, address, &detail);
    }
    response
}

fn reason(kind: Kind) -> Option<DenialReason> {
    Some(match kind {
        Kind::TokenMissing | Kind::TokenMalformed | Kind::TokenInvalid => DenialReason::Token,
        Kind::ScopeMissing | Kind::AdministratorRequired => DenialReason::Scope,
        Kind::AssetOfOther => DenialReason::Owner,
        Kind::ClientUnderReview | Kind::ClientBlocked => DenialReason::Review,
        Kind::AddressNotAllowed => DenialReason::Address,
        Kind::SiteNotAllowed => DenialReason::Site,
        _ => return None,
    })
}
