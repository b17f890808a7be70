//! Percent-encoding (RFC 3986, section 2.1), once for all that writes or reads addresses.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// RFC 3986, section 2.3, and the slash, which a query may have (section 3.4).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// Section 3.3: what a path may have as it is. `;` and `=` are legal too, and escaped, because some software in between gives them a
/// meaning.
const PATH: &AsciiSet = &QUERY
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b'@');

/// `text` as a name or value of a query.
#[must_use]
pub fn query(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// `text` as a path, its slashes included.
#[must_use]
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// What a name or value of a query or a form stands for; a plus is a space. `None` if a `%` has not two digits after it, or what comes
/// out is not UTF-8: such a text is no mistake that one should guess at.
#[must_use]
pub fn decoded(text: &str) -> Option<String> {
    let digits = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(digits) {
        return None;
    }
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::{decoded, path, query};
    use proptest::prelude::proptest;

    #[test]
    fn decoding() {
        let cases = [
            ("", Some("")),
            ("x+y%20z", Some("x y z")),
            ("%C3%bc", Some("ü")),
            ("%2B", Some("+")),
            ("%", None),
            ("a%1", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
            ("%25", Some("%")),
        ];
        for (text, expected) in cases {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn encoding() {
        assert_eq!(query("a b&c=d+e%/ü?"), "a%20b%26c%3Dd%2Be%25/%C3%BC%3F");
        assert_eq!(path("a b/ü?#%.txt;v=1+(2)"), "a%20b/%C3%BC%3F%23%25.txt%3Bv%3D1+(2)");
    }

    proptest! {
        #[test]
        fn a_query_is_read_as_it_was_meant(text in ".*") {
            assert_eq!(decoded(&query(&text)), Some(text));
        }

        #[test]
        fn nothing_breaks_decoding(text in ".*") {
            let _ = decoded(&text);
        }
    }
}
