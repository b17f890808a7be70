//! Preconditions of a request (RFC 9110 §13): whether the selected representation lets it proceed.
//!
//! `If-Range` is not here. It never changes the status of a whole answer, only whether a range is used; see
//! [`if_range`](crate::if_range).

use http::{
    HeaderMap, HeaderName, Method,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE},
};

use crate::{
    etag::{Comparison, EntityTag, field_matches},
    http_date,
};

/// The validators of a representation that exists.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Its entity tag.
    pub etag: Option<EntityTag<'a>>,
    /// When it last changed, in Unix seconds.
    pub last_modified_s: Option<u64>,
    /// When it was as it is, in Unix seconds, where that is all that is known: the date of a stored response without `Last-Modified`
    /// (RFC 9111 §4.3.2). It answers `If-Modified-Since` and nothing else.
    pub dated_s: Option<u64>,
}

/// What the preconditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// They hold, or there are none.
    Proceed,
    /// The client's copy is current: 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the preconditions of a request for a representation that exists, in the order of RFC 9110 §13.2.2. Call it
/// only where the answer without them would be 2xx (§13.2.1).
///
/// A date that cannot be read, or that is given twice, is as good as none (§13.1.3, §13.1.4).
#[must_use]
pub fn evaluate(method: &Method, headers: &HeaderMap, validators: &Validators<'_>) -> Precondition {
    let reads = matches!(*method, Method::GET | Method::HEAD);

    if headers.contains_key(IF_MATCH) {
        if !tags_match(headers, IF_MATCH, validators, Comparison::Strong) {
            return Precondition::Failed;
        }
    } else if changed_since(headers, IF_UNMODIFIED_SINCE, validators.last_modified_s) == Some(true) {
        return Precondition::Failed;
    }

    if headers.contains_key(IF_NONE_MATCH) {
        if !tags_match(headers, IF_NONE_MATCH, validators, Comparison::Weak) {
            return Precondition::Proceed;
        }
        return if reads { Precondition::NotModified } else { Precondition::Failed };
    }
    if reads && changed_since(headers, IF_MODIFIED_SINCE, validators.last_modified_s.or(validators.dated_s)) == Some(false) {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

fn tags_match(headers: &HeaderMap, field: HeaderName, validators: &Validators<'_>, comparison: Comparison) -> bool {
    let lines = headers.get_all(field).into_iter();
    field_matches(lines.map(http::HeaderValue::as_bytes), validators.etag.as_ref(), true, comparison)
}

/// Whether a representation that changed at `modified_s` did so after the date in `field`. `None` where either date is not known.
fn changed_since(headers: &HeaderMap, field: HeaderName, modified_s: Option<u64>) -> Option<bool> {
    let mut lines = headers.get_all(field).into_iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    Some(modified_s? > http_date::parse(line)?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::{Precondition, Validators, evaluate};
    use crate::etag::EntityTag;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn judge(method: &Method, fields: &[(&'static str, &'static str)]) -> Precondition {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let validators = Validators { etag: EntityTag::parse(b"\"v1\"").ok(), last_modified_s: Some(784_111_777), dated_s: None };
        evaluate(method, &headers, &validators)
    }

    #[test]
    fn table() {
        use Precondition::{Failed, NotModified, Proceed};
        let cases: [(&[(&'static str, &'static str)], Precondition); 24] = [
            (&[], Proceed),
            (&[("if-match", "\"v1\"")], Proceed),
            (&[("if-match", "\"v0\", \"v1\"")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "\"v0\"")], Failed),
            (&[("if-match", "W/\"v1\"")], Failed),
            (&[("if-match", "v1")], Failed),
            (&[("if-unmodified-since", AT)], Proceed),
            (&[("if-unmodified-since", AFTER)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", "yesterday")], Proceed),
            // If-Match wins over If-Unmodified-Since.
            (&[("if-match", "\"v1\""), ("if-unmodified-since", BEFORE)], Proceed),
            (&[("if-none-match", "\"v1\"")], NotModified),
            (&[("if-none-match", "W/\"v1\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"v0\"")], Proceed),
            (&[("if-modified-since", AT)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", "0")], Proceed),
            (&[("if-modified-since", AT), ("if-modified-since", AT)], Proceed),
            // If-None-Match wins over If-Modified-Since.
            (&[("if-none-match", "\"v0\""), ("if-modified-since", AT)], Proceed),
            // The first group is judged before the second.
            (&[("if-match", "\"v0\""), ("if-none-match", "\"v1\"")], Failed),
            (&[("if-unmodified-since", AT), ("if-none-match", "\"v1\"")], NotModified),
        ];
        for (fields, expected) in cases {
            assert_eq!(judge(&Method::GET, fields), expected, "GET {fields:?}");
            assert_eq!(judge(&Method::HEAD, fields), expected, "HEAD {fields:?}");
        }
    }

    #[test]
    fn methods_that_write() {
        let none_match = [("if-none-match", "*")];
        assert_eq!(judge(&Method::PUT, &none_match), Precondition::Failed);
        let since = [("if-modified-since", AT)];
        assert_eq!(judge(&Method::PUT, &since), Precondition::Proceed);
    }

    #[test]
    fn without_validators() {
        let mut headers = HeaderMap::new();
        headers.insert("if-unmodified-since", HeaderValue::from_static(BEFORE));
        headers.insert("if-modified-since", HeaderValue::from_static(AFTER));
        let validators = Validators { etag: None, last_modified_s: None, dated_s: None };
        let verdict = evaluate(&Method::GET, &headers, &validators);
        assert_eq!(verdict, Precondition::Proceed);
    }
    #[test]
    fn a_date_in_place_of_the_last_change() {
        let judge = |name: &'static str, value: &'static str, last_modified_s| {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            evaluate(&Method::GET, &headers, &Validators { etag: None, last_modified_s, dated_s: Some(784_111_777) })
        };
        assert_eq!(judge("if-modified-since", AFTER, None), Precondition::NotModified);
        assert_eq!(judge("if-modified-since", BEFORE, None), Precondition::Proceed);
        assert_eq!(judge("if-unmodified-since", BEFORE, None), Precondition::Proceed, "it is no date of a change");
        assert_eq!(judge("if-modified-since", AT, Some(784_111_778)), Precondition::Proceed, "the last change counts where it is known");
    }
}
