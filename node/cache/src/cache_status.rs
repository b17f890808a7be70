//! How a response came about, for whoever debugs it: `Cache-Status` (RFC 9211).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sfv::{BareItem, FieldType, Integer, Item, KeyRef, List, Parameters, Parser, String as SfString, Token, TokenRef};

/// The field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What a cache did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus {
    /// Whether it answered by itself.
    pub handling: Handling,
    /// For how much longer the response is fresh, in seconds; negative if it is stale.
    pub ttl_s: Option<i64>,
    /// A text of this cache's own.
    pub detail: Option<&'static str>,
}

/// How a cache came to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// From what it has.
    Hit,
    /// It went further.
    Forwarded {
        /// Why.
        why: Forward,
        /// What it was answered with, if that differs from the answer to the client.
        status: Option<StatusCode>,
        /// Whether it has kept the answer.
        kept: Kept,
        /// Whether it waited for another request's answer.
        collapse: Collapse,
    },
}

/// Why a cache went further (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// It was told to.
    Bypass,
    /// By the method.
    Method,
    /// It has nothing of this URL.
    UriMiss,
    /// It has something of this URL, and nothing for such a request.
    VaryMiss,
    /// It has something, and the request did not want that.
    Request,
    /// It has something, and it is stale.
    Stale,
    /// It has a part of it.
    Partial,
}

/// Whether an answer was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// Whether a request waited for the answer to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collapse {
    /// It did.
    Yes,
    /// It did not.
    No,
}

impl Forward {
    /// Its name in the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl CacheStatus {
    /// Adds what the cache called `name` did to the field, behind what caches further up have said: the one closest to the client comes
    /// last (§2). A field from further up that is malformed is dropped. A name that cannot be a token is written as a string.
    pub fn append(&self, headers: &mut HeaderMap, name: &str) {
        // Nearly always it is the only one, and then nothing has to be read.
        if !headers.contains_key(&CACHE_STATUS)
            && TokenRef::from_str(name).is_ok()
            && let Ok(value) = HeaderValue::try_from(self.line(name))
        {
            headers.insert(CACHE_STATUS, value);
            return;
        }
        let lines: Vec<&[u8]> = headers.get_all(&CACHE_STATUS).into_iter().map(HeaderValue::as_bytes).collect();
        let mut list: List = Parser::new(&lines.join(&b", "[..])).parse().unwrap_or_default();
        if let Some(item) = self.item(name) {
            list.push(item.into());
        }
        if let Some(value) = list.serialize().and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(CACHE_STATUS, value);
        }
    }

    /// It as a member of the field, of a cache whose name is a token. (Writing to a string does not fail.)
    #[must_use]
    pub fn line(&self, name: &str) -> String {
        let mut line = String::with_capacity(LINE_BYTES);
        line.push_str(name);
        match self.handling {
            Handling::Hit => line.push_str(";hit"),
            Handling::Forwarded { why, status, kept, collapse } => {
                let _ = write!(line, ";fwd={}", why.as_str());
                if let Some(status) = status {
                    let _ = write!(line, ";fwd-status={}", status.as_u16());
                }
                if kept == Kept::Yes {
                    line.push_str(";stored");
                }
                if collapse == Collapse::Yes {
                    line.push_str(";collapsed");
                }
            }
        }
        if let Some(ttl_s) = self.ttl_s.filter(|ttl_s| Integer::try_from(*ttl_s).is_ok()) {
            let _ = write!(line, ";ttl={ttl_s}");
        }
        if let Some(detail) = self.detail.filter(|detail| TokenRef::from_str(detail).is_ok()) {
            let _ = write!(line, ";detail={detail}");
        }
        line
    }

    fn item(&self, name: &str) -> Option<Item> {
        let token = Token::from_string(name.to_owned()).map(BareItem::Token).ok();
        let name = token.or_else(|| SfString::from_string(name.to_owned()).map(BareItem::String).ok())?;
        let mut parameters = Parameters::new();
        let mut put = |key: &'static str, value: BareItem| {
            let key: &KeyRef = KeyRef::from_str(key).expect("a key");
            parameters.insert(key.to_owned(), value);
        };
        match self.handling {
            Handling::Hit => put("hit", true.into()),
            Handling::Forwarded { why, status, kept, collapse } => {
                put("fwd", BareItem::Token(Token::from_string(why.as_str().to_owned()).ok()?));
                if let Some(status) = status {
                    put("fwd-status", BareItem::Integer(Integer::from(status.as_u16())));
                }
                if kept == Kept::Yes {
                    put("stored", true.into());
                }
                if collapse == Collapse::Yes {
                    put("collapsed", true.into());
                }
            }
        }
        if let Some(ttl) = self.ttl_s.and_then(|ttl| Integer::try_from(ttl).ok()) {
            put("ttl", BareItem::Integer(ttl));
        }
        if let Some(detail) = self.detail.and_then(|detail| Token::from_string(detail.to_owned()).ok()) {
            put("detail", BareItem::Token(detail));
        }
        Some(Item::with_params(name, parameters))
    }
}

/// Room for a line of the usual length.
const LINE_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::{CACHE_STATUS, CacheStatus, Collapse, Forward, Handling, Kept};
    use http::{HeaderMap, HeaderValue, StatusCode};

    fn added(before: &[&'static str], status: &CacheStatus, name: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in before {
            headers.append(CACHE_STATUS, HeaderValue::from_static(line));
        }
        status.append(&mut headers, name);
        headers[CACHE_STATUS].to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn lines() {
        let hit = CacheStatus { handling: Handling::Hit, ttl_s: Some(30), detail: None };
        assert_eq!(added(&[], &hit, "ncore"), "ncore;hit;ttl=30");
        assert_eq!(added(&["origin; fwd=uri-miss", "mid;hit"], &hit, "eu ams"), "origin;fwd=uri-miss, mid;hit, \"eu ams\";hit;ttl=30");
        assert_eq!(added(&["(("], &hit, "ncore"), "ncore;hit;ttl=30");
        let forwarded =
            Handling::Forwarded { why: Forward::Stale, status: Some(StatusCode::NOT_MODIFIED), kept: Kept::Yes, collapse: Collapse::Yes };
        let status = CacheStatus { handling: forwarded, ttl_s: Some(-3), detail: Some("soft-purge") };
        assert_eq!(added(&[], &status, "ncore"), "ncore;fwd=stale;fwd-status=304;stored;collapsed;ttl=-3;detail=soft-purge");
    }

    /// The line is written in one place and the item in another; both are the same.
    #[test]
    fn alone_it_is_as_among_others() {
        let forwards =
            [Forward::Bypass, Forward::Method, Forward::UriMiss, Forward::VaryMiss, Forward::Request, Forward::Stale, Forward::Partial];
        let mut handlings = vec![Handling::Hit];
        for why in forwards {
            for (status, kept, collapse) in [
                (None, Kept::No, Collapse::No),
                (None, Kept::Yes, Collapse::Yes),
                (Some(StatusCode::OK), Kept::Yes, Collapse::No),
                (Some(StatusCode::NOT_MODIFIED), Kept::No, Collapse::Yes),
            ] {
                handlings.push(Handling::Forwarded { why, status, kept, collapse });
            }
        }
        let ttls = [None, Some(0), Some(-1), Some(999_999_999_999_999), Some(i64::MAX), Some(i64::MIN)];
        for handling in handlings {
            for ttl_s in ttls {
                for detail in [None, Some("stale-if-error"), Some("no token"), Some("")] {
                    for name in ["ncore", "*a/b:c", "eu ams", "9", ""] {
                        let status = CacheStatus { handling, ttl_s, detail };
                        let among_others = added(&["other;hit"], &status, name);
                        assert_eq!(format!("other;hit, {}", added(&[], &status, name)), among_others);
                    }
                }
            }
        }
    }
}
