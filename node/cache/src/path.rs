//! The path of a request for an asset: from the bytes of a URL to the name under which the asset is stored.
//!
//! A URL is decoded exactly once, and then judged: what is refused is refused however it was spelled, so `%2e%2e` and
//! `%00` come no further than `..` and a NUL. Nothing is corrected, because two names for one asset would mean two
//! entries in every cache on the way; the one exception is percent-encoding, which RFC 3986 §6.2.2 makes the same name.
//! An encoded slash is a slash. Case is kept.

use std::{borrow::Cow, fmt};

/// The longest path, in bytes after decoding.
pub const PATH_BYTES_MAX: usize = 1_024;

/// The decoded path of an asset, without a leading slash: at least one segment, none of them empty, `.` or `..`; no
/// control character, no backslash; at most [`PATH_BYTES_MAX`] bytes. It borrows from the request if nothing was encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssetPath<'a>(Cow<'a, str>);

/// The rule that a path breaks. All are the client's fault, and the same path breaks it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is none.
    #[error("the path is empty")]
    Empty,
    /// It is longer than [`PATH_BYTES_MAX`].
    #[error("the path has more than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// A `%` without two hexadecimal digits after it.
    #[error("the path has a % that is not followed by two hexadecimal digits")]
    BadEscape,
    /// The decoded bytes are not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// NUL or another control character.
    #[error("the path has a control character")]
    Control,
    /// Some clients take it for a slash, and some do not.
    #[error("the path has a backslash")]
    Backslash,
    /// Two slashes in a row, or one at either end.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("the path has a segment . or ..")]
    DotSegment,
}

impl<'a> AssetPath<'a> {
    /// Decodes and checks `raw`: what follows the prefix of the asset space in the path of a URL, without a query.
    ///
    /// # Errors
    /// [`PathError`], naming the rule that it breaks.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        // Decoding makes nothing longer, and at most three bytes into one.
        if raw.len() > 3 * PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let path = decode(raw)?;
        check(&path)?;
        Ok(Self(path))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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

fn check(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    if path.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    if path.contains('\\') {
        return Err(PathError::Backslash);
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err(PathError::EmptySegment),
            "." | ".." => return Err(PathError::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::{any, prop, proptest};

    use super::{AssetPath, PATH_BYTES_MAX, PathError};

    fn parse(raw: &str) -> Result<String, PathError> {
        AssetPath::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn table() {
        use PathError::{Backslash, BadEscape, Control, DotSegment, Empty, EmptySegment, NotUtf8};
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
            ("", Err(Empty)),
            ("/", Err(EmptySegment)),
            ("/a", Err(EmptySegment)),
            ("a/", Err(EmptySegment)),
            ("a//b", Err(EmptySegment)),
            ("a%2F%2fb", Err(EmptySegment)),
            ("..", Err(DotSegment)),
            ("a/../b", Err(DotSegment)),
            ("a/./b", Err(DotSegment)),
            ("%2e%2E/a", Err(DotSegment)),
            ("a%2f..%2fb", Err(DotSegment)),
            ("a%00b", Err(Control)),
            ("a%0d%0ab", Err(Control)),
            ("a%7f", Err(Control)),
            ("a%C2%85", Err(Control)),
            ("a%5Cb", Err(Backslash)),
            ("a\\b", Err(Backslash)),
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
        assert!(parse(&"x".repeat(PATH_BYTES_MAX)).is_ok());
        assert!(parse(&"%78".repeat(PATH_BYTES_MAX)).is_ok());
        let too_long = ["x".repeat(PATH_BYTES_MAX + 1), "%78".repeat(PATH_BYTES_MAX + 1)];
        for raw in too_long {
            assert_eq!(parse(&raw), Err(PathError::TooLong));
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
