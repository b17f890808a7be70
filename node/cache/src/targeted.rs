//! Cache control that is meant for some caches only (RFC 9213): `CDN-Cache-Control` and its like.
//!
//! A cache has a list of such fields, the first of which that is there and valid decides alone: `Cache-Control` and `Expires` are as if
//! they were not there (§2.2). They are Structured Fields, read strictly, unlike `Cache-Control`.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, Key, ListEntry, Parser};

use crate::cache_control::{MAX_SECONDS, ResponseDirectives};

/// The field that every CDN obeys (RFC 9213 §3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Whose directives a response has for this cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directives {
    /// Those of a targeted field.
    Targeted(ResponseDirectives),
    /// Those of `Cache-Control`.
    Common(ResponseDirectives),
}

impl Directives {
    /// Of a response, for a cache that obeys the fields `targets`, the most specific first.
    #[must_use]
    pub fn of(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        let targeted = targets.iter().find_map(|target| targeted(headers, target));
        targeted.map_or_else(|| Self::Common(ResponseDirectives::of(headers)), Self::Targeted)
    }

    /// The directives.
    #[must_use]
    pub fn get(&self) -> &ResponseDirectives {
        match self {
            Self::Targeted(directives) | Self::Common(directives) => directives,
        }
    }
}

/// `None` if the field is not there, is empty or is no dictionary: then the next one counts (§2.2).
fn targeted(headers: &HeaderMap, target: &HeaderName) -> Option<ResponseDirectives> {
    let lines: Vec<&[u8]> = headers.get_all(target).into_iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut directives = ResponseDirectives::default();
    for (name, entry) in &dictionary {
        add(&mut directives, name, entry);
    }
    Some(directives)
}

/// A directive with a value of another type than it has is no directive (§2.1).
fn add(directives: &mut ResponseDirectives, name: &Key, entry: &ListEntry) {
    let ListEntry::Item(item) = entry else { return };
    let takes_seconds = matches!(name.as_str(), "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error");
    let names_fields = matches!(name.as_str(), "no-cache" | "private");
    match &item.bare_item {
        BareItem::Integer(seconds) if takes_seconds => {
            // Less than nothing is no age (§2.1 refers to RFC 9111, whose grammar has no sign).
            let seconds = u64::try_from(i64::from(*seconds)).unwrap_or(0).min(MAX_SECONDS);
            directives.add(name.as_str(), Some(&seconds.to_string()));
        }
        BareItem::Boolean(true) if !takes_seconds => directives.add(name.as_str(), None),
        BareItem::String(fields) if names_fields => directives.add(name.as_str(), Some(fields.as_str())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{CDN_CACHE_CONTROL, Directives};
    use crate::cache_control::{Extent, Flag, ResponseDirectives};
    use http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, HeaderName},
    };

    const OURS: HeaderName = HeaderName::from_static("ncore-cache-control");

    fn of(lines: &[(HeaderName, &'static str)]) -> Directives {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        Directives::of(&headers, &[OURS, CDN_CACHE_CONTROL])
    }

    fn max_age(directives: &Directives) -> (bool, Option<u64>) {
        (matches!(directives, Directives::Targeted(_)), directives.get().max_age_s)
    }

    #[test]
    fn precedence() {
        type Lines<'a> = &'a [(HeaderName, &'static str)];
        let cases: [(Lines<'_>, (bool, Option<u64>)); 7] = [
            (&[(CACHE_CONTROL, "max-age=1")], (false, Some(1))),
            (&[(CACHE_CONTROL, "max-age=1"), (CDN_CACHE_CONTROL, "max-age=2")], (true, Some(2))),
            (&[(OURS, "max-age=3"), (CDN_CACHE_CONTROL, "max-age=2")], (true, Some(3))),
            (&[(OURS, "max-age=3 x"), (CDN_CACHE_CONTROL, "max-age=2")], (true, Some(2))),
            (&[(CACHE_CONTROL, "max-age=1"), (CDN_CACHE_CONTROL, "")], (false, Some(1))),
            (&[(CACHE_CONTROL, "max-age=1"), (CDN_CACHE_CONTROL, "max-age=2"), (CDN_CACHE_CONTROL, "&")], (false, Some(1))),
            // It decides alone, also where it says little.
            (&[(CACHE_CONTROL, "max-age=1"), (CDN_CACHE_CONTROL, "foo")], (true, None)),
        ];
        for (lines, expected) in cases {
            assert_eq!(max_age(&of(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn types() {
        let of = |value: &'static str| of(&[(CDN_CACHE_CONTROL, value)]).get().clone();
        let cases = [
            ("max-age=60", Some(60)),
            ("max-age=60;a=1", Some(60)),
            ("max-age=1, max-age=60", Some(60)),
            ("max-age=99999999999", Some(1 << 31)),
            ("max-age=-5", Some(0)),
            ("max-age=1.5", None),
            ("max-age=\"60\"", None),
            ("max-age", None),
            ("max-age=(60)", None),
        ];
        for (value, expected) in cases {
            assert_eq!(of(value).max_age_s, expected, "{value}");
        }
        // Names are in lower case, or it is no dictionary.
        assert_eq!(of("Max-Age=60"), ResponseDirectives::default());
        assert!(of("no-store").has(Flag::NoStore));
        assert!(!of("no-store=?0").has(Flag::NoStore));
        assert!(!of("no-store=1").has(Flag::NoStore));
        assert_eq!(of("private").private, Extent::Everything);
        assert_eq!(of("no-cache=\"set-cookie\"").no_cache, Extent::Fields(vec!["set-cookie".to_owned()]));
    }
}
