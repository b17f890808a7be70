//! Partial content that is put together: beside a representation that is there as bytes, whatever is asked for, in whatever order, and
//! whatever an origin says that it sends.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_RANGE},
};
use libfuzzer_sys::fuzz_target;
use ncore_cache::{
    content_range::{ContentRange, Enclosed},
    partial::{Grid, Part, PartAsked},
    range::{self, ByteRange, RangeRequest, RangeSpec},
};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    slice: u8,
    most: u8,
    content: &'a [u8],
    asks: Vec<Spec>,
    /// What an origin says instead.
    said: &'a [u8],
    large: (u64, u64, u64, u64),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Spec {
    Closed(u16, u16),
    Open(u16),
    Suffix(u16),
}

fuzz_target!(|input: Input<'_>| {
    let grid = Grid::new(u64::from(input.slice).max(1), u64::from(input.most).max(1));
    let mut store = Store { grid, slice: u64::from(input.slice).max(1), content: input.content, slices: BTreeMap::new() };
    for spec in input.asks {
        store.ask(spec.of());
    }
    store.check();
    said(input.said);
    large(input.large);
});

impl Spec {
    fn of(self) -> RangeSpec {
        match self {
            Self::Closed(one, other) => RangeSpec::Closed { first: one.min(other).into(), last: one.max(other).into() },
            Self::Open(first) => RangeSpec::Open { first: first.into() },
            Self::Suffix(length) => RangeSpec::Suffix { length: length.into() },
        }
    }
}

/// What a cache has of a representation.
struct Store<'a> {
    grid: Grid,
    slice: u64,
    content: &'a [u8],
    slices: BTreeMap<u64, Vec<u8>>,
}

impl Store<'_> {
    /// Asks the origin for what a viewer wants, and keeps what comes.
    fn ask(&mut self, spec: RangeSpec) {
        let Some(asked) = self.grid.asked(spec) else {
            assert!(matches!(spec, RangeSpec::Open { first: 0 } | RangeSpec::Suffix { length: 0 }), "{spec:?}");
            return;
        };
        let size = self.content.len() as u64;
        let mut request = HeaderMap::new();
        asked.ask(&mut request, None);
        let range = match range::resolve(&request, size) {
            RangeRequest::Single(range) => range,
            // Nothing of it exists, and nothing of what the viewer wants.
            RangeRequest::Unsatisfiable => return assert!(wanted(spec, size).is_none(), "{spec:?} of {size}"),
            other => return assert_eq!(size, 0, "{asked:?} is asked for as {other:?}"),
        };
        let part = asked.received(&answered(range, size)).expect("what was asked for");
        assert_eq!(part, Part { range, size });
        let bytes = &self.content[place(range)];
        let complete = self.grid.complete(part);
        for number in complete.clone() {
            let begin = number * self.slice - range.first();
            let end = begin + self.grid.slice_len(number, size);
            self.slices.insert(number, bytes[place(ByteRange::new(begin, end - 1).expect("not empty"))].to_vec());
        }
        // No slice is given away of which every byte has come.
        for number in 0..size.div_ceil(self.slice) {
            let (begin, len) = (number * self.slice, self.grid.slice_len(number, size));
            let is_in = range.first() <= begin && begin + len - 1 <= range.last();
            assert_eq!(complete.contains(&number), is_in, "slice {number} of {part:?}");
        }
        // A viewer is served at once with what it wants first.
        if let (PartAsked::Bytes(_), Some(wanted)) = (asked, wanted(spec, size)) {
            assert!(self.slices.contains_key(&self.grid.number(wanted.first())), "{spec:?}");
        }
    }

    /// What is stored is the representation, each byte at its place.
    fn check(&self) {
        for (number, bytes) in &self.slices {
            let begin = usize::try_from(number * self.slice).expect("short");
            assert_eq!(self.content[begin..].chunks(usize::try_from(self.slice).expect("short")).next(), Some(&bytes[..]), "slice {number}");
        }
    }
}

fn answered(range: ByteRange, size: u64) -> HeaderMap {
    let content_range = ContentRange::Part { range, size }.to_header();
    HeaderMap::from_iter([(CONTENT_RANGE, content_range), (CONTENT_LENGTH, HeaderValue::from(range.len()))])
}

/// The bytes that a viewer gets who wants `spec`.
fn wanted(spec: RangeSpec, size: u64) -> Option<ByteRange> {
    let end = size.checked_sub(1)?;
    match spec {
        RangeSpec::Closed { first, last } => ByteRange::new(first, last.min(end)),
        RangeSpec::Open { first } => ByteRange::new(first, end),
        RangeSpec::Suffix { length } => ByteRange::new(size.saturating_sub(length), end),
    }
}

fn place(range: ByteRange) -> std::ops::RangeInclusive<usize> {
    usize::try_from(range.first()).expect("short")..=usize::try_from(range.last()).expect("short")
}

/// A field that somebody else has written is read as one thing or as none.
fn said(text: &[u8]) {
    for text in [text.to_vec(), [b"bytes ", text].concat()] {
        let Ok(value) = HeaderValue::from_bytes(&text) else { return };
        let headers = HeaderMap::from_iter([(CONTENT_RANGE, value)]);
        let Some(Enclosed { range, size: Some(size) }) = Enclosed::of(&headers) else { continue };
        assert!(range.last() < size);
        let again = Enclosed::of(&answered(range, size));
        assert_eq!(again, Some(Enclosed { range, size: Some(size) }), "{text:?}");
        let asked = PartAsked::Bytes(range);
        assert_eq!(asked.received(&headers), Ok(Part { range, size }));
    }
}

/// Numbers beyond all sizes that there are.
fn large((slice, first, last, size): (u64, u64, u64, u64)) {
    let grid = Grid::new(slice.max(1), 1 + slice % 64);
    let Some(range) = ByteRange::new(first.min(last), first.max(last)) else { return };
    for spec in [RangeSpec::Closed { first: range.first(), last: range.last() }, RangeSpec::Open { first }, RangeSpec::Suffix { length: first }] {
        let _ = grid.asked(spec);
    }
    if range.last() < size {
        let complete = grid.complete(Part { range, size });
        let bytes = |number| u128::from(grid.slice_len(number, size));
        let count = u128::from(complete.end - complete.start);
        let least = count.saturating_sub(1) * u128::from(slice.max(1)) + complete.end.checked_sub(1).filter(|_| count > 0).map_or(0, bytes);
        assert!(least <= u128::from(range.len()), "more is complete than has come");
    }
}
