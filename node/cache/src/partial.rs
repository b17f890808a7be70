//! Partial content that is kept (RFC 9111 §3.3, §3.4): which part of a representation is asked for, and whether what comes belongs to what is
//! stored.
//!
//! A representation is stored in slices of one length. What a viewer wants is asked for with the rest of the slices that it lies in, so that
//! slices are there whole or not at all. Parts are put together only if they carry one *strong* validator (RFC 9110 §15.3.7.3), say one length,
//! and are coded alike; whatever says less may be of another version, and bytes of two versions are worse than none.

use std::ops::Range;

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE},
};

use crate::{
    content_range::Enclosed,
    etag::{EntityTag, Strength},
    http_date,
    range::{ByteRange, RangeSpec},
};

/// How much later than its last change a response has to have been made for the date of that change to be a strong validator (RFC 9110
/// §8.8.2.2 asks for a second, and that clocks which differ make no difference).
pub const DATE_STRONG_AFTER_S: u64 = 60;

/// How representations are cut into slices, and how many of these are asked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    slice_bytes: u64,
    slices_max: u64,
}

/// A part of a representation of an unknown or known length, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartAsked {
    /// These bytes, as far as there are so many.
    Bytes(ByteRange),
    /// So many at the end, at least one.
    Suffix(u64),
}

/// A part as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The bytes enclosed.
    pub range: ByteRange,
    /// Length of the whole in bytes.
    pub size: u64,
}

/// Why a 206 cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It does not say which bytes it has, or says it wrongly.
    Unlabelled,
    /// It does not say how long the whole is.
    SizeUnknown,
    /// It has other bytes than were asked for.
    OtherRange,
    /// Its content has another length than the range that it names.
    OtherLength,
}

/// What two responses share only if they have the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrongValidator {
    /// An entity tag that is not weak.
    Tag(HeaderValue),
    /// The date of the last change, of a response without a tag that was made long enough after it.
    Date(HeaderValue),
}

impl Grid {
    /// Slices of `slice_bytes`, of which at most `slices_max` are asked for at once. Both are at least 1.
    #[must_use]
    pub const fn new(slice_bytes: u64, slices_max: u64) -> Self {
        Self { slice_bytes, slices_max }
    }

    /// The number of the slice that a byte is in.
    #[must_use]
    pub const fn number(&self, at: u64) -> u64 {
        at / self.slice_bytes
    }

    /// The bytes of the slices `first` to `last`, or of as many as are asked for at once.
    #[must_use]
    pub fn bytes(&self, first: u64, last: u64) -> ByteRange {
        let last = last.clamp(first, first.saturating_add(self.slices_max - 1));
        let begin = first.saturating_mul(self.slice_bytes);
        let end = last.saturating_mul(self.slice_bytes).saturating_add(self.slice_bytes - 1);
        ByteRange::new(begin, end).expect("a slice ends behind its begin")
    }

    /// What is asked for when a representation is not known yet of which a viewer wants `spec`. `None` for all of it.
    #[must_use]
    pub fn asked(&self, spec: RangeSpec) -> Option<PartAsked> {
        match spec {
            RangeSpec::Open { first: 0 } | RangeSpec::Suffix { length: 0 } => None,
            RangeSpec::Closed { first, last } => Some(PartAsked::Bytes(self.bytes(self.number(first), self.number(last)))),
            RangeSpec::Open { first } => Some(PartAsked::Bytes(self.bytes(self.number(first), u64::MAX))),
            RangeSpec::Suffix { length } => Some(PartAsked::Suffix(length)),
        }
    }

    /// The numbers of the slices that lie in a part whole.
    #[must_use]
    pub fn complete(&self, part: Part) -> Range<u64> {
        let first = part.range.first().div_ceil(self.slice_bytes);
        let end = match part.range.last() {
            last if last + 1 == part.size => part.size.div_ceil(self.slice_bytes),
            last => (last + 1) / self.slice_bytes,
        };
        first..end.max(first)
    }

    /// How long a slice of a representation of `size` bytes is; 0 behind its end.
    #[must_use]
    pub fn slice_len(&self, number: u64, size: u64) -> u64 {
        size.saturating_sub(number.saturating_mul(self.slice_bytes)).min(self.slice_bytes)
    }
}

impl PartAsked {
    /// Asks for it in the fields of a request; for all of the representation, if it is another one than `version` is of.
    pub fn ask(self, request: &mut HeaderMap, version: Option<&StrongValidator>) {
        let text = match self {
            Self::Bytes(range) => format!("bytes={}-{}", range.first(), range.last()),
            Self::Suffix(length) => format!("bytes=-{length}"),
        };
        request.insert(RANGE, HeaderValue::try_from(text).expect("a range is visible ASCII"));
        match version {
            Some(StrongValidator::Tag(value) | StrongValidator::Date(value)) => request.insert(IF_RANGE, value.clone()),
            None => request.remove(IF_RANGE),
        };
    }

    /// The part that a 206 with the fields `response` has, which has to be the one that was asked for.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn received(self, response: &HeaderMap) -> Result<Part, Unfit> {
        let Enclosed { range, size } = Enclosed::of(response).ok_or(Unfit::Unlabelled)?;
        let size = size.ok_or(Unfit::SizeUnknown)?;
        let end = size - 1;
        let (first, last) = match self {
            Self::Bytes(asked) => (asked.first(), asked.last().min(end)),
            Self::Suffix(length) => (size.saturating_sub(length), end),
        };
        if (range.first(), range.last()) != (first, last) {
            return Err(Unfit::OtherRange);
        }
        let is_of_range = |length: &HeaderValue| length.to_str().ok().and_then(|length| length.parse().ok()) == Some(range.len());
        let fits = response.get_all(CONTENT_LENGTH).into_iter().all(is_of_range);
        fits.then_some(Part { range, size }).ok_or(Unfit::OtherLength)
    }
}

impl Part {
    /// Whether it is all there is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.range.len() == self.size
    }
}

impl StrongValidator {
    /// That of a response; `None` if it has none. A tag that is weak, or none at all, makes the date weak too: whoever sends it says that the
    /// bytes may differ.
    #[must_use]
    pub fn of(response: &HeaderMap) -> Option<Self> {
        if let Some(tag) = response.get(ETAG) {
            let is_strong = EntityTag::parse(tag.as_bytes()).is_ok_and(|tag| tag.strength() == Strength::Strong);
            let is_alone = response.get_all(ETAG).into_iter().nth(1).is_none();
            return (is_strong && is_alone).then(|| Self::Tag(tag.clone()));
        }
        let changed = response.get(LAST_MODIFIED)?;
        let changed_s = http_date::parse(changed)?;
        let made_s = response.get(DATE).and_then(http_date::parse)?;
        (made_s >= changed_s.saturating_add(DATE_STRONG_AFTER_S)).then(|| Self::Date(changed.clone()))
    }
}

/// Whether a response with the fields `answer`, of a representation of `size` bytes, is of the version that is stored with the fields `stored`
/// and has `stored_size` bytes.
#[must_use]
pub fn is_same_version(stored: &HeaderMap, stored_size: u64, answer: &HeaderMap, size: u64) -> bool {
    let (known, said) = (StrongValidator::of(stored), StrongValidator::of(answer));
    let codings = |headers: &HeaderMap| headers.get_all(CONTENT_ENCODING).into_iter().cloned().collect::<Vec<_>>();
    known.is_some() && known == said && stored_size == size && codings(stored) == codings(answer)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::proptest;

    use super::{Grid, Part, PartAsked, StrongValidator, Unfit, is_same_version};
    use crate::range::{ByteRange, RangeSpec};

    const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AT_ONCE: &str = "Sun, 06 Nov 1994 08:50:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn headers(lines: Lines<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn bytes(first: u64, last: u64) -> ByteRange {
        ByteRange::new(first, last).expect("in order")
    }

    #[test]
    fn what_is_asked_for() {
        use RangeSpec::{Closed, Open, Suffix};
        let grid = Grid::new(10, 3);
        let cases = [
            (Closed { first: 0, last: 0 }, Some(PartAsked::Bytes(bytes(0, 9)))),
            (Closed { first: 9, last: 10 }, Some(PartAsked::Bytes(bytes(0, 19)))),
            (Closed { first: 10_005, last: 10_006 }, Some(PartAsked::Bytes(bytes(10_000, 10_009)))),
            (Closed { first: 15, last: 100 }, Some(PartAsked::Bytes(bytes(10, 39)))),
            (Open { first: 0 }, None),
            (Open { first: 25 }, Some(PartAsked::Bytes(bytes(20, 49)))),
            (Suffix { length: 5 }, Some(PartAsked::Suffix(5))),
            (Suffix { length: 0 }, None),
        ];
        for (spec, expected) in cases {
            assert_eq!(grid.asked(spec), expected, "{spec:?}");
        }
        let mut request = headers(&[("range", "bytes=1-2"), ("if-range", "\"mine\"")]);
        PartAsked::Bytes(bytes(0, 9)).ask(&mut request, None);
        assert_eq!(request, headers(&[("range", "bytes=0-9")]));
        PartAsked::Suffix(5).ask(&mut request, Some(&StrongValidator::Tag(HeaderValue::from_static("\"a\""))));
        assert_eq!(request, headers(&[("range", "bytes=-5"), ("if-range", "\"a\"")]));
    }

    #[test]
    fn what_comes() {
        let ten = PartAsked::Bytes(bytes(10, 19));
        let part = |first, last, size| Ok(Part { range: bytes(first, last), size });
        let cases: [(PartAsked, Lines<'_>, Result<Part, Unfit>); 12] = [
            (ten, &[("content-range", "bytes 10-19/100")], part(10, 19, 100)),
            (ten, &[("content-range", "bytes 10-19/100"), ("content-length", "10")], part(10, 19, 100)),
            (ten, &[("content-range", "bytes 10-14/15")], part(10, 14, 15)),
            (ten, &[], Err(Unfit::Unlabelled)),
            (ten, &[("content-type", "multipart/byteranges; boundary=x")], Err(Unfit::Unlabelled)),
            (ten, &[("content-range", "bytes 10-19/*")], Err(Unfit::SizeUnknown)),
            (ten, &[("content-range", "bytes 10-14/100")], Err(Unfit::OtherRange)),
            (ten, &[("content-range", "bytes 0-19/100")], Err(Unfit::OtherRange)),
            (ten, &[("content-range", "bytes 10-19/100"), ("content-length", "9")], Err(Unfit::OtherLength)),
            (PartAsked::Suffix(5), &[("content-range", "bytes 95-99/100")], part(95, 99, 100)),
            (PartAsked::Suffix(5), &[("content-range", "bytes 0-2/3")], part(0, 2, 3)),
            (PartAsked::Suffix(5), &[("content-range", "bytes 4-9/10")], Err(Unfit::OtherRange)),
        ];
        for (asked, response, expected) in cases {
            assert_eq!(asked.received(&headers(response)), expected, "{asked:?} {response:?}");
        }
        assert!(Part { range: bytes(0, 9), size: 10 }.is_whole());
        assert!(!Part { range: bytes(0, 8), size: 10 }.is_whole());
    }

    #[test]
    fn strong_validators() {
        let tag = Some(StrongValidator::Tag(HeaderValue::from_static("\"a\"")));
        let date = Some(StrongValidator::Date(HeaderValue::from_static(CHANGED)));
        let cases: [(Lines<'_>, Option<StrongValidator>); 10] = [
            (&[("etag", "\"a\"")], tag.clone()),
            (&[("etag", "\"a\""), ("last-modified", CHANGED), ("date", LATER)], tag),
            (&[("etag", "W/\"a\"")], None),
            (&[("etag", "a")], None),
            (&[("etag", "\"a\""), ("etag", "\"b\"")], None),
            (&[("etag", "W/\"a\""), ("last-modified", CHANGED), ("date", LATER)], None),
            (&[("last-modified", CHANGED), ("date", LATER)], date),
            (&[("last-modified", CHANGED), ("date", AT_ONCE)], None),
            (&[("last-modified", CHANGED)], None),
            (&[], None),
        ];
        for (response, expected) in cases {
            assert_eq!(StrongValidator::of(&headers(response)), expected, "{response:?}");
        }
    }

    #[test]
    fn what_belongs_together() {
        const A: Lines<'_> = &[("etag", "\"a\"")];
        let cases: [(Lines<'_>, u64, Lines<'_>, u64, bool); 10] = [
            (A, 10, A, 10, true),
            (A, 10, A, 11, false),
            (A, 10, &[("etag", "\"b\"")], 10, false),
            (A, 10, &[("etag", "W/\"a\"")], 10, false),
            (&[("etag", "W/\"a\"")], 10, &[("etag", "W/\"a\"")], 10, false),
            (&[], 10, &[], 10, false),
            (A, 10, &[("etag", "\"a\""), ("content-encoding", "gzip")], 10, false),
            (&[("last-modified", CHANGED), ("date", LATER)], 10, &[("last-modified", CHANGED), ("date", LATER)], 10, true),
            (&[("last-modified", CHANGED), ("date", LATER)], 10, &[("last-modified", AT_ONCE), ("date", LATER)], 10, false),
            (&[("last-modified", CHANGED), ("date", LATER)], 10, &[("last-modified", CHANGED), ("date", AT_ONCE)], 10, false),
        ];
        for (stored, stored_size, answer, size, expected) in cases {
            let same = is_same_version(&headers(stored), stored_size, &headers(answer), size);
            assert_eq!(same, expected, "{stored:?} {stored_size} {answer:?} {size}");
        }
    }

    proptest! {
        /// What is asked for has what is wanted from its first byte on, begins with a slice and ends with one, and is no longer than it may be.
        #[test]
        fn asked_parts_are_slices(first in 0_u64..1_000, len in 1_u64..200, slice in 1_u64..50, most in 1_u64..6) {
            let grid = Grid::new(slice, most);
            let Some(PartAsked::Bytes(asked)) = grid.asked(RangeSpec::Closed { first, last: first + len - 1 }) else { panic!("a part") };
            assert!(asked.first() <= first && first <= asked.last());
            assert_eq!((asked.first() % slice, (asked.last() + 1) % slice), (0, 0));
            assert!(asked.len() <= slice * most);
            assert!(asked.last() >= first + len - 1 || asked.len() == slice * most);
        }

        /// The slices of a part are those of which it has every byte.
        #[test]
        fn complete_slices(first in 0_u64..200, len in 1_u64..200, after in 0_u64..60, slice in 1_u64..40) {
            let grid = Grid::new(slice, 4);
            let part = Part { range: bytes(first, first + len - 1), size: first + len + after };
            let complete = grid.complete(part);
            for number in 0..part.size.div_ceil(slice) {
                let begin = number * slice;
                let end = begin + grid.slice_len(number, part.size);
                let is_there = begin >= first && end <= first + len;
                assert_eq!(complete.contains(&number), is_there, "slice {number} of {part:?}");
            }
            assert!(complete.end <= part.size.div_ceil(slice).max(complete.start));
        }
    }
}
