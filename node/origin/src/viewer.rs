//! Who asked, as the caller knows it, and what origins are told of that. Put into the extensions of a request; without it an origin is
//! told nothing.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::url::Scheme;

/// Who asked.
#[derive(Debug, Clone)]
pub struct ViewerInfo {
    /// The viewer's address, as the listener saw it.
    pub address: IpAddr,
    /// How the viewer spoke to this node.
    pub scheme: Scheme,
    /// The host that the viewer asked for, with the port if it named one.
    pub host: Arc<str>,
    /// Whether what the request says of itself in `X-Forwarded-For` and `Forwarded` is believed, as it is if it came through a proxy of
    /// the operator's: then this viewer is added to it. Otherwise it is replaced.
    pub chain: Chain,
}

/// What becomes of what a request says of the hops before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chain {
    /// It is not believed.
    #[default]
    Replace,
    /// It is kept, and the viewer is added.
    Extend,
}

/// What is called for each informational response (1xx other than 101) of an origin that speaks HTTP/1.1, as it comes; without the fields
/// that are for one connection only. Put into the extensions of a request. It is called from within the connection, so it must not wait.
#[derive(Clone)]
pub struct OnInformational(pub Arc<TakesInformational>);

/// What takes an informational response: its status, and its fields.
pub type TakesInformational = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

impl std::fmt::Debug for OnInformational {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnInformational")
    }
}
