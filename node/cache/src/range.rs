//! `Range: bytes=...` (RFC 9110 §14.1.2, §14.2): which bytes of a representation a GET wants.
//!
//! # What is given back
//! Ranges that can be sent as they are: inside the representation, disjoint, further apart than a part's own overhead, in
//! the order in which the client asked. So the bytes sent never exceed the representation, whatever was asked.
//!
//! # What is not obeyed
//! §14.2 lets a server ignore the field. It does so here, with a named reason and the whole representation as the
//! answer, where the field cannot be understood and where obeying it would only serve an attack (§17.15): more than
//! [`RANGES_MAX`] ranges, or more than [`OVERLAPS_MAX`] that overlap.

use http::{HeaderMap, header::RANGE};

/// The most ranges in one request that are obeyed.
pub const RANGES_MAX: usize = 64;

/// The most ranges of one request that may overlap ones before them. RFC 9110 §14.2 names two as what a client may need.
pub const OVERLAPS_MAX: usize = 2;

/// Ranges with a gap of at most this many bytes become one: about what the head of another part would cost.
pub const GAP_COALESCED_BYTES: u64 = 128;

/// Bytes `first..=last` of a representation; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

impl ByteRange {
    /// `None` if `last` lies before `first`.
    #[must_use]
    pub fn new(first: u64, last: u64) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// Every byte of a representation of `size` bytes; `None` if it has none.
    #[must_use]
    pub fn whole(size: u64) -> Option<Self> {
        let last = size.checked_sub(1)?;
        Some(Self { first: 0, last })
    }

    /// Position of the first byte.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Position of the last byte, which belongs to the range.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Length in bytes, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// What a request's `Range` comes to for a representation of a given size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeRequest {
    /// There is no such field: send the whole, 200.
    None,
    /// The field is ignored: send the whole, 200.
    Ignored(IgnoredRange),
    /// It is well formed, and no byte of it exists: 416.
    Unsatisfiable,
    /// 206 with these bytes.
    Single(ByteRange),
    /// 206 multipart/byteranges with these parts; at least two.
    Multiple(Vec<ByteRange>),
}

/// Why a `Range` field is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoredRange {
    /// It is there more than once, and is not a list.
    Repeated,
    /// Its unit is not bytes.
    UnknownUnit,
    /// It breaks the grammar, or a range ends before it begins.
    Malformed,
    /// More than [`RANGES_MAX`].
    TooMany,
    /// More than [`OVERLAPS_MAX`].
    Overlapping,
    /// The representation has no bytes to take a range of.
    EmptyRepresentation,
}

impl IgnoredRange {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::UnknownUnit => "unknown_unit",
            Self::Malformed => "malformed",
            Self::TooMany => "too_many",
            Self::Overlapping => "overlapping",
            Self::EmptyRepresentation => "empty_representation",
        }
    }
}

/// Resolves the `Range` of a GET for a representation of `size` bytes. Preconditions and `If-Range` come first, and for
/// any other method the field has no meaning (RFC 9110 §14.2).
#[must_use]
pub fn resolve(headers: &HeaderMap, size: u64) -> RangeRequest {
    let mut lines = headers.get_all(RANGE).into_iter();
    let Some(line) = lines.next() else {
        return RangeRequest::None;
    };
    if lines.next().is_some() {
        return RangeRequest::Ignored(IgnoredRange::Repeated);
    }
    if size == 0 {
        return RangeRequest::Ignored(IgnoredRange::EmptyRepresentation);
    }
    match parse(line.as_bytes()) {
        Ok(specs) => select(&specs, size),
        Err(reason) => RangeRequest::Ignored(reason),
    }
}

/// One `range-spec` as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-last`
    Closed {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte, not before the first.
        last: u64,
    },
    /// `first-`
    Open {
        /// Position of the first byte.
        first: u64,
    },
    /// `-length`
    Suffix {
        /// How many bytes at the end.
        length: u64,
    },
}

/// The one range that a GET wants, of a representation whose size is not known yet. `None` if it wants none, several, or what is no range of
/// bytes.
#[must_use]
pub fn single(headers: &HeaderMap) -> Option<RangeSpec> {
    let mut lines = headers.get_all(RANGE).into_iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    match parse(line.as_bytes()).ok()?.as_slice() {
        [spec] => Some(*spec),
        _ => None,
    }
}

impl RangeSpec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        let spec = match (&text[..dash], &text[dash + 1..]) {
            ([], length) => Self::Suffix { length: number(length)? },
            (first, []) => Self::Open { first: number(first)? },
            (first, last) => Self::Closed { first: number(first)?, last: number(last)? },
        };
        match spec {
            Self::Closed { first, last } if last < first => None,
            _ => Some(spec),
        }
    }

    /// Its bytes in a representation of `size` bytes, if it has any there.
    fn within(self, size: u64) -> Option<ByteRange> {
        let end = size.checked_sub(1)?;
        match self {
            Self::Closed { first, last } => ByteRange::new(first, last.min(end)),
            Self::Open { first } => ByteRange::new(first, end),
            Self::Suffix { length: 0 } => None,
            Self::Suffix { length } => ByteRange::new(size.saturating_sub(length), end),
        }
    }
}

fn parse(field: &[u8]) -> Result<Vec<RangeSpec>, IgnoredRange> {
    let equals = field.iter().position(|&byte| byte == b'=');
    let (unit, set) = match equals {
        Some(at) => (&field[..at], &field[at + 1..]),
        None => return Err(IgnoredRange::Malformed),
    };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Err(IgnoredRange::UnknownUnit);
    }
    let mut specs = Vec::new();
    for member in set.split(|&byte| byte == b',').map(trim_ows) {
        // An empty member is to be skipped (RFC 9110 §5.6.1.2).
        if member.is_empty() {
            continue;
        }
        if specs.len() == RANGES_MAX {
            return Err(IgnoredRange::TooMany);
        }
        specs.push(RangeSpec::parse(member).ok_or(IgnoredRange::Malformed)?);
    }
    if specs.is_empty() {
        return Err(IgnoredRange::Malformed);
    }
    Ok(specs)
}

fn select(specs: &[RangeSpec], size: u64) -> RangeRequest {
    let mut wanted: Vec<ByteRange> = specs.iter().filter_map(|spec| spec.within(size)).collect();
    match wanted.as_slice() {
        [] => return RangeRequest::Unsatisfiable,
        [range] => return RangeRequest::Single(*range),
        _ => {}
    }
    let Some(()) = coalesce(&mut wanted) else {
        return RangeRequest::Ignored(IgnoredRange::Overlapping);
    };
    match wanted.as_slice() {
        [range] => RangeRequest::Single(*range),
        _ => RangeRequest::Multiple(wanted),
    }
}

/// Joins ranges that overlap or nearly touch, each at the place of the one of them that was asked for first. `None` if
/// too many overlap.
fn coalesce(ranges: &mut Vec<ByteRange>) -> Option<()> {
    let mut by_position: Vec<(usize, ByteRange)> = ranges.drain(..).enumerate().collect();
    by_position.sort_unstable_by_key(|&(asked, range)| (range.first, asked));

    let mut joined: Vec<(usize, ByteRange)> = Vec::with_capacity(by_position.len());
    let mut overlaps = 0;
    for (asked, range) in by_position {
        match joined.last_mut() {
            Some((place, into)) if range.first <= into.last.saturating_add(1 + GAP_COALESCED_BYTES) => {
                overlaps += usize::from(range.first <= into.last);
                into.last = into.last.max(range.last);
                *place = asked.min(*place);
            }
            _ => joined.push((asked, range)),
        }
    }
    if overlaps > OVERLAPS_MAX {
        return None;
    }
    joined.sort_unstable_by_key(|&(asked, _)| asked);
    ranges.extend(joined.into_iter().map(|(_, range)| range));
    Some(())
}

/// `1*DIGIT`. A number beyond `u64` lies beyond every representation, and so does `u64::MAX`.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(value.saturating_mul(10).saturating_add(digit))
    })
}

/// Without the spaces and tabs around it; other white space belongs to the member, and spoils it.
fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
