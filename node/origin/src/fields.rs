//! Fields that are for one connection only, and those that say who asked.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE};

use crate::url::Scheme;
use crate::viewer::{Chain, ViewerInfo};

/// Whether a field is for one connection only (RFC 9110 §7.6.1), named by `Connection` or not, or is what a proxy takes for itself.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
            | "proxy-authentication-info"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authenticate"
            | "proxy-authorization"
    )
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Other fields by which proxies say who asked. Origins believe them, so none of a viewer's gets through.
const CLAIMS: [&str; 6] = ["x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip", "x-original-forwarded-for", "client-ip"];

/// Fields by which some origins take a request for another one: another path, method or host. No cache has them in its key, so whoever sent one
/// would decide what others get. What is no GET or HEAD is not kept, and keeps them.
const OVERRIDES: [&str; 11] = [
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-host",
    "x-original-host",
    "x-http-host-override",
    "x-http-destinationurl",
    "x-proxy-url",
];

/// What some take for the framing of a request, since they read `_` as `-`.
const FRAMING: [&str; 2] = ["content_length", "transfer_encoding"];

/// The longest chain of hops that is extended rather than replaced, in bytes.
const LONGEST_CHAIN: usize = 1024;

/// Removes the fields that are for one connection only, and those that `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // As a rule there are none, and `Connection` is one of them.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let hops: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name) || named.contains(name)).cloned().collect();
    for name in hops {
        headers.remove(name);
    }
}

/// Makes the fields of a viewer's request those of a request to an origin, all but `Host`.
///
/// `Expect` goes as well: the body is sent when the caller's listener gives it, which has the viewer go on by then. `Content-Length`
/// goes because the length is that of the body that is sent, and is written from it.
pub(crate) fn prepare_request(headers: &mut HeaderMap, viewer: Option<&ViewerInfo>) {
    let trailers = accepts_trailers(headers);
    strip_hop_by_hop(headers);
    for name in [HOST, EXPECT, CONTENT_LENGTH] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let chain =
        viewer.filter(|viewer| viewer.chain == Chain::Extend).map(|_| (joined(headers, &FORWARDED_FOR), joined(headers, &FORWARDED)));
    remove_claims(headers);
    if let Some(viewer) = viewer {
        let (before_for, before_forwarded) = chain.unwrap_or_default();
        tell_of(headers, viewer, &before_for, &before_forwarded);
    }
}

/// Whether the viewer takes trailers, which gRPC asks of all on the way.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let chain = values.join(", ");
    if chain.len() > LONGEST_CHAIN { String::new() } else { chain }
}

/// Removes what says who asked, in whatever spelling origins take for it: many read `_` and `-` as one.
fn remove_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Removes what asks for another path, method or host than the request does.
pub(crate) fn remove_overrides(headers: &mut HeaderMap) {
    let overrides: Vec<HeaderName> =
        headers.keys().filter(|name| OVERRIDES.iter().any(|known| same(known, name.as_str()))).cloned().collect();
    for name in overrides {
        headers.remove(name);
    }
}

/// Whether a name is another one, for who reads `_` and `-` as one.
fn same(known: &str, name: &str) -> bool {
    known.len() == name.len() && known.bytes().zip(name.bytes()).all(|(a, b)| a == b || (a == b'-' && b == b'_'))
}

fn is_claim(name: &str) -> bool {
    let prefix = "x-forwarded-";
    same("forwarded", name)
        || CLAIMS.iter().chain(&FRAMING).any(|claim| same(claim, name))
        || name.get(..prefix.len()).is_some_and(|start| same(prefix, start))
}

fn tell_of(headers: &mut HeaderMap, viewer: &ViewerInfo, before_for: &str, before_forwarded: &str) {
    let scheme = viewer.scheme.as_str();
    let address = viewer.address.to_canonical();
    let (separator_for, separator_forwarded) = (separator(before_for), separator(before_forwarded));
    let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
    let forwarded = match quoted(&viewer.host) {
        Some(host) => format!("{before_forwarded}{separator_forwarded}for={node};host={host};proto={scheme}"),
        None => format!("{before_forwarded}{separator_forwarded}for={node};proto={scheme}"),
    };
    let proto = match viewer.scheme {
        Scheme::Http => HeaderValue::from_static("http"),
        Scheme::Https => HeaderValue::from_static("https"),
    };
    headers.insert(FORWARDED_PROTO, proto);
    for (name, text) in [
        (FORWARDED_FOR, format!("{before_for}{separator_for}{address}")),
        (FORWARDED, forwarded),
        (FORWARDED_HOST, viewer.host.to_string()),
    ] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

const fn separator(before: &str) -> &'static str {
    if before.is_empty() { "" } else { ", " }
}

/// A host as a quoted string, if it is one that needs no escapes; no host does.
fn quoted(host: &str) -> Option<String> {
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']'));
    (plain && !host.is_empty()).then(|| format!("\"{host}\""))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};

    use super::{prepare_request, remove_overrides, strip_hop_by_hop};
    use crate::url::Scheme;
    use crate::viewer::{Chain, ViewerInfo};

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn viewer(chain: Chain) -> ViewerInfo {
        ViewerInfo { address: "2001:db8::7".parse().expect("an address"), scheme: Scheme::Https, host: "www.example:8443".into(), chain }
    }

    #[test]
    fn fields_of_one_connection_go_with_those_that_it_names() {
        let mut headers = map(&[
            ("connection", "close, X-Mine"),
            ("connection", " x-other ,, bad name"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("proxy-authenticate", "Basic"),
            ("x-kept", "1"),
            ("trailer", "x-sum"),
        ]);
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["trailer", "x-kept"]);
    }

    #[test]
    fn what_asks_for_something_else_goes() {
        let mut headers = map(&[
            ("x-original-url", "/other"),
            ("x_rewrite_url", "/other"),
            ("x-http-method-override", "PUT"),
            ("x-host", "evil.example"),
            ("x-hosts", "kept"),
        ]);
        remove_overrides(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-hosts"]);
    }

    #[test]
    fn what_a_viewer_claims_of_itself_is_replaced() {
        let mut headers = map(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.2"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=10.0.0.3"),
            ("x-real-ip", "10.0.0.4"),
            ("x_real-ip", "10.0.0.4"),
            ("true-client-ip", "10.0.0.5"),
            ("connection", "x-forwarded-for, x-forwarded-proto"),
            ("transfer_encoding", "chunked"),
            ("expect", "100-continue"),
            ("host", "evil.example"),
        ]);
        prepare_request(&mut headers, Some(&viewer(Chain::Replace)));
        assert_eq!(headers.len(), 4);
        assert_eq!(headers["x-forwarded-for"], "2001:db8::7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "www.example:8443");
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::7]\";host=\"www.example:8443\";proto=https");
    }

    #[test]
    fn a_chain_that_is_believed_is_extended() {
        let mut headers = map(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2"), ("forwarded", "for=192.0.2.1")]);
        prepare_request(&mut headers, Some(&viewer(Chain::Extend)));
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 192.0.2.2, 2001:db8::7");
        assert_eq!(headers["forwarded"], "for=192.0.2.1, for=\"[2001:db8::7]\";host=\"www.example:8443\";proto=https");
    }

    #[test]
    fn nobody_is_named_without_a_viewer() {
        let mut headers = map(&[("x-forwarded-for", "10.0.0.1"), ("te", "gzip, trailers;q=0.5")]);
        prepare_request(&mut headers, None);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["te"], "trailers");
    }
}
