//! The request that goes to the origin for a viewer's.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Version,
    header::{EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE, VIA},
    uri::PathAndQuery,
};
use ncore_cache::validation;
use ncore_origin::{Chain, Scheme, ViewerInfo};

use super::{origin::OriginBody, zone::Zone};
use crate::request_id::{RequestId, X_REQUEST_ID};

/// The name of this cache in `Via`, `Cache-Status` and `CDN-Loop`: the same for all nodes, for what one node keeps another one asks for.
pub(crate) const NAME: &str = "ncore";
/// In `Cache-Status`, that of the owner in the region where it was asked by another node.
pub(crate) const REGION_NAME: &str = "ncore/region";
/// And that of the shield.
pub(crate) const SHIELD_NAME: &str = "ncore/shield";

/// A viewer's request, as far as its origin may learn of it.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    /// The viewer's fields, without those that are for one connection.
    pub(crate) headers: HeaderMap,
    /// The host that the viewer asked.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) remote: IpAddr,
    pub(crate) secure: bool,
    pub(crate) version: Version,
}

/// What of the viewer's conditions and ranges goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wishes {
    /// They are for what this cache answers: the origin is asked for the whole.
    Kept,
    /// They are for the origin.
    Forwarded,
}

impl Asking {
    /// The request for the origin. `stored` are the fields of what is to be validated.
    pub(crate) fn request(
        &self,
        zone: &Zone,
        id: &RequestId,
        wishes: Wishes,
        stored: Option<&HeaderMap>,
        body: OriginBody,
    ) -> Request<OriginBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target_at(zone).into();
        let mut headers = self.headers.clone();
        if wishes == Wishes::Kept {
            for own in CONDITIONS {
                headers.remove(own);
            }
            // Trailers are not kept.
            headers.remove(TE);
        }
        if let Some(stored) = stored {
            validation::condition(&mut headers, stored);
        }
        headers.append(VIA, via(self.version));
        headers.append(CDN_LOOP, loop_member(zone));
        headers.insert(X_REQUEST_ID, id.clone().into_header());
        *request.headers_mut() = headers;
        request.extensions_mut().insert(self.viewer());
        request
    }

    /// The fields of a [`request`](Self::request) without what says that it has left this cache: for another node of it.
    pub(crate) fn within(request: &HeaderMap) -> HeaderMap {
        let mut headers = request.clone();
        for name in [VIA, CDN_LOOP] {
            let mut before: Vec<HeaderValue> = request.get_all(&name).into_iter().cloned().collect();
            before.pop();
            headers.remove(&name);
            for value in before {
                headers.append(name.clone(), value);
            }
        }
        headers
    }

    /// The viewer's fields as they go on.
    pub(crate) fn fields(mut headers: HeaderMap) -> HeaderMap {
        let takes_trailers = takes_trailers(&headers);
        validation::strip_hops(&mut headers);
        if takes_trailers {
            // What goes through without being kept goes with its trailers: gRPC asks that of all on the way.
            headers.insert(TE, const { HeaderValue::from_static("trailers") });
        }
        headers.remove(HOST);
        // It was answered here, by reading the body.
        headers.remove(EXPECT);
        headers
    }

    /// What of the origin is asked for.
    fn target_at(&self, zone: &Zone) -> PathAndQuery {
        if zone.prefix.is_empty() {
            return self.target.clone();
        }
        // Both are of a URI, and so is one behind the other.
        format!("{}{}", zone.prefix, self.target).parse().unwrap_or_else(|_| self.target.clone())
    }

    /// Who asks, of which the client makes the fields.
    fn viewer(&self) -> ViewerInfo {
        let host = self.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
        // Without its port, which viewers can make up: what an origin makes of it would be everybody's.
        let host = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(host, _)| host);
        let scheme = if self.secure { Scheme::Https } else { Scheme::Http };
        ViewerInfo { address: self.remote, scheme, host: host.into(), chain: Chain::Replace }
    }
}

/// What this cache adds to `Via` of a message that came to it in `version` (RFC 9110 §7.6.3).
pub(crate) fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 ncore",
        Version::HTTP_2 => "2 ncore",
        Version::HTTP_3 => "3 ncore",
        _ => "1.1 ncore",
    })
}

/// Whether a request for `zone` has been here before (RFC 8586). A zone may have another one of this cluster as its origin: the same zone
/// twice is a loop, and so are more caches of this kind than anybody chains.
pub(crate) fn is_loop(zone: &Zone, headers: &HeaderMap) -> bool {
    if !headers.contains_key(CDN_LOOP) {
        return false;
    }
    let own = loop_member(zone);
    let lines = headers.get_all(CDN_LOOP).into_iter().filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(',')).map(str::trim);
    let mut seen = 0;
    for member in members {
        let name = member.split(';').next().unwrap_or_default().trim_end();
        if member.as_bytes() == own.as_bytes() {
            return true;
        }
        seen += usize::from(name == NAME);
    }
    seen >= CHAIN_MAX
}

/// Whether a request says that it takes trailers (RFC 9110 §10.1.4).
fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn loop_member(zone: &Zone) -> HeaderValue {
    HeaderValue::try_from(format!("{NAME}; zone={}", zone.uuid.simple())).expect("a UUID is visible ASCII")
}

const CONDITIONS: [HeaderName; 6] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// How many zones a request may go through.
const CHAIN_MAX: usize = 8;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
    use http_body_util::{BodyExt, Empty};
    use uuid::Uuid;

    use super::{Asking, CDN_LOOP, Scheme, VIA, ViewerInfo, Wishes, is_loop};
    use crate::{
        request_id::RequestId,
        zones::{Zone, origin::nowhere},
    };

    fn zone(uuid: u128) -> Zone {
        Zone::new(1, Uuid::from_u128(uuid), "cl".into(), Vec::new(), nowhere())
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))).collect()
    }

    fn asked(lines: &[(&'static str, &str)], wishes: Wishes, stored: Option<&HeaderMap>) -> HeaderMap {
        let asking = Asking {
            method: Method::GET,
            target: "/a?b".parse().expect("a target"),
            headers: Asking::fields(headers(lines)),
            host: Some(HeaderValue::from_static("cdn.example")),
            remote: IpAddr::from([192, 0, 2, 1]),
            secure: true,
            version: Version::HTTP_2,
        };
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let mut zone = zone(1);
        zone.prefix = "/before".into();
        let request = asking.request(&zone, &RequestId::generate(), wishes, stored, body);
        assert_eq!(request.uri(), "/before/a?b");
        let viewer = request.extensions().get::<ViewerInfo>().expect("who asks");
        assert_eq!((viewer.address, &*viewer.host, viewer.scheme), (IpAddr::from([192, 0, 2, 1]), "cdn.example", Scheme::Https));
        request.headers().clone()
    }

    #[test]
    fn fields() {
        let lines =
            [("host", "cdn.example"), ("connection", "x-hop"), ("x-hop", "1"), ("te", "trailers"), ("x-own", "1"), ("cookie", "a=b")];
        let sent = asked(&lines, Wishes::Kept, None);
        let of = |name: &str| sent.get(name).map(|value| value.to_str().expect("ASCII"));
        assert_eq!((of("host"), of("connection"), of("x-hop"), of("te")), (None, None, None, None));
        assert_eq!((of("x-own"), of("cookie")), (Some("1"), Some("a=b")));
        assert_eq!(of("via"), Some("2 ncore"));
        let within = Asking::within(&asked(&[("via", "1.1 other")], Wishes::Kept, None));
        assert!(within[VIA] == "1.1 other" && within.get_all(VIA).iter().count() == 1 && !within.contains_key(CDN_LOOP));
        let te = |line: &'static str, wishes| asked(&[("te", line)], wishes, None).get("te").cloned();
        assert_eq!(te("gzip, Trailers", Wishes::Forwarded), Some(HeaderValue::from_static("trailers")));
        assert_eq!((te("trailers", Wishes::Kept), te("gzip", Wishes::Forwarded)), (None, None));
    }

    #[test]
    fn conditions_and_ranges() {
        let lines = [("if-none-match", "\"mine\""), ("range", "bytes=0-1"), ("if-range", "\"mine\"")];
        let sent = asked(&lines, Wishes::Kept, None);
        assert!(lines.iter().all(|(name, _)| !sent.contains_key(*name)));
        let sent = asked(&lines, Wishes::Forwarded, None);
        assert!(lines.iter().all(|(name, value)| sent[*name] == *value));
        let sent = asked(&lines, Wishes::Kept, Some(&headers(&[("etag", "\"ours\"")])));
        assert_eq!(sent["if-none-match"], "\"ours\"");
    }

    #[test]
    fn loops() {
        let own = asked(&[], Wishes::Kept, None)[CDN_LOOP].to_str().expect("ASCII").to_owned();
        let chain = ["ncore; zone=ff"; 8].join(", ");
        let cases = [("", false), ("other", false), ("other, ncore", false), (own.as_str(), true), (chain.as_str(), true)];
        for (line, expected) in cases {
            assert_eq!(is_loop(&zone(1), &headers(&[("cdn-loop", line)])), expected, "{line}");
        }
        assert!(is_loop(&zone(1), &headers(&[("cdn-loop", &format!("other, {own}"))])));
        assert!(!is_loop(&zone(2), &headers(&[("cdn-loop", &own)])));
    }
}
