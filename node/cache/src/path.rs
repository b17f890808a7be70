//! The path of a request for an asset: from the bytes of a URL to the name under which the asset is stored.
//!
//! A URL is decoded exactly once, and then judged by the rules that [`ncore_model::AssetPath`] has for every path: what is
//! refused is refused however it was spelled, so `%2e%2e` and `%00` come no further than `..` and a NUL. Nothing is
//! corrected, because two names for one asset would mean two entries in every cache on the way; the one exception is
//! percent-encoding, which RFC 3986 §6.2.2 makes the same name. An encoded slash is a slash. Case is kept.

use std::{borrow::Cow, fmt};

use ncore_model::MAX_PATH_BYTES;

/// The decoded path of an asset, without a leading slash. It borrows from the request if nothing was encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssetPath<'a>(Cow<'a, str>);

/// What is wrong with a path. All are the client's fault, and the same path is as wrong again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `%` without two hexadecimal digits after it.
    #[error("the path has a % that is not followed by two hexadecimal digits")]
    BadEscape,
    /// The decoded bytes are not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// Decoded, it breaks a rule that holds for every path.
    #[error(transparent)]
    Rule(ncore_model::PathError),
}

impl<'a> AssetPath<'a> {
    /// Decodes and checks `raw`: what follows the prefix of the asset space in the path of a URL, without a query.
    ///
    /// # Errors
    /// [`PathError`], naming the rule that it breaks.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        // Decoding makes nothing longer, and at most three bytes into one.
        if raw.len() > 3 * MAX_PATH_BYTES {
            return Err(PathError::Rule(ncore_model::PathError::TooLong));
        }
        let path = decode(raw)?;
        ncore_model::AssetPath::check(&path).map_err(PathError::Rule)?;
        Ok(Self(path))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether whatever is at this path is not for everybody.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        ncore_model::Visibility::is_fixed_at(&self.0)
    }
}

impl fmt::Display for AssetPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let Some(first) = raw.find('%') else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut decoded = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.as_bytes().split_at(first);
    decoded.extend_from_slice(plain);
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return Err(PathError::BadEscape);
        };
        decoded.push(hex(*high)? << 4 | hex(*low)?);
        rest = tail;
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
    Ok(Cow::Owned(decoded))
}

fn hex(digit: u8) -> Result<u8, PathError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::BadEscape),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use ncore_model::PathError::{Backslash, Control, DotSegment, Empty, EmptySegment, TooLong};
    use proptest::prelude::{any, prop, proptest};

    use super::{
        AssetPath, MAX_PATH_BYTES,
        PathError::{self, BadEscape, NotUtf8, Rule},
    };

    fn parse(raw: &str) -> Result<String, PathError> {
        AssetPath::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn table() {
        let cases: [(&str, Result<&str, PathError>); 35] = [
            ("a", Ok("a")),
            ("img/Logo.SVG", Ok("img/Logo.SVG")),
            ("a%20b+c", Ok("a b+c")),
            ("%C3%BC/%e6%bc%a2", Ok("ü/漢")),
            ("a%2Fb", Ok("a/b")),
            ("a%25b", Ok("a%b")),
            ("a%252e", Ok("a%2e")),
            (".well-known/x", Ok(".well-known/x")),
            ("a..b/...", Ok("a..b/...")),
            ("~a:b@c;d=e", Ok("~a:b@c;d=e")),
            ("", Err(Rule(Empty))),
            ("/", Err(Rule(EmptySegment))),
            ("/a", Err(Rule(EmptySegment))),
            ("a/", Err(Rule(EmptySegment))),
            ("a//b", Err(Rule(EmptySegment))),
            ("a%2F%2fb", Err(Rule(EmptySegment))),
            ("..", Err(Rule(DotSegment))),
            ("a/../b", Err(Rule(DotSegment))),
            ("a/./b", Err(Rule(DotSegment))),
            ("%2e%2E/a", Err(Rule(DotSegment))),
            ("a%2f..%2fb", Err(Rule(DotSegment))),
            ("a%00b", Err(Rule(Control))),
            ("a%0d%0ab", Err(Rule(Control))),
            ("a%7f", Err(Rule(Control))),
            ("a%C2%85", Err(Rule(Control))),
            ("a%5Cb", Err(Rule(Backslash))),
            ("a\\b", Err(Rule(Backslash))),
            ("%ff", Err(NotUtf8)),
            ("%C3", Err(NotUtf8)),
            ("%c0%ae%c0%ae/a", Err(NotUtf8)),
            ("%ED%A0%80", Err(NotUtf8)),
            ("%", Err(BadEscape)),
            ("a%2", Err(BadEscape)),
            ("a%zz", Err(BadEscape)),
            ("a%+1", Err(BadEscape)),
        ];
        for (raw, expected) in cases {
            assert_eq!(parse(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn length() {
        assert!(parse(&"x".repeat(MAX_PATH_BYTES)).is_ok());
        assert!(parse(&"%78".repeat(MAX_PATH_BYTES)).is_ok());
        let too_long = ["x".repeat(MAX_PATH_BYTES + 1), "%78".repeat(MAX_PATH_BYTES + 1)];
        for raw in too_long {
            assert_eq!(parse(&raw), Err(Rule(TooLong)));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(raw in any::<String>()) {
            if let Ok(path) = parse(&raw) {
                assert!(path.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
                assert!(!path.contains(|c: char| c.is_control() || c == '\\'));
            }
        }

        /// Every spelling of a path is the same path.
        #[test]
        fn encoding_does_not_matter(
            segments in prop::collection::vec("[^/\\\\%\\pC]{3,8}", 1..5),
            escape: [bool; 16],
        ) {
            let path = segments.join("/");
            let mut spelled = String::new();
            for (index, byte) in path.bytes().enumerate() {
                if escape[index % escape.len()] || !byte.is_ascii() {
                    write!(spelled, "%{byte:02x}").expect("a string");
                } else {
                    spelled.push(char::from(byte));
                }
            }
            assert_eq!(parse(&spelled), Ok(path));
        }
    }
}
