//! `multipart/byteranges` (RFC 9110 §14.6): the text around the parts of a 206, with its length known beforehand.
//!
//! The bytes of the parts are not here: who sends the body writes, for each part, its head and then its bytes, and
//! [`Multipart::closing`] after the last. `Content-Length` is exact, since the text depends on nothing but the ranges.

use std::fmt;

use http::HeaderValue;

use crate::{content_range::ContentRange, range::ByteRange};

/// The line between parts.
///
/// It must not occur in the content, and content may be written by somebody who would like it to; so its bits have to be
/// drawn at random for every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary(u128);

impl Boundary {
    /// A boundary made of `random`.
    #[must_use]
    pub fn new(random: u128) -> Self {
        Self(random)
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text of one multipart response.
#[derive(Debug, Clone)]
pub struct Multipart {
    boundary: Boundary,
    parts: Vec<Part>,
}

/// One range of it.
#[derive(Debug, Clone)]
pub struct Part {
    /// What stands before the bytes: the delimiter, the part's fields, the empty line.
    pub head: String,
    /// Which bytes follow.
    pub range: ByteRange,
}

impl Multipart {
    /// The parts `ranges`, in that order, of a representation of `size` bytes and type `content_type`.
    #[must_use]
    pub fn new(boundary: Boundary, content_type: &HeaderValue, size: u64, ranges: &[ByteRange]) -> Self {
        // A type outside of ASCII is legal in a header and senseless in a part: the bytes are replaced, not the type lost.
        let content_type = String::from_utf8_lossy(content_type.as_bytes());
        let parts = ranges.iter().enumerate().map(|(index, &range)| {
            let line_end = if index == 0 { "" } else { "\r\n" };
            let content_range = ContentRange::Part { range, size };
            let head = format!("{line_end}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range}\r\n\r\n");
            Part { head, range }
        });
        let parts = parts.collect();
        Self { boundary, parts }
    }

    /// The `Content-Type` of the response.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::try_from(text).expect("a boundary is visible ASCII")
    }

    /// The `Content-Length` of the response.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        let parts = self.parts.iter().map(|part| length(&part.head).saturating_add(part.range.len()));
        parts.fold(length(&self.closing()), u64::saturating_add)
    }

    /// What stands after the last part.
    #[must_use]
    pub fn closing(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// The parts, in the order to send.
    #[must_use]
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }
}

fn length(text: &str) -> u64 {
    text.len() as u64
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::{any, prop, proptest};

    use super::{Boundary, Multipart};
    use crate::range::ByteRange;

    fn produce(multipart: &Multipart, whole: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for part in multipart.clone().into_parts() {
            body.extend_from_slice(part.head.as_bytes());
            let first = usize::try_from(part.range.first()).expect("small");
            let last = usize::try_from(part.range.last()).expect("small");
            body.extend_from_slice(&whole[first..=last]);
        }
        body.extend_from_slice(multipart.closing().as_bytes());
        body
    }

    #[test]
    fn text() {
        let ranges = [(7, 8), (0, 1)].map(|(f, l)| ByteRange::new(f, l).expect("in order"));
        let content_type = HeaderValue::from_static("text/plain");
        let multipart = Multipart::new(Boundary::new(0xb0), &content_type, 10, &ranges);
        let line = "000000000000000000000000000000b0";
        let expected = format!(
            "--{line}\r\nContent-Type: text/plain\r\nContent-Range: bytes 7-8/10\r\n\r\nhi\r\n\
             --{line}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\nab\r\n\
             --{line}--\r\n"
        );
        assert_eq!(produce(&multipart, b"abcdefghij"), expected.as_bytes());
        assert_eq!(multipart.content_length(), expected.len() as u64);
        let content_type = format!("multipart/byteranges; boundary={line}");
        assert_eq!(multipart.content_type(), content_type.as_str());
    }

    proptest! {
        #[test]
        fn length_is_exact(
            whole in prop::collection::vec(any::<u8>(), 1..400),
            cuts in prop::collection::vec((any::<u16>(), any::<u16>()), 1..10),
            random: u128,
        ) {
            let ranges: Vec<_> = cuts
                .into_iter()
                .map(|(a, b)| {
                    let (a, b) = (usize::from(a) % whole.len(), usize::from(b) % whole.len());
                    ByteRange::new(a.min(b) as u64, a.max(b) as u64).expect("in order")
                })
                .collect();
            let content_type = HeaderValue::from_static("video/webm");
            let size = whole.len() as u64;
            let multipart = Multipart::new(Boundary::new(random), &content_type, size, &ranges);
            let body = produce(&multipart, &whole);
            assert_eq!(multipart.content_length(), body.len() as u64);
        }
    }
}
