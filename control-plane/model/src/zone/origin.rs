//! An origin of a zone.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::host::is_name;

/// The most origins of a zone.
pub const MAX_ZONE_ORIGINS: usize = 16;
/// The greatest weight of an origin.
pub const MAX_ORIGIN_WEIGHT: u16 = 1_000;
/// The longest URL of an origin, in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// Where content of a zone comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneOrigin {
    /// `http://` or `https://`, a host, a port or none, and a path that stands before those that are asked for, or none.
    pub url: String,
    /// Its share of the requests, beside the weights of the others. At least 1.
    pub weight: u16,
    /// Whether it is asked only when no other answers.
    pub backup: bool,
}

impl ZoneOrigin {
    /// An origin alone.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), weight: 1, backup: false }
    }

    /// What stands before the paths that are asked for, without the slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        let authority = self.url.find("://").map_or(0, |scheme| scheme + 3);
        let path = self.url[authority..].find('/').map_or("", |path| &self.url[authority + path..]);
        path.trim_end_matches('/')
    }

    /// Whether a zone may have it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (1..=MAX_ORIGIN_WEIGHT).contains(&self.weight) && is_origin_url(&self.url)
    }
}

/// What an origin's URL must be: absolute, without user, query or fragment, in visible ASCII.
fn is_origin_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest.filter(|_| url.len() <= MAX_URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic())) else {
        return false;
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    is_authority(authority) && !path.contains(['?', '#', '\\', '"', '<', '>', '^', '`', '{', '|', '}'])
}

/// Whether this is a host name or an address, with a port or without.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => return address.parse::<Ipv6Addr>().is_ok(),
        Some((address, port)) => match port.strip_prefix(':') {
            Some(port) => return address.parse::<Ipv6Addr>().is_ok() && is_port(port),
            None => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    (is_name(host) || host.parse::<IpAddr>().is_ok()) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::ZoneOrigin;

    #[test]
    fn urls_of_origins() {
        let long = format!("https://a.test/{}", "x".repeat(2_048));
        let cases = [
            ("https://a.test", true),
            ("http://a.test:8080/base/", true),
            ("http://127.0.0.1:80", true),
            ("http://[::1]:80/x", true),
            ("http://[::1]", true),
            ("http://localhost:3000", true),
            ("https://a.test/%20x", true),
            ("ftp://a.test", false),
            ("HTTP://a.test", false),
            ("https://", false),
            ("https:///x", false),
            ("https://user@a.test", false),
            ("https://a.test:0", false),
            ("https://a.test:99999", false),
            ("https://a.test:+80", false),
            ("https://a.test:", false),
            ("https://a.test?x=1", false),
            ("https://a.test/x#y", false),
            ("https://a.test/x y", false),
            ("https://ä.test", false),
            ("https://[::1", false),
            ("https://[::1]80", false),
            ("https://-a.test", false),
            ("", false),
            (long.as_str(), false),
        ];
        for (url, expected) in cases {
            assert_eq!(ZoneOrigin::new(url).is_valid(), expected, "{url}");
        }
        assert!(!ZoneOrigin { weight: 0, ..ZoneOrigin::new("https://a.test") }.is_valid());
        assert!(!ZoneOrigin { weight: 1_001, ..ZoneOrigin::new("https://a.test") }.is_valid());
    }
}
