//! Where assets are in the space of hosts and paths.
//!
//! | host | path | asset |
//! |---|---|---|
//! | any of a node | `/assets/<path>` | `<path>` |
//! | any of a node | `/pub/<x>`, `/restricted/<x>` | `pub/<x>`, `restricted/<x>` |
//! | one of a client's own | `/<path>` | `<path>`, if it is that client's |
//!
//! On a client's own host the APIs are where they are everywhere, and nothing else of the node is there: to a browser that host is one
//! origin, and content of somebody else must not get into it.

use std::sync::Arc;

use http::header::HOST;

use crate::router::ApiRequest;

/// What a request is for, as far as its address says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// An asset.
    Asset {
        /// Its path, as sent.
        path: &'a str,
        /// The client whose host was asked, whose assets are all that is there.
        owner: Option<Arc<str>>,
    },
    /// Something else.
    Other,
}

const ASSETS_PREFIX: &str = "/assets/";
/// Prefixes that are part of the paths of the assets below them.
const OWN_PREFIXES: [&str; 2] = ["/pub/", "/restricted/"];
/// What is not an asset on a client's host.
const RESERVED: [&str; 2] = ["/api/", "/.well-known/"];

impl<'a> Place<'a> {
    /// The place of `path` on the host whose owner is `owner`.
    pub(crate) fn of(path: &'a str, owner: Option<Arc<str>>) -> Self {
        if owner.is_some() {
            let is_reserved = RESERVED.iter().any(|prefix| path.starts_with(prefix));
            let asset = path.strip_prefix('/').filter(|_| !is_reserved);
            return asset.map_or(Self::Other, |path| Self::Asset { path, owner });
        }
        if let Some(path) = path.strip_prefix(ASSETS_PREFIX) {
            return Self::Asset { path, owner };
        }
        if OWN_PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
            return Self::Asset { path: &path[1..], owner };
        }
        Self::Other
    }
}

/// The host that a request names, without its port.
pub(crate) fn host(request: &ApiRequest) -> Option<&str> {
    let named = authority(request)?;
    let named = named.rsplit_once('@').map_or(named, |(_, host)| host);
    match named.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets, and no client has an address for a name.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        _ => Some(named),
    }
}

/// The host that a request names, as it does.
pub(crate) fn authority(request: &ApiRequest) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn places() {
        let asset = |path, owner: Option<&str>| Place::Asset { path, owner: owner.map(Into::into) };
        let cases = [
            ("/assets/a/b", None, asset("a/b", None)),
            ("/pub/a", None, asset("pub/a", None)),
            ("/restricted/a", None, asset("restricted/a", None)),
            ("/assets/restricted/a", None, asset("restricted/a", None)),
            ("/pub", None, Place::Other),
            ("/public/a", None, Place::Other),
            ("/", None, Place::Other),
            ("/api/v2/status", None, Place::Other),
            ("/a/b", Some("cl"), asset("a/b", Some("cl"))),
            ("/", Some("cl"), asset("", Some("cl"))),
            ("/assets/a", Some("cl"), asset("assets/a", Some("cl"))),
            ("/restricted/a", Some("cl"), asset("restricted/a", Some("cl"))),
            ("/metrics", Some("cl"), asset("metrics", Some("cl"))),
            ("/api/v2/status", Some("cl"), Place::Other),
            ("/.well-known/jwks.json", Some("cl"), Place::Other),
            ("*", Some("cl"), Place::Other),
        ];
        for (path, owner, expected) in cases {
            assert_eq!(Place::of(path, owner.map(Into::into)), expected, "{path} {owner:?}");
        }
    }
}
