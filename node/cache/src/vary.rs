//! Which of the responses of one URL is for a request (RFC 9111 §4.1): the fields that `Vary` names, and what a request has in them.
//!
//! Two requests match if their values are the same once what RFC 9110 lets differ without a meaning is gone: how a field is split into
//! lines, white space around the members of a list, and, for the fields whose members are known to be read without regard to case, their
//! case. Order is kept: it can have a meaning.

use std::collections::BTreeSet;

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY},
};

/// The fields that a response varies by, in order, each once; and what a request has in them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct VariantKey(Vec<(HeaderName, Option<Vec<u8>>)>);

/// A response varies by more than can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaryError {
    /// It has `*`, or a name that is none.
    #[error("it varies by more than the fields of a request")]
    Anything,
    /// It names more fields than [`MAX_FIELDS`].
    #[error("it varies by more than {MAX_FIELDS} fields")]
    TooMany,
}

/// The most fields that a response may vary by.
pub const MAX_FIELDS: usize = 32;

/// The fields that `Vary` in `response` names.
///
/// # Errors
/// [`VaryError`].
pub fn fields(response: &HeaderMap) -> Result<Vec<HeaderName>, VaryError> {
    let mut fields = BTreeSet::new();
    for line in response.get_all(VARY) {
        let line = line.to_str().map_err(|_| VaryError::Anything)?;
        for name in line.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let field = HeaderName::try_from(name).ok().filter(|field| field.as_str() != "*").ok_or(VaryError::Anything)?;
            fields.insert(field.as_str().to_owned());
            if fields.len() > MAX_FIELDS {
                return Err(VaryError::TooMany);
            }
        }
    }
    fields.into_iter().map(|name| HeaderName::try_from(name).map_err(|_| VaryError::Anything)).collect()
}

impl VariantKey {
    /// What `request` has in `fields`.
    #[must_use]
    pub fn of(fields: &[HeaderName], request: &HeaderMap) -> Self {
        Self(fields.iter().map(|field| (field.clone(), value(request, field))).collect())
    }

    /// Whether `request` has the same.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.0.iter().all(|(field, kept)| value(request, field) == *kept)
    }

    /// Whether `request` has the same in this field, if it is one of them.
    #[must_use]
    pub fn has_same(&self, name: &HeaderName, request: &HeaderMap) -> bool {
        self.0.iter().any(|(field, kept)| field == name && value(request, field) == *kept)
    }

    /// The fields.
    pub fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(field, _)| field)
    }

    /// The fields with what was in them, in their normal form: what has to be kept for [`from_parts`](Self::from_parts).
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&HeaderName, Option<&[u8]>)> {
        self.0.iter().map(|(field, value)| (field, value.as_deref()))
    }

    /// What [`parts`](Self::parts) gave.
    #[must_use]
    pub fn from_parts(parts: Vec<(HeaderName, Option<Vec<u8>>)>) -> Self {
        Self(parts)
    }
}

/// A field of a request in its normal form; `None` if it is not there, which is another thing than empty.
fn value(request: &HeaderMap, field: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = request.get_all(field).into_iter().peekable();
    lines.peek()?;
    let mut normal = Vec::new();
    for member in lines.flat_map(|line| split(line.as_bytes())) {
        if !normal.is_empty() {
            normal.push(b',');
        }
        let from = normal.len();
        normal.extend_from_slice(member);
        if has_no_case(field) {
            normal[from..].make_ascii_lowercase();
            let tail = normal.split_off(from);
            normal.extend(tail.into_iter().filter(|byte| !matches!(byte, b' ' | b'\t')));
        }
    }
    Some(normal)
}

/// The members of a list, with what is quoted left whole.
fn split(line: &[u8]) -> Vec<&[u8]> {
    let (mut members, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                members.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.push(&line[from..]);
    members.into_iter().map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()).collect()
}

/// Fields whose members are tokens with weights, without quoted strings in practice, in whatever case (RFC 9110 §12.5). A media type
/// can have a parameter with a quoted string; then it stays as it is.
fn has_no_case(field: &HeaderName) -> bool {
    [ACCEPT_LANGUAGE, ACCEPT_ENCODING, ACCEPT_CHARSET].contains(field) && *field != ACCEPT
}

#[cfg(test)]
mod tests {
    use super::{VariantKey, VaryError, fields};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::{any, prop, proptest};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn names() {
        let of = |lines: &[&str]| fields(&headers(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>()));
        let names = |names: &[&'static str]| Ok(names.iter().map(|name| HeaderName::from_static(name)).collect());
        assert_eq!(of(&[]), names(&[]));
        assert_eq!(of(&["Foo, accept", "ACCEPT,,"]), names(&["accept", "foo"]));
        assert_eq!(of(&["foo, *"]), Err(VaryError::Anything));
        assert_eq!(of(&["foo, b(r"]), Err(VaryError::Anything));
        let many: Vec<String> = (0..33).map(|number| format!("x-{number}")).collect();
        assert_eq!(of(&[&many.join(",")]), Err(VaryError::TooMany));
    }

    #[test]
    fn matching() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: [(Lines, Lines, bool); 12] = [
            (&[("foo", "1")], &[("foo", "1")], true),
            (&[("foo", "1")], &[("foo", "2")], false),
            (&[("foo", "1")], &[], false),
            (&[], &[], true),
            (&[("foo", "")], &[], false),
            (&[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")], true),
            (&[("foo", "1,2")], &[("foo", " 1 , 2 ")], true),
            (&[("foo", "1, 2")], &[("foo", "2, 1")], false),
            (&[("foo", "a")], &[("foo", "A")], false),
            (&[("foo", "\"a,b\"")], &[("foo", "\"a, b\"")], false),
            (&[("accept-language", "en, DE;q=0.5")], &[("accept-language", "EN , de; q=0.5")], true),
            (&[("foo", "1"), ("bar", "x")], &[("foo", "1"), ("bar", "y")], false),
        ];
        let fields = ["accept-language", "bar", "foo"].map(HeaderName::from_static);
        for (kept, asked, expected) in cases {
            let key = VariantKey::of(&fields, &headers(kept));
            assert_eq!(key.matches(&headers(asked)), expected, "{kept:?} {asked:?}");
            assert_eq!(key == VariantKey::of(&fields, &headers(asked)), expected, "{kept:?} {asked:?}");
        }
    }

    proptest! {
        #[test]
        fn a_request_matches_itself(value in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let field = HeaderName::from_static("accept-language");
                let request: HeaderMap = [(field.clone(), value)].into_iter().collect();
                assert!(VariantKey::of(&[field], &request).matches(&request));
            }
        }
    }
}
