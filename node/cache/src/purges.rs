//! Which content of a zone is good for nothing any more: the purge index.
//!
//! Every cached object has the index that its node had applied before the fetch of it began: its *fill*. A purge stands in the log at an
//! index of its own. An object is good only if its fill is at least [`PurgeIndex::newest_for`] its URL: so a fetch that was under way when
//! the purge was applied cannot bring back what that ended.
//!
//! ```text
//!   newest_for(zone, url) = max of   the floor of the index, and of the zone          older ones are not kept
//!                                    the last purge of the whole zone
//!                                    the last purge of this URL, or of its path
//!                                    the last purge of any prefix of this URL
//! ```
//!
//! Applying a purge costs what it says, whatever is cached; asking costs two look-ups, and one for each prefix that fits or nearly fits. An
//! index is immutable, and the next one shares with it what did not change.
//!
//! # How URLs are compared
//! By path and query in one form, [`canonical`]: whoever purges `/ü` means what is asked for as `/%C3%BC`. The host does not count: a purge
//! is of the zone, whatever it is called.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

/// The purges of all zones.
#[derive(Debug, Clone, Default)]
pub struct PurgeIndex {
    /// Objects of any zone that were filled under an older index are good for nothing.
    floor: u64,
    zones: HashMap<u64, Arc<ZonePurges>>,
}

/// The purges of one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZonePurges {
    floor: u64,
    zone_at: u64,
    urls: HashMap<Box<str>, u64>,
    prefixes: BTreeMap<Box<[u8]>, u64>,
}

impl PurgeIndex {
    /// No purges, and this floor.
    #[must_use]
    pub fn new(floor: u64) -> Self {
        Self { floor, zones: HashMap::new() }
    }

    /// The same with other purges of one zone; with none of it, if `None`.
    #[must_use]
    pub fn with(&self, zone: u64, purges: Option<ZonePurges>) -> Self {
        let mut next = self.clone();
        match purges {
            Some(purges) => next.zones.insert(zone, Arc::new(purges)),
            None => next.zones.remove(&zone),
        };
        next
    }

    /// The newest purge that a URL of a zone falls under: an object with an older fill is good for nothing. Zero if there was none.
    #[must_use]
    pub fn newest_for(&self, zone: u64, path_and_query: &str) -> u64 {
        let of_zone = self.zones.get(&zone).map_or(0, |purges| purges.newest_for(path_and_query));
        self.floor.max(of_zone)
    }

    /// The purges of a zone.
    #[must_use]
    pub fn of(&self, zone: u64) -> Option<&ZonePurges> {
        self.zones.get(&zone).map(Arc::as_ref)
    }
}

impl ZonePurges {
    /// No purges of URLs or prefixes; all before `floor` are not known, and the whole zone was purged at `zone_at`.
    #[must_use]
    pub fn new(floor: u64, zone_at: u64) -> Self {
        Self { floor, zone_at, ..Self::default() }
    }

    /// Adds the purge of everything at an index.
    pub fn purge_zone(&mut self, index: u64) {
        self.zone_at = self.zone_at.max(index);
        let oldest_good = self.zone_at.max(self.floor);
        // What fell under those falls under this.
        self.urls.retain(|_, at| *at > oldest_good);
        self.prefixes.retain(|_, at| *at > oldest_good);
    }

    /// Adds the purge of a URL at an index.
    pub fn purge_url(&mut self, path_and_query: &str, index: u64) {
        if index > self.zone_at.max(self.floor) {
            let at = self.urls.entry(canonical(path_and_query).into()).or_default();
            *at = index.max(*at);
        }
    }

    /// Adds the purge of what begins with a prefix at an index.
    pub fn purge_prefix(&mut self, prefix: &str, index: u64) {
        if index > self.zone_at.max(self.floor) {
            let at = self.prefixes.entry(canonical(prefix).as_bytes().into()).or_default();
            *at = index.max(*at);
        }
    }

    /// The newest purge that a URL falls under. Zero if there was none.
    #[must_use]
    pub fn newest_for(&self, path_and_query: &str) -> u64 {
        let oldest_good = self.zone_at.max(self.floor);
        if self.urls.is_empty() && self.prefixes.is_empty() {
            return oldest_good;
        }
        let url = canonical(path_and_query);
        let of_url = self.urls.get(url.as_ref()).copied().unwrap_or(0);
        let of_path = url.split_once('?').and_then(|(path, _)| self.urls.get(path)).copied().unwrap_or(0);
        oldest_good.max(of_url).max(of_path).max(self.newest_prefix(url.as_bytes()))
    }

    /// How many URLs and prefixes are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.urls.len() + self.prefixes.len()
    }

    /// Whether no URL and no prefix is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Walks down from the URL. The greatest key that is not above it is a prefix of it, and then shorter ones come before that; or it is
    /// not, and then no prefix of the URL is longer than what both begin with.
    fn newest_prefix(&self, url: &[u8]) -> u64 {
        let mut newest = 0;
        let mut upper = Bound::Included(url);
        while let Some((key, at)) = self.prefixes.range::<[u8], _>((Bound::Unbounded, upper)).next_back() {
            let common = key.iter().zip(url).take_while(|(one, other)| one == other).count();
            if common == key.len() {
                newest = newest.max(*at);
                upper = Bound::Excluded(&url[..common]);
            } else {
                upper = Bound::Included(&url[..common]);
            }
        }
        newest
    }
}

/// The one form in which URLs are compared: what need not be escaped is not, everything else is, with capital digits (RFC 3986, section
/// 6.2.2). A `%` that begins no escape stands for itself.
#[must_use]
pub fn canonical(path_and_query: &str) -> Cow<'_, str> {
    let bytes = path_and_query.as_bytes();
    if bytes.iter().all(|byte| stands_for_itself(*byte)) {
        return Cow::Borrowed(path_and_query);
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        match (byte, escaped(behind)) {
            (b'%', Some(meant)) => {
                if is_unreserved(meant) {
                    text.push(char::from(meant));
                } else {
                    escape(&mut text, meant);
                }
                rest = &behind[2..];
                continue;
            }
            (b'%', None) => escape(&mut text, byte),
            _ if stands_for_itself(byte) => text.push(char::from(byte)),
            _ => escape(&mut text, byte),
        }
        rest = behind;
    }
    Cow::Owned(text)
}

/// The byte that two digits stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a byte is written as it is.
const fn stands_for_itself(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'?' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'[' | b']'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PurgeIndex, ZonePurges, canonical};

    #[derive(Debug, Clone)]
    enum Kind {
        Zone,
        Url(String),
        Prefix(String),
    }

    /// Few letters, so that they meet, and ways to write the same in another way.
    fn urls() -> impl Strategy<Value = String> {
        "/(a|b|%61|%41|ä|%c3%a4|/|%|\\?|\\?a){0,6}".prop_map(|url| url)
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![1 => Just(Kind::Zone), 6 => urls().prop_map(Kind::Url), 6 => urls().prop_map(Kind::Prefix)]
    }

    /// What the index must say, purge by purge.
    fn naive(log: &[Kind], floor: u64, url: &str) -> u64 {
        let url = canonical(url).into_owned();
        let falls_under = |kind: &Kind| match kind {
            Kind::Zone => true,
            Kind::Url(purged) => {
                let purged = canonical(purged);
                url == purged || url.split_once('?').is_some_and(|(path, _)| path == purged)
            }
            Kind::Prefix(prefix) => url.starts_with(canonical(prefix).as_ref()),
        };
        let newest = (1..).zip(log).filter(|(_, kind)| falls_under(kind)).map(|(index, _)| index).max();
        newest.unwrap_or(0).max(floor)
    }

    fn indexed(log: &[Kind], floor: u64) -> ZonePurges {
        let mut purges = ZonePurges::new(floor, 0);
        for (index, kind) in (1..).zip(log) {
            match kind {
                Kind::Zone => purges.purge_zone(index),
                Kind::Url(url) => purges.purge_url(url, index),
                Kind::Prefix(prefix) => purges.purge_prefix(prefix, index),
            }
        }
        purges
    }

    proptest! {
        #[test]
        fn the_index_says_what_the_list_says(
            log in prop::collection::vec(kinds(), 0..20), floor in 0u64..10, asked in prop::collection::vec(urls(), 1..10)
        ) {
            let index = PurgeIndex::default().with(7, Some(indexed(&log, floor)));
            for url in &asked {
                prop_assert_eq!(index.newest_for(7, url), naive(&log, floor, url), "{}", url);
                prop_assert_eq!(index.newest_for(8, url), 0);
            }
        }

        #[test]
        fn a_canonical_form_is_its_own(url in "/\\PC{0,12}|/[%a-fA-F0-9]{0,12}") {
            let once = canonical(&url).into_owned();
            prop_assert_eq!(canonical(&once).into_owned(), once);
        }
    }

    #[test]
    fn canonical_forms() {
        for (url, expected) in [
            ("/a/b?c=d&e", "/a/b?c=d&e"),
            ("/%61%2f", "/a%2F"),
            ("/ü", "/%C3%BC"),
            ("/%c3%bc", "/%C3%BC"),
            ("/100%", "/100%25"),
            ("/%zz", "/%25zz"),
            ("/a b", "/a%20b"),
        ] {
            assert_eq!(canonical(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_purged_with_the_zone_is_not_kept() {
        let mut purges = ZonePurges::new(0, 0);
        purges.purge_url("/a", 1);
        purges.purge_prefix("/b", 2);
        purges.purge_zone(3);
        assert!(purges.is_empty());
        purges.purge_url("/a", 2);
        assert_eq!((purges.len(), purges.newest_for("/a")), (0, 3));
        purges.purge_url("/a", 4);
        assert_eq!((purges.newest_for("/a?x"), purges.newest_for("/ab")), (4, 3));
    }

    /// The floor of the index holds for every zone, known or not.
    #[test]
    fn a_floor_is_of_all_zones() {
        let index = PurgeIndex::new(5).with(1, Some(ZonePurges::new(9, 0)));
        assert_eq!((index.newest_for(1, "/"), index.newest_for(2, "/")), (9, 5));
        assert_eq!(index.with(1, None).newest_for(1, "/"), 5);
    }
}
