//! Validation of what is stored (RFC 9111 §4.3): what to ask the origin with, and what its answer does to the stored fields (§3.2).

use http::{
    HeaderMap, HeaderName,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
        IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    },
};

use crate::etag::{Comparison, EntityTag};

/// What a stored response can be validated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator {
    /// Its entity tag, and its date too if it has one.
    Tag,
    /// The date of its last change.
    Date,
    /// Nothing: the origin has to send it again.
    None,
}

/// Whether a 304 is about a stored response (RFC 9111 §4.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    /// It is.
    This,
    /// It is about another one, or nothing says that it is about this.
    Another,
}

/// Makes `request` a conditional one for a response with the fields `stored`. The client's own conditions are taken out: they are for
/// what this cache answers, and what they compare with is not what is validated.
pub fn condition(request: &mut HeaderMap, stored: &HeaderMap) -> Validator {
    for own in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE] {
        request.remove(own);
    }
    let date = stored.get(LAST_MODIFIED).cloned();
    let tag = stored.get(ETAG).filter(|tag| EntityTag::parse(tag.as_bytes()).is_ok()).cloned();
    let validator = match (&tag, &date) {
        (Some(_), _) => Validator::Tag,
        (None, Some(_)) => Validator::Date,
        (None, None) => Validator::None,
    };
    if let Some(tag) = tag {
        request.insert(IF_NONE_MATCH, tag);
    }
    if let Some(date) = date {
        request.insert(IF_MODIFIED_SINCE, date);
    }
    validator
}

/// Whether the 304 with the fields `answer` is about the response with the fields `stored`, which it was asked about.
#[must_use]
pub fn selected(answer: &HeaderMap, stored: &HeaderMap) -> Selected {
    let said = answer.get(ETAG).and_then(|tag| EntityTag::parse(tag.as_bytes()).ok());
    let known = stored.get(ETAG).and_then(|tag| EntityTag::parse(tag.as_bytes()).ok());
    let fits = match (said, known) {
        (Some(said), Some(known)) => said.matches(&known, Comparison::Weak),
        (Some(_), None) => false,
        // Without a tag of its own it answers what it was asked; a date that it names must be the one that is known.
        (None, _) => answer.get(LAST_MODIFIED).is_none_or(|date| stored.get(LAST_MODIFIED).is_none_or(|known| known == date)),
    };
    if fits { Selected::This } else { Selected::Another }
}

/// Whether a response to HEAD with the fields `answer` is about another version than the one of `length` bytes that is stored with the fields
/// `stored` (§4.3.5): it names another tag, another date of the last change, or another length.
#[must_use]
pub fn is_other_version(answer: &HeaderMap, stored: &HeaderMap, length: u64) -> bool {
    let differs = |name: HeaderName| answer.get(&name).is_some_and(|said| stored.get(&name) != Some(said));
    let has_other_length = answer.get(CONTENT_LENGTH).is_some_and(|said| said.as_bytes() != length.to_string().as_bytes());
    differs(ETAG) || differs(LAST_MODIFIED) || has_other_length
}

/// Takes over the fields of a 304, or of a response to HEAD about the same representation, into those that are stored (§3.2): each that is
/// there replaces all that were stored of its name. What describes the stored bytes, and what is for one connection, stays out.
pub fn update(stored: &mut HeaderMap, answer: &HeaderMap) {
    let hops = hop_fields(answer);
    let taken = |name: &HeaderName| !OF_THE_BYTES.contains(name) && !is_hop(name, &hops);
    for name in answer.keys().filter(|name| taken(name)) {
        stored.remove(name);
        for value in answer.get_all(name) {
            stored.append(name.clone(), value.clone());
        }
    }
}

/// Takes out what is for one connection (RFC 9110 §7.6.1), and what is for this proxy (RFC 9111 §3.1).
pub fn strip_hops(headers: &mut HeaderMap) {
    // As a rule there are none, and `Connection` is one of them: a look at each name costs less than to look for each that there could be.
    if !headers.keys().any(is_always_hop) {
        return;
    }
    let named = hop_fields(headers);
    let hops: Vec<HeaderName> = headers.keys().filter(|name| is_hop(name, &named)).cloned().collect();
    for name in hops {
        headers.remove(name);
    }
}

/// The fields that `Connection` names. It cannot take out what caches and origins need to understand each other.
fn hop_fields(headers: &HeaderMap) -> Vec<HeaderName> {
    const NEEDED: [HeaderName; 3] = [CACHE_CONTROL, AUTHORIZATION, CONTENT_LENGTH];
    let lines = headers.get_all(CONNECTION).into_iter().filter_map(|line| line.to_str().ok());
    let names = lines.flat_map(|line| line.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok());
    names.filter(|name| !NEEDED.contains(name)).collect()
}

fn is_hop(name: &HeaderName, named: &[HeaderName]) -> bool {
    is_always_hop(name) || named.contains(name)
}

/// Whether a field is for one connection, or for this proxy, without `Connection` naming it.
fn is_always_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What says which bytes are stored and how they are to be decoded. A 304 has none of them, and origins that send them all the same would
/// have stored content read as something else. The type is not among them: it may be corrected without the content being sent again.
const OF_THE_BYTES: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderName::from_static("content-md5"), HeaderName::from_static("content-digest")];

#[cfg(test)]
mod tests {
    use super::{Selected, Validator, condition, is_other_version, selected, strip_hops, update};
    use http::{HeaderMap, HeaderName, HeaderValue};

    type Lines = &'static [(&'static str, &'static str)];

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(lines: Lines) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn conditions() {
        let cases: [(Lines, Validator, Lines); 5] = [
            (&[("etag", "\"a\"")], Validator::Tag, &[("if-none-match", "\"a\"")]),
            (&[("etag", "W/\"a\""), ("last-modified", DATE)], Validator::Tag, &[("if-none-match", "W/\"a\""), ("if-modified-since", DATE)]),
            (&[("last-modified", DATE)], Validator::Date, &[("if-modified-since", DATE)]),
            (&[("etag", "a")], Validator::None, &[]),
            (&[], Validator::None, &[]),
        ];
        for (stored, expected, fields) in cases {
            let mut request = headers(&[("if-none-match", "\"mine\""), ("range", "bytes=0-1"), ("if-range", "\"mine\"")]);
            assert_eq!(condition(&mut request, &headers(stored)), expected, "{stored:?}");
            assert_eq!(request, headers(fields), "{stored:?}");
        }
    }

    #[test]
    fn selection() {
        let cases: [(Lines, Lines, Selected); 7] = [
            (&[("etag", "\"a\"")], &[("etag", "\"a\"")], Selected::This),
            (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], Selected::This),
            (&[("etag", "\"b\"")], &[("etag", "\"a\"")], Selected::Another),
            (&[("etag", "\"b\"")], &[("last-modified", DATE)], Selected::Another),
            (&[], &[("etag", "\"a\"")], Selected::This),
            (&[("last-modified", DATE)], &[("last-modified", DATE)], Selected::This),
            (&[("last-modified", LATER)], &[("last-modified", DATE)], Selected::Another),
        ];
        for (answer, stored, expected) in cases {
            assert_eq!(selected(&headers(answer), &headers(stored)), expected, "{answer:?} {stored:?}");
        }
    }

    #[test]
    fn answers_to_head() {
        let cases: [(Lines, Lines, bool); 7] = [
            (&[], &[("etag", "\"a\"")], false),
            (&[("etag", "\"a\""), ("content-length", "5")], &[("etag", "\"a\"")], false),
            (&[("etag", "\"b\"")], &[("etag", "\"a\"")], true),
            (&[("etag", "\"b\"")], &[], true),
            (&[("last-modified", LATER)], &[("last-modified", DATE)], true),
            (&[("last-modified", DATE)], &[("last-modified", DATE)], false),
            (&[("content-length", "6")], &[], true),
        ];
        for (answer, stored, expected) in cases {
            assert_eq!(is_other_version(&headers(answer), &headers(stored), 5), expected, "{answer:?} {stored:?}");
        }
    }

    #[test]
    fn updates() {
        let mut stored =
            headers(&[("x-a", "1"), ("x-a", "2"), ("x-b", "1"), ("content-length", "5"), ("content-type", "a/b"), ("etag", "\"a\"")]);
        let answer = headers(&[
            ("x-a", "3"),
            ("x-c", "1"),
            ("x-c", "2"),
            ("content-length", "0"),
            ("content-type", "c/d"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
        ]);
        update(&mut stored, &answer);
        let expected: Lines =
            &[("x-a", "3"), ("x-b", "1"), ("x-c", "1"), ("x-c", "2"), ("content-length", "5"), ("content-type", "c/d"), ("etag", "\"a\"")];
        assert_eq!(stored, headers(expected));
    }

    #[test]
    fn hops() {
        let mut fields =
            headers(&[("connection", "close, X-Hop, cache-control"), ("x-hop", "1"), ("te", "trailers"), ("cache-control", "no-store")]);
        strip_hops(&mut fields);
        assert_eq!(fields, headers(&[("cache-control", "no-store")]));
    }
}
