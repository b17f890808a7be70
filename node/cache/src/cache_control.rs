//! What a message says about caching: `Cache-Control` (RFC 9111 §5.2), of responses and of requests.
//!
//! Names are read without regard to case, and arguments in both of their forms, as a token and as a quoted string (§5.2). Who reads this
//! is a shared cache, so where a field is malformed or contradicts itself, the reading that stores and reuses less is taken.

use http::{
    HeaderMap,
    header::{CACHE_CONTROL, HeaderName, PRAGMA},
};

/// The largest number of seconds that is told apart: more mean this (RFC 9111 §1.2.2).
pub const MAX_SECONDS: u64 = 1 << 31;

/// What a response says about its reuse.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseDirectives {
    /// How long it is fresh, in seconds. An argument that is no number is 0.
    pub max_age_s: Option<u64>,
    /// The same, for shared caches.
    pub s_maxage_s: Option<u64>,
    /// For how long it may be reused while it is validated (RFC 5861 §3), in seconds.
    pub stale_while_revalidate_s: Option<u64>,
    /// For how long it may be reused when the origin fails (RFC 5861 §4), in seconds.
    pub stale_if_error_s: Option<u64>,
    /// May it be reused without validation?
    pub no_cache: Extent,
    /// Is it for one user?
    pub private: Extent,
    flags: Flags,
}

/// What a request says about what it is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// The greatest age, in seconds.
    pub max_age_s: Option<u64>,
    /// For how much longer it must be fresh, in seconds.
    pub min_fresh_s: Option<u64>,
    /// For how long it may have been stale.
    pub max_stale: Option<MaxStale>,
    flags: Flags,
}

/// How stale a response may be for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStale {
    /// So many seconds.
    Seconds(u64),
    /// However long.
    Any,
}

/// What a directive is about that may name fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Extent {
    /// Nothing: it is not there.
    #[default]
    Nothing,
    /// These fields, in lower case.
    Fields(Vec<String>),
    /// The response.
    Everything,
}

/// A directive without an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// It is not kept.
    NoStore = 0,
    /// It is for everybody.
    Public,
    /// Once stale it is not reused without validation.
    MustRevalidate,
    /// The same, for shared caches.
    ProxyRevalidate,
    /// It is kept by those alone who understand its status.
    MustUnderstand,
    /// Its content is left as it is.
    NoTransform,
    /// It does not change while it is fresh (RFC 8246).
    Immutable,
    /// Of a request: no answer without validation.
    NoCache,
    /// Of a request: an answer from what is stored, or none.
    OnlyIfCached,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flags(u16);

impl Flags {
    fn set(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }
}

impl ResponseDirectives {
    /// Of `Cache-Control` in `headers`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for (name, argument) in each(headers, &CACHE_CONTROL) {
            directives.add(&name, argument.as_deref());
        }
        directives
    }

    /// Whether it has a directive without an argument.
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// Adds a directive; `name` in lower case. One that is not known is no directive (RFC 9111 §5.2.3).
    pub(crate) fn add(&mut self, name: &str, argument: Option<&str>) {
        match name {
            "max-age" => least(&mut self.max_age_s, lifetime(argument)),
            "s-maxage" => least(&mut self.s_maxage_s, lifetime(argument)),
            "stale-while-revalidate" => least(&mut self.stale_while_revalidate_s, lifetime(argument)),
            "stale-if-error" => least(&mut self.stale_if_error_s, lifetime(argument)),
            "no-cache" => self.no_cache.add(argument),
            "private" => self.private.add(argument),
            _ => {
                if let Some(flag) = response_flag(name) {
                    self.flags.set(flag);
                }
            }
        }
    }
}

impl RequestDirectives {
    /// Of `Cache-Control` in `headers`, and of `Pragma` where there is none (RFC 9111 §5.4).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            if each(headers, &PRAGMA).iter().any(|(name, _)| name == "no-cache") {
                directives.flags.set(Flag::NoCache);
            }
            return directives;
        }
        for (name, argument) in each(headers, &CACHE_CONTROL) {
            directives.add(&name, argument.as_deref());
        }
        directives
    }

    /// Whether it has a directive without an argument.
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    fn add(&mut self, name: &str, argument: Option<&str>) {
        match name {
            "max-age" => least(&mut self.max_age_s, lifetime(argument)),
            "min-fresh" => self.min_fresh_s = self.min_fresh_s.max(seconds(argument)),
            "max-stale" => match argument {
                None => self.max_stale = self.max_stale.or(Some(MaxStale::Any)),
                // What is no number allows nothing.
                Some(_) => self.max_stale = seconds(argument).map(MaxStale::Seconds),
            },
            "no-store" => self.flags.set(Flag::NoStore),
            "no-cache" => self.flags.set(Flag::NoCache),
            "no-transform" => self.flags.set(Flag::NoTransform),
            "only-if-cached" => self.flags.set(Flag::OnlyIfCached),
            _ => {}
        }
    }
}

impl Extent {
    /// Whether it is about this field, whose name is in lower case.
    #[must_use]
    pub fn covers(&self, field: &HeaderName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Fields(fields) => fields.iter().any(|name| name == field.as_str()),
            Self::Everything => true,
        }
    }

    /// An argument that names no field is about everything.
    fn add(&mut self, argument: Option<&str>) {
        let named = argument.unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase());
        let named: Vec<String> = named.filter(|name| !name.is_empty()).collect();
        match self {
            Self::Everything => {}
            _ if named.is_empty() => *self = Self::Everything,
            Self::Fields(fields) => fields.extend(named),
            Self::Nothing => *self = Self::Fields(named),
        }
    }
}

fn response_flag(name: &str) -> Option<Flag> {
    Some(match name {
        "no-store" => Flag::NoStore,
        "public" => Flag::Public,
        "must-revalidate" => Flag::MustRevalidate,
        "proxy-revalidate" => Flag::ProxyRevalidate,
        "must-understand" => Flag::MustUnderstand,
        "no-transform" => Flag::NoTransform,
        "immutable" => Flag::Immutable,
        _ => return None,
    })
}

/// Of several, the least: the others may be meant, but less is safe (RFC 9111 §4.2.1).
fn least(known: &mut Option<u64>, another: u64) {
    *known = Some(known.map_or(another, |known| known.min(another)));
}

/// What cannot be read is no time at all: the response is stale (RFC 9111 §4.2.1).
fn lifetime(argument: Option<&str>) -> u64 {
    seconds(argument).unwrap_or(0)
}

/// A number of seconds (RFC 9111 §1.2.2): digits, and nothing else.
pub(crate) fn seconds(argument: Option<&str>) -> Option<u64> {
    let digits = argument?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are more than the maximum.
    Some(digits.parse().map_or(MAX_SECONDS, |seconds: u64| seconds.min(MAX_SECONDS)))
}

/// The directives of all lines of a field, in order: names in lower case, arguments without their quotes.
fn each(headers: &HeaderMap, field: &HeaderName) -> Vec<(String, Option<String>)> {
    let lines = headers.get_all(field).into_iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.flat_map(|line| members(&line)).collect()
}

fn members(line: &str) -> Vec<(String, Option<String>)> {
    let mut members = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return members;
        }
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let name = rest[..end].trim_end().to_ascii_lowercase();
        rest = &rest[end..];
        let argument = rest.strip_prefix('=').map(|after| {
            let (argument, after) = split_argument(after);
            rest = after;
            argument
        });
        members.push((name, argument));
    }
}

/// An argument up to the comma behind it. If something follows a quoted string before the comma, a quote is left in it: then nobody takes
/// it for a number.
fn split_argument(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].trim_end().to_owned(), &text[end..]);
    };
    let mut argument = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let after = &quoted[at + 1..];
                let end = after.find(',').unwrap_or(after.len());
                if !after[..end].trim().is_empty() {
                    argument.push('"');
                }
                return (argument, &after[end..]);
            }
            '\\' => argument.extend(characters.next().map(|(_, escaped)| escaped)),
            other => argument.push(other),
        }
    }
    (argument, "")
}

#[cfg(test)]
mod tests {
    use super::{Extent, Flag, MAX_SECONDS, MaxStale, RequestDirectives, ResponseDirectives};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::{any, prop, proptest};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn response(line: &str) -> ResponseDirectives {
        ResponseDirectives::of(&headers(&[("cache-control", line)]))
    }

    #[test]
    fn lifetimes() {
        let cases = [
            ("max-age=60", Some(60)),
            ("MAX-AGE=60", Some(60)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=060", Some(60)),
            ("max-age=2147483648", Some(MAX_SECONDS)),
            ("max-age=99999999999999999999999", Some(MAX_SECONDS)),
            ("max-age=60, max-age=1", Some(1)),
            ("max-age=1, max-age=60", Some(1)),
            ("public,max-age=60,,", Some(60)),
            ("foo=\"bar, max-age=1\", max-age=60", Some(60)),
            ("foo=\"a\\\"b, max-age=1\", max-age=60", Some(60)),
            // What is no number of seconds is none at all.
            ("max-age=-1", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=60s", Some(0)),
            ("max-age='60'", Some(0)),
            ("max-age=\"60\"0", Some(0)),
            ("max-age= 60", Some(0)),
            ("max-age", Some(0)),
            ("max-age=", Some(0)),
            // Not this directive.
            ("max-age-x=60", None),
            ("x-max-age=60", None),
            ("foo=\"max-age=60", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(response(line).max_age_s, expected, "{line}");
        }
    }

    #[test]
    fn extents() {
        let fields = |names: &[&str]| Extent::Fields(names.iter().map(|&name| name.to_owned()).collect());
        let cases = [
            ("max-age=1", Extent::Nothing),
            ("no-cache", Extent::Everything),
            ("no-cache=\"\"", Extent::Everything),
            ("no-cache=\"Set-Cookie, x-a\"", fields(&["set-cookie", "x-a"])),
            ("no-cache=set-cookie", fields(&["set-cookie"])),
            ("no-cache=\"a\", no-cache=\"b\"", fields(&["a", "b"])),
            ("no-cache=\"a\", no-cache", Extent::Everything),
            ("no-cache, no-cache=\"a\"", Extent::Everything),
        ];
        for (line, expected) in cases {
            assert_eq!(response(line).no_cache, expected, "{line}");
        }
        assert!(fields(&["set-cookie"]).covers(&http::header::SET_COOKIE));
    }

    #[test]
    fn flags_of_all_lines() {
        let directives = ResponseDirectives::of(&headers(&[("cache-control", "Public"), ("cache-control", "s-maxage=3 , immutable")]));
        assert!(directives.has(Flag::Public) && directives.has(Flag::Immutable) && !directives.has(Flag::NoStore));
        assert_eq!(directives.s_maxage_s, Some(3));
    }

    #[test]
    fn requests() {
        let request = |lines: &[(&'static str, &str)]| RequestDirectives::of(&headers(lines));
        assert!(request(&[("pragma", "No-Cache")]).has(Flag::NoCache));
        assert!(!request(&[("pragma", "no-cache"), ("cache-control", "max-age=3")]).has(Flag::NoCache), "Cache-Control alone counts");
        assert_eq!(request(&[("cache-control", "max-stale")]).max_stale, Some(MaxStale::Any));
        assert_eq!(request(&[("cache-control", "max-stale=5")]).max_stale, Some(MaxStale::Seconds(5)));
        assert_eq!(request(&[("cache-control", "max-stale=x")]).max_stale, None);
        assert_eq!(request(&[("cache-control", "min-fresh=5, min-fresh=7")]).min_fresh_s, Some(7));
        assert_eq!(request(&[("cache-control", "max-age=x")]).max_age_s, Some(0), "it wants something newer, at any rate");
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(line in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let mut headers = HeaderMap::new();
                headers.append(http::header::CACHE_CONTROL, value);
                let _ = (ResponseDirectives::of(&headers), RequestDirectives::of(&headers));
            }
        }

        #[test]
        fn order_of_lines_does_not_matter(ages in prop::collection::vec(0_u64..100, 1..5)) {
            let of = |ages: &[u64]| {
                let mut headers = HeaderMap::new();
                for age in ages {
                    headers.append(http::header::CACHE_CONTROL, HeaderValue::from_str(&format!("max-age={age}")).expect("a value"));
                }
                ResponseDirectives::of(&headers)
            };
            let mut reversed = ages.clone();
            reversed.reverse();
            assert_eq!(of(&ages), of(&reversed));
        }
    }
}
