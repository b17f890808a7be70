//! How a request for a zone was answered, in bounded memory.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

/// The most bytes of a range and of the name of an origin. What is longer is cut.
const BYTES_MAX: usize = 64;

/// How a request for a zone was answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneAccess {
    /// The id of the zone.
    pub zone: u128,
    /// From the head of the request to the head of the answer, in microseconds.
    pub head_us: u64,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// Whether the connection was TLS.
    pub is_secure: bool,
    /// Whether another request's answer was waited for.
    pub is_collapsed: bool,
    /// Whose cache the answer came out of; `None` if nobody answered.
    pub tier: Option<Tier>,
    /// The node whose cache that is, or that asked the origin, if it has said so.
    pub tier_node: Option<u64>,
    /// The origin that this node asked, if it did and was answered.
    pub asked: Option<ZoneAsked>,
    /// The bytes that were wanted, as the field `Range` says it.
    pub range: Option<Box<str>>,
}

/// The origin that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAsked {
    /// As host and port.
    pub origin: Arc<str>,
    /// How often the request had been sent before.
    pub retries: u32,
    /// Whether the connection had been used before.
    pub is_reused: bool,
}

/// Whose cache a response came out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Tier {
    /// That of the node which the viewer asked.
    Own,
    /// That of the owner in the region.
    Region,
    /// That of the shield.
    Shield,
    /// None: the origin answered.
    Origin,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

/// It, for people and their tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ZoneLine {
    /// The id of the zone.
    pub id: String,
    /// From the head of the request to the head of the answer, in microseconds.
    pub head_us: u64,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    pub protocol: &'static str,
    /// Whether the connection was TLS.
    pub tls: bool,
    /// Whether another request's answer was waited for.
    pub collapsed: bool,
    /// Whose cache the answer came out of: `own`, `region`, `shield`, or `origin` if it was none's.
    pub tier: Option<&'static str>,
    /// The id of the node whose cache that is, or that asked the origin.
    pub tier_node: Option<u64>,
    /// The origin that answered this node, as host and port.
    pub origin: Option<String>,
    /// How often the request had been sent to origins before.
    pub retries: Option<u32>,
    /// Whether the connection to the origin had been used before.
    pub reused: Option<bool>,
    /// The `Range` of the request.
    pub range: Option<String>,
}

impl Tier {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::Own, Self::Region, Self::Shield, Self::Origin];

    /// Its name in figures and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Region => "region",
            Self::Shield => "shield",
            Self::Origin => "origin",
        }
    }
}

impl Protocol {
    /// All of them, the oldest first.
    pub const ALL: [Self; 4] = [Self::Http10, Self::Http11, Self::Http2, Self::Http3];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }
}

impl ZoneAccess {
    /// It with this `Range`.
    #[must_use]
    pub fn with_range(self, range: Option<&str>) -> Self {
        Self { range: range.map(|range| range[..range.floor_char_boundary(BYTES_MAX)].into()), ..self }
    }
}

impl From<&ZoneAccess> for ZoneLine {
    fn from(access: &ZoneAccess) -> Self {
        let asked = access.asked.as_ref();
        Self {
            id: uuid_of(access.zone),
            head_us: access.head_us,
            protocol: access.protocol.as_str(),
            tls: access.is_secure,
            collapsed: access.is_collapsed,
            tier: access.tier.map(Tier::as_str),
            tier_node: access.tier_node,
            origin: asked.map(|asked| asked.origin.to_string()),
            retries: asked.map(|asked| asked.retries),
            reused: asked.map(|asked| asked.is_reused),
            range: access.range.as_deref().map(str::to_owned),
        }
    }
}

/// An id as RFC 9562 writes it.
fn uuid_of(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::{ZoneAccess, ZoneLine, uuid_of};

    #[test]
    fn ids_and_ranges() {
        assert_eq!(uuid_of(0x0001_0203_0405_4607_8809_0a0b_0c0d_0e0f), "00010203-0405-4607-8809-0a0b0c0d0e0f");
        let line = |range: &str| ZoneLine::from(&ZoneAccess::default().with_range(Some(range))).range.expect("a range");
        assert_eq!(line("bytes=0-1"), "bytes=0-1");
        assert_eq!(line(&"é".repeat(100)).len(), 64);
    }
}
