//! `Content-Range` (RFC 9110 §14.4).

use std::fmt;

use http::{HeaderMap, HeaderValue, header::CONTENT_RANGE};

use crate::range::ByteRange;

/// What the field says about a representation of a known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes first-last/size`, in a 206 or in a part of one.
    Part {
        /// The bytes enclosed.
        range: ByteRange,
        /// Length of the whole in bytes.
        size: u64,
    },
    /// `bytes */size`, in a 416.
    Unsatisfied {
        /// Length of the whole in bytes.
        size: u64,
    },
}

impl ContentRange {
    /// As a header value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("a content range is visible ASCII")
    }
}

/// What the field of a 206 says, as somebody else has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enclosed {
    /// The bytes enclosed.
    pub range: ByteRange,
    /// Length of the whole in bytes; `None` where its sender does not know it (`*`).
    pub size: Option<u64>,
}

impl Enclosed {
    /// Reads the field of a 206, strictly: there once, in bytes, in order, within the whole, with nothing around it. `None` for all else:
    /// what is guessed here would be put at a wrong place of what is stored.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_RANGE).into_iter();
        let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
        let (unit, rest) = line.split_once(' ')?;
        let (range, size) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = ByteRange::new(number(first)?, number(last)?)?;
        let size = match size {
            "*" => None,
            size => Some(number(size)?),
        };
        let is_within = size.is_none_or(|size| range.last() < size);
        (unit.eq_ignore_ascii_case("bytes") && is_within).then_some(Self { range, size })
    }
}

/// `1*DIGIT` that fits.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part { range, size } => {
                write!(f, "bytes {}-{}/{size}", range.first(), range.last())
            }
            Self::Unsatisfied { size } => write!(f, "bytes */{size}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::CONTENT_RANGE};
    use proptest::prelude::{any, prop, proptest};

    use super::{ContentRange, Enclosed};
    use crate::range::ByteRange;

    type Read = Option<(u64, u64, Option<u64>)>;

    fn read(lines: &[&str]) -> Read {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONTENT_RANGE, HeaderValue::from_str(line).expect("a value"));
        }
        Enclosed::of(&headers).map(|enclosed| (enclosed.range.first(), enclosed.range.last(), enclosed.size))
    }

    #[test]
    fn reading() {
        let cases: [(&[&str], Read); 18] = [
            (&["bytes 0-0/1"], Some((0, 0, Some(1)))),
            (&["Bytes 21-42/1000"], Some((21, 42, Some(1_000)))),
            (&["bytes 21-42/*"], Some((21, 42, None))),
            (&["bytes 0-18446744073709551614/18446744073709551615"], Some((0, u64::MAX - 1, Some(u64::MAX)))),
            (&[], None),
            (&["bytes 0-0/1", "bytes 0-0/1"], None),
            (&["bytes 0-0/1, bytes 0-0/1"], None),
            (&["bytes */1"], None),
            (&["items 0-0/1"], None),
            (&["bytes=0-0/1"], None),
            (&["bytes  0-0/1"], None),
            (&["bytes 0-0 /1"], None),
            (&["bytes 0-0/ 1"], None),
            (&["bytes +0-0/1"], None),
            (&["bytes 2-1/3"], None),
            (&["bytes 0-1/1"], None),
            (&["bytes 0-/1"], None),
            (&["bytes 0-18446744073709551616/*"], None),
        ];
        for (lines, expected) in cases {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first in any::<u64>(), len in 0_u64..1 << 40, after in 1_u64..1 << 40) {
            let last = first.saturating_add(len).min(u64::MAX - (1 << 40));
            if let Some(range) = ByteRange::new(first, last) {
                let size = last + after;
                let line = ContentRange::Part { range, size }.to_string();
                assert_eq!(read(&[&line]), Some((first, last, Some(size))));
            }
        }

        #[test]
        fn other_text_is_refused_or_within(text in prop::collection::vec("bytes|[ */=,-]|[0-9]{1,3}", 0..9)) {
            if let Some((first, last, size)) = read(&[&text.concat()]) {
                assert!(first <= last && size.is_none_or(|size| last < size));
            }
        }
    }

    #[test]
    fn rendering() {
        let range = ByteRange::new(21, 42).expect("in order");
        let part = ContentRange::Part { range, size: 1_000 };
        assert_eq!(part.to_header(), "bytes 21-42/1000");
        let unsatisfied = ContentRange::Unsatisfied { size: 0 };
        assert_eq!(unsatisfied.to_header(), "bytes */0");
    }
}
