//! `Content-Range` (RFC 9110 §14.4).

use std::fmt;

use http::HeaderValue;

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
    use super::ContentRange;
    use crate::range::ByteRange;

    #[test]
    fn rendering() {
        let range = ByteRange::new(21, 42).expect("in order");
        let part = ContentRange::Part { range, size: 1_000 };
        assert_eq!(part.to_header(), "bytes 21-42/1000");
        let unsatisfied = ContentRange::Unsatisfied { size: 0 };
        assert_eq!(unsatisfied.to_header(), "bytes */0");
    }
}
