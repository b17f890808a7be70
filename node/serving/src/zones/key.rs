//! Which requests are for the same content: the cache key, and the keys of what is stored under it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, uri::PathAndQuery};

use ncore_store::cached::EntryKey;

use super::zone::{QueryKey, Zone};

/// The cache key of a request: its zone, its path, and of its query and its fields what the zone says. The host is no part of it, for all
/// hosts of a zone have the same content; nor is the method, for GET is the only one whose answers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheKey {
    /// Path and query as far as they count, which is what `explain` shows and what a purge names.
    pub(crate) path: Arc<str>,
    /// Where the head of what is stored is.
    pub(crate) head: EntryKey,
}

impl CacheKey {
    /// Of a request for `zone`.
    pub(crate) fn of(zone: &Zone, target: &PathAndQuery, headers: &HeaderMap) -> Self {
        let path: Arc<str> = match (&zone.key.query, target.query()) {
            (QueryKey::All, _) | (_, None) => target.as_str().into(),
            (which, Some(query)) => with_query(target.path(), which, query),
        };
        let head = hashed(zone, &path, headers);
        Self { path, head }
    }
}

/// The key of a slice of an object, by its number from 0. The object is a random number, so the key is as good as one: it takes no hash, and the
/// keys of its slices are apart.
pub(crate) fn slice(object: u128, slice: u64) -> EntryKey {
    EntryKey::from_bytes(object.wrapping_add(u128::from(slice).wrapping_mul(APART)).to_le_bytes())
}

/// Odd, so that no two slices have the same key: 2^128 divided by the golden ratio.
const APART: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

fn hashed(zone: &Zone, path: &str, headers: &HeaderMap) -> EntryKey {
    let id = zone.id.to_le_bytes();
    let always: [&[u8]; 3] = [b"head", &id, path.as_bytes()];
    if zone.key.headers.is_empty() {
        return EntryKey::of(&always);
    }
    let mut parts = always.to_vec();
    for name in &zone.key.headers {
        parts.push(name.as_str().as_bytes());
        parts.extend(headers.get_all(name).into_iter().map(HeaderValue::as_bytes));
    }
    EntryKey::of(&parts)
}

fn with_query(path: &str, which: &QueryKey, query: &str) -> Arc<str> {
    let name = |parameter: &str| parameter.split('=').next().unwrap_or_default().to_owned();
    let counts = |parameter: &&str| match which {
        QueryKey::All => true,
        QueryKey::Nothing => false,
        QueryKey::Only(names) => names.iter().any(|only| **only == *name(parameter)),
        QueryKey::Without(names) => !names.iter().any(|without| **without == *name(parameter)),
    };
    let kept: Vec<&str> = query.split('&').filter(counts).collect();
    if kept.is_empty() { path.into() } else { format!("{path}?{}", kept.join("&")).into() }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use uuid::Uuid;

    use super::{CacheKey, slice};
    use crate::zones::{QueryKey, Zone, origin::nowhere};

    fn zone(id: u64, query: QueryKey) -> Zone {
        let mut zone = Zone::new(id, Uuid::nil(), "cl".into(), Vec::new(), nowhere());
        zone.key.query = query;
        zone
    }

    #[test]
    fn queries() {
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<Box<str>>>();
        let cases = [
            (QueryKey::All, "/a?b=1&a=2", "/a?b=1&a=2"),
            (QueryKey::All, "/a?", "/a?"),
            (QueryKey::Nothing, "/a?b=1", "/a"),
            (QueryKey::Only(names(&["b"])), "/a?c=3&b=1&bb=2", "/a?b=1"),
            (QueryKey::Without(names(&["utm"])), "/a?utm=x&b=1&utm", "/a?b=1"),
            (QueryKey::Without(names(&["utm"])), "/a?utm=x", "/a"),
        ];
        for (query, target, expected) in cases {
            let key = CacheKey::of(&zone(1, query.clone()), &target.parse().expect("a target"), &HeaderMap::new());
            assert_eq!(&*key.path, expected, "{query:?} {target}");
        }
    }

    #[test]
    fn what_makes_another_key() {
        let target = "/a".parse().expect("a target");
        let none = HeaderMap::new();
        let plain = CacheKey::of(&zone(1, QueryKey::All), &target, &none).head;
        assert_eq!(plain, CacheKey::of(&zone(1, QueryKey::All), &target, &none).head);
        assert_ne!(plain, CacheKey::of(&zone(2, QueryKey::All), &target, &none).head);
        assert_ne!(plain, CacheKey::of(&zone(1, QueryKey::All), &"/b".parse().expect("a target"), &none).head);
        let mut by_device = zone(1, QueryKey::All);
        by_device.key.headers = vec![HeaderName::from_static("x-device")];
        let phone: HeaderMap = [(HeaderName::from_static("x-device"), HeaderValue::from_static("phone"))].into_iter().collect();
        assert_ne!(CacheKey::of(&by_device, &target, &none).head, CacheKey::of(&by_device, &target, &phone).head);
        let slices: std::collections::HashSet<_> = (0..10_000).map(|number| slice(7, number)).collect();
        assert_eq!(slices.len(), 10_000);
        assert_ne!(slice(1, 0), slice(2, 0));
    }
}
