//! Who may have an asset that is not for everybody: the trait through which this crate asks.
//!
//! What a token or a signed address is worth, the control plane knows. It is asked for restricted assets alone; nothing of this is in
//! the way of public ones.

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use http::{
    HeaderValue, StatusCode,
    header::{AUTHORIZATION, ORIGIN},
};

use super::AssetRequest;
use crate::metrics::Outcome;

/// Decides about requests for restricted assets.
pub trait Admission: Send + Sync {
    /// Whether whoever makes this request may have what is at the path.
    fn admit(&self, visit: Visit) -> BoxFuture<'static, Result<(), Refused>>;
}

/// A request for a restricted asset.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The path of the asset: decoded, without a leading slash.
    pub path: String,
    /// Whose asset it is; `None` if there is none at the path, which only those are to hear who could have had it.
    pub owner: Option<String>,
    /// Its `Authorization` headers.
    pub authorization: Vec<HeaderValue>,
    /// What follows `?`, as sent.
    pub query: Option<String>,
    /// Its `Origin`: whose page asks.
    pub origin: Option<HeaderValue>,
    /// The host, with its port, that is asked.
    pub host: Option<String>,
    /// Who asks.
    pub remote: IpAddr,
}

impl Visit {
    pub(super) fn new(path: &str, owner: Option<&str>, request: &AssetRequest<'_>) -> Self {
        Self {
            path: path.to_owned(),
            owner: owner.map(str::to_owned),
            authorization: request.headers.get_all(AUTHORIZATION).into_iter().cloned().collect(),
            query: request.query.map(str::to_owned),
            origin: request.headers.get(ORIGIN).cloned(),
            host: request.host.map(str::to_owned),
            remote: request.remote,
        }
    }
}

/// Why a restricted asset is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which kind of refusal it is.
    pub reason: RefusedReason,
    /// What to tell.
    pub detail: String,
    /// The `WWW-Authenticate` of RFC 6750, section 3.
    pub challenge: Option<String>,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedReason {
    /// Nothing was shown.
    TokenMissing,
    /// What was shown is no token, or there are two.
    TokenMalformed,
    /// The token is not good.
    TokenInvalid,
    /// The token is good for other things.
    ScopeMissing,
    /// The token is of another client.
    OfOther,
    /// The token may not be used from this address.
    AddressNotAllowed,
    /// The token may not be used by pages of this site.
    SiteNotAllowed,
    /// The address is signed, and not for this.
    AddressInvalid,
    /// The node cannot check anything now.
    Fenced,
    /// The node failed.
    Internal,
}

impl RefusedReason {
    pub(super) fn row(self) -> (StatusCode, Outcome) {
        match self {
            Self::TokenMissing => (StatusCode::UNAUTHORIZED, Outcome::TokenMissing),
            Self::TokenMalformed => (StatusCode::BAD_REQUEST, Outcome::TokenMalformed),
            Self::TokenInvalid => (StatusCode::UNAUTHORIZED, Outcome::TokenInvalid),
            Self::ScopeMissing => (StatusCode::FORBIDDEN, Outcome::ScopeMissing),
            Self::OfOther => (StatusCode::FORBIDDEN, Outcome::AssetOfOther),
            Self::AddressNotAllowed => (StatusCode::FORBIDDEN, Outcome::AddressNotAllowed),
            Self::SiteNotAllowed => (StatusCode::FORBIDDEN, Outcome::SiteNotAllowed),
            Self::AddressInvalid => (StatusCode::UNAUTHORIZED, Outcome::AddressInvalid),
            Self::Fenced => (StatusCode::SERVICE_UNAVAILABLE, Outcome::Fenced),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Outcome::Internal),
        }
    }
}
