//! Where an origin is: scheme, host and port, and nothing else. A path, a query or user information in the text is an error, so none
//! is ever dropped silently, and no password gets into logs or errors.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

/// The longest text that is looked at, in bytes.
const LONGEST: usize = 512;

/// How an origin is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear, by HTTP/1.1.
    Http,
    /// Over TLS, by HTTP/2 or HTTP/1.1 as the origin chooses.
    Https,
}

impl Scheme {
    /// As in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Who an origin is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginHost {
    /// A name, in lower case.
    Name(Arc<str>),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for OriginHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Where an origin is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginUrl {
    scheme: Scheme,
    host: OriginHost,
    port: u16,
}

impl OriginUrl {
    /// How it is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Who it is.
    #[must_use]
    pub const fn host(&self) -> &OriginHost {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the field `Host` has them: without the port that the scheme implies.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl FromStr for OriginUrl {
    type Err = OriginUrlError;

    fn from_str(text: &str) -> Result<Self, OriginUrlError> {
        if text.len() > LONGEST {
            return Err(OriginUrlError::TooLong);
        }
        if text.contains('@') {
            return Err(OriginUrlError::UserInformation);
        }
        if text.contains(['?', '#']) {
            return Err(OriginUrlError::Path);
        }
        let uri: Uri = text.parse().map_err(|_| OriginUrlError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(OriginUrlError::Scheme),
        };
        if !matches!(uri.path(), "" | "/") {
            return Err(OriginUrlError::Path);
        }
        let authority = uri.authority().ok_or(OriginUrlError::Malformed)?;
        let host = authority.host();
        // What is behind the host is a port, or nothing: `http` takes a port that is no number for none at all.
        let port = match authority.as_str().get(host.len()..) {
            Some("") => scheme.port(),
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(OriginUrlError::Port)?,
            None => return Err(OriginUrlError::Malformed),
        };
        if port == 0 {
            return Err(OriginUrlError::Port);
        }
        Ok(Self { scheme, host: parse_host(host)?, port })
    }
}

/// Why a text does not say where an origin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginUrlError {
    /// It is longer than any such address.
    #[error("the address of an origin has at most {LONGEST} bytes")]
    TooLong,
    /// It is no URL.
    #[error("the address of an origin is a URL such as https://origin.example:8443")]
    Malformed,
    /// It has another scheme.
    #[error("the address of an origin begins with http:// or https://")]
    Scheme,
    /// It has a name or password for the origin.
    #[error("the address of an origin has no user name or password")]
    UserInformation,
    /// It has a path, a query or a fragment.
    #[error("the address of an origin has no path, query or fragment")]
    Path,
    /// Its port is none.
    #[error("the port of an origin is a number from 1 to 65535")]
    Port,
    /// Its host is neither a name nor an address.
    #[error("the host of an origin is a name or an IP address")]
    Host,
}

fn parse_host(host: &str) -> Result<OriginHost, OriginUrlError> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| OriginUrlError::Host)?;
        return Ok(OriginHost::Address(address.into()));
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(OriginHost::Address(address));
    }
    parse_name(host).map(OriginHost::Name)
}

/// A name as DNS has them, in lower case and without the dot at its end.
pub(crate) fn parse_name(text: &str) -> Result<Arc<str>, OriginUrlError> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    // A name that ends in a number is how some resolvers write addresses: `127.1`, `0x7f.1`, `2130706433`.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if name.len() > 253 || !name.split('.').all(label) || number {
        return Err(OriginUrlError::Host);
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::{OriginUrl, OriginUrlError};

    #[test]
    fn addresses_of_origins_are_read_and_written_alike() {
        for (text, written) in [
            ("http://origin.example", "http://origin.example"),
            ("https://Origin.Example./", "https://origin.example"),
            ("https://origin.example:443", "https://origin.example"),
            ("http://origin.example:8080", "http://origin.example:8080"),
            ("http://192.0.2.1", "http://192.0.2.1"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://a_b.example", "http://a_b.example"),
        ] {
            let url: OriginUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_of_an_origin_is_refused_by_name() {
        for (text, error) in [
            ("", OriginUrlError::Malformed),
            ("origin.example", OriginUrlError::Scheme),
            ("ftp://origin.example", OriginUrlError::Scheme),
            ("http://user:secret@origin.example", OriginUrlError::UserInformation),
            ("http://user@origin.example", OriginUrlError::UserInformation),
            ("http://origin.example/path", OriginUrlError::Path),
            ("http://origin.example/?query", OriginUrlError::Path),
            ("http://origin.example#part", OriginUrlError::Path),
            ("http://origin.example:0", OriginUrlError::Port),
            ("http://origin.example:70000", OriginUrlError::Port),
            ("http://origin.example:", OriginUrlError::Port),
            ("http://2130706433", OriginUrlError::Host),
            ("http://127.1", OriginUrlError::Host),
            ("http://0x7f.1", OriginUrlError::Host),
            ("http://127.0.0.0x1", OriginUrlError::Host),
            ("http://-a.example", OriginUrlError::Host),
            ("http://a..example", OriginUrlError::Host),
        ] {
            assert_eq!(text.parse::<OriginUrl>(), Err(error), "{text}");
        }
        assert_eq!(format!("http://{}.example", "a".repeat(600)).parse::<OriginUrl>(), Err(OriginUrlError::TooLong));
        assert!(format!("http://{}.example", "a".repeat(64)).parse::<OriginUrl>().is_err());
    }

    #[test]
    fn no_error_repeats_the_text() {
        let error = "http://user:secret@origin.example".parse::<OriginUrl>().expect_err("a password");
        assert!(!error.to_string().contains("secret"));
    }
}
