//! Tables from RFC 9110 §14.1.2, the limits, and what must hold of any field at all.

use std::fmt;

use http::{HeaderMap, HeaderValue, header::RANGE};
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::{ByteRange, IgnoredRange, RANGES_MAX, RangeRequest, RangeSpec, resolve, single};

fn ask(field: &[u8], size: u64) -> RangeRequest {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, HeaderValue::from_bytes(field).expect("a value"));
    resolve(&headers, size)
}

fn range(first: u64, last: u64) -> ByteRange {
    ByteRange::new(first, last).expect("in order")
}

#[test]
fn single_ranges() {
    let cases: [(&str, RangeRequest); 15] = [
        ("bytes=0-499", RangeRequest::Single(range(0, 499))),
        ("bytes=500-999", RangeRequest::Single(range(500, 999))),
        ("bytes=9500-", RangeRequest::Single(range(9_500, 9_999))),
        ("bytes=-500", RangeRequest::Single(range(9_500, 9_999))),
        ("bytes=0-0", RangeRequest::Single(range(0, 0))),
        ("bytes=0-", RangeRequest::Single(range(0, 9_999))),
        ("bytes=9999-20000", RangeRequest::Single(range(9_999, 9_999))),
        ("bytes=-20000", RangeRequest::Single(range(0, 9_999))),
        ("BYTES=1-2", RangeRequest::Single(range(1, 2))),
        ("bytes= 1-2 ,", RangeRequest::Single(range(1, 2))),
        ("bytes=0-99999999999999999999999", RangeRequest::Single(range(0, 9_999))),
        ("bytes=10000-", RangeRequest::Unsatisfiable),
        ("bytes=99999999999999999999999-", RangeRequest::Unsatisfiable),
        ("bytes=-0", RangeRequest::Unsatisfiable),
        ("bytes=10000-10001,-0", RangeRequest::Unsatisfiable),
    ];
    for (field, expected) in cases {
        assert_eq!(ask(field.as_bytes(), 10_000), expected, "{field}");
    }
}

#[test]
fn several_ranges() {
    let cases: [(&str, &[(u64, u64)]); 7] = [
        ("bytes=0-0,-1", &[(0, 0), (9_999, 9_999)]),
        // Kept in the order asked for.
        ("bytes=5000-5009, 0-9", &[(5_000, 5_009), (0, 9)]),
        // One of them does not exist.
        ("bytes=0-9,20000-", &[(0, 9)]),
        // They touch, or nearly.
        ("bytes=500-600,601-999", &[(500, 999)]),
        ("bytes=0-9,138-200", &[(0, 200)]),
        ("bytes=0-9,139-200", &[(0, 9), (139, 200)]),
        // Joined at the place of the first of them.
        ("bytes=5000-5999,0-9,5500-6500", &[(5_000, 6_500), (0, 9)]),
    ];
    for (field, expected) in cases {
        let ranges: Vec<_> = expected.iter().map(|&(f, l)| range(f, l)).collect();
        let expected = match ranges.as_slice() {
            [one] => RangeRequest::Single(*one),
            _ => RangeRequest::Multiple(ranges),
        };
        assert_eq!(ask(field.as_bytes(), 10_000), expected, "{field}");
    }
}

#[test]
fn ignored_fields() {
    use IgnoredRange::{Malformed, Overlapping, TooMany, UnknownUnit};
    let many = |count: usize| {
        let specs: Vec<_> = (0..count).map(|i| format!("{0}-{0}", i * 1_000)).collect();
        format!("bytes={}", specs.join(","))
    };
    let cases = [
        ("bytes", Malformed),
        ("bytes=", Malformed),
        ("bytes=,", Malformed),
        ("bytes=a-b", Malformed),
        ("bytes=1", Malformed),
        ("bytes=-", Malformed),
        ("bytes=2-1", Malformed),
        ("bytes=0-1,2-1", Malformed),
        ("bytes=1 - 2", Malformed),
        ("bytes=--1", Malformed),
        ("bytes=+1-2", Malformed),
        ("bytes =1-2", UnknownUnit),
        ("lines=1-2", UnknownUnit),
        ("bytes=0-,0-,0-,0-", Overlapping),
        (&many(RANGES_MAX + 1), TooMany),
    ];
    for (field, reason) in cases {
        let found = ask(field.as_bytes(), 1_000_000);
        assert_eq!(found, RangeRequest::Ignored(reason), "{field}");
    }
    let RangeRequest::Multiple(ranges) = ask(many(RANGES_MAX).as_bytes(), 1_000_000) else {
        panic!("as many as are allowed");
    };
    assert_eq!(ranges.len(), RANGES_MAX);
}

#[test]
fn absent_repeated_and_empty() {
    let mut headers = HeaderMap::new();
    assert_eq!(resolve(&headers, 10), RangeRequest::None);
    headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
    headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
    let repeated = RangeRequest::Ignored(IgnoredRange::Repeated);
    assert_eq!(resolve(&headers, 10), repeated);
    let empty = RangeRequest::Ignored(IgnoredRange::EmptyRepresentation);
    for field in ["bytes=0-", "bytes=-1", "nonsense"] {
        assert_eq!(ask(field.as_bytes(), 0), empty);
    }
}

/// One spec, and by the letter of the RFC the positions that it names.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Closed(u64, u64),
    Open(u64),
    Suffix(u64),
}

impl Asked {
    fn any() -> impl Strategy<Value = Self> {
        let position = || 0_u64..1_500;
        prop_oneof![
            (position(), position()).prop_map(|(a, b)| Self::Closed(a.min(b), a.max(b))),
            position().prop_map(Self::Open),
            position().prop_map(Self::Suffix),
        ]
    }

    fn names(self, at: u64, size: u64) -> bool {
        match self {
            Self::Closed(first, last) => (first..=last).contains(&at),
            Self::Open(first) => at >= first,
            Self::Suffix(length) => at >= size.saturating_sub(length),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(first, last) => write!(f, "{first}-{last}"),
            Self::Open(first) => write!(f, "{first}-"),
            Self::Suffix(length) => write!(f, "-{length}"),
        }
    }
}

#[test]
fn one_range_of_an_unknown_size() {
    let cases = [
        ("bytes=0-0", Some(RangeSpec::Closed { first: 0, last: 0 })),
        ("bytes=5-", Some(RangeSpec::Open { first: 5 })),
        ("bytes= -5 ,", Some(RangeSpec::Suffix { length: 5 })),
        ("bytes=0-0,2-2", None),
        ("bytes=1-0", None),
        ("items=0-0", None),
    ];
    for (field, expected) in cases {
        let headers = [(RANGE, HeaderValue::from_static(field))].into_iter().collect();
        assert_eq!(single(&headers), expected, "{field}");
    }
    assert_eq!(single(&HeaderMap::new()), None);
}

proptest! {
    /// What is sent covers what was asked, is in bounds and disjoint, and adds no more than gaps between parts.
    #[test]
    fn selected_ranges_cover_what_was_asked(
        specs in prop::collection::vec(Asked::any(), 1..6),
        size in 1_u64..1_200,
    ) {
        let texts: Vec<_> = specs.iter().map(Asked::to_string).collect();
        let field = format!("bytes={}", texts.join(", "));
        let asked = |at: u64| specs.iter().any(|spec| spec.names(at, size));
        let sent = match ask(field.as_bytes(), size) {
            RangeRequest::Single(range) => vec![range],
            RangeRequest::Multiple(ranges) => {
                assert!(ranges.len() >= 2);
                ranges
            }
            RangeRequest::Unsatisfiable => {
                assert!(!(0..size).any(asked));
                return Ok(());
            }
            RangeRequest::Ignored(reason) => {
                assert_eq!(reason, IgnoredRange::Overlapping);
                assert!(specs.len() > 3);
                return Ok(());
            }
            RangeRequest::None => panic!("there is a field"),
        };
        let mut times_sent = vec![0; usize::try_from(size).expect("small")];
        for range in &sent {
            for at in range.first()..=range.last() {
                times_sent[usize::try_from(at).expect("small")] += 1;
            }
            assert!(asked(range.first()) && asked(range.last()));
        }
        for (at, times) in (0..size).zip(times_sent) {
            assert!(times <= 1, "byte {at} of {field} is sent {times} times");
            assert!(times == 1 || !asked(at), "byte {at} of {field} is not sent");
        }
        if let [spec] = specs.as_slice() {
            let [range] = sent.as_slice() else { panic!("one asked, one sent") };
            for at in range.first()..=range.last() {
                assert!(spec.names(at, size));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_judged(field in prop::collection::vec(any::<u8>(), 0..64), size: u64) {
        if HeaderValue::from_bytes(&field).is_ok() {
            ask(&field, size);
            let mut prefixed = b"bytes=".to_vec();
            prefixed.extend_from_slice(&field);
            ask(&prefixed, size);
        }
    }

    #[test]
    fn arbitrary_numbers_are_judged(field in "bytes=[0-9, -]{0,80}", size: u64) {
        if let RangeRequest::Single(range) = ask(field.as_bytes(), size) {
            assert!(range.last() < size);
        }
    }
}
