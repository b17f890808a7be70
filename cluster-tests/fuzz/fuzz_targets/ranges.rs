//! Ranges and preconditions of a request: what is sent lies in the representation, once, and is never more than it.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use ncore_cache::{
    conditional::{self, Validators},
    etag::EntityTag,
    if_range,
    range::{self, ByteRange, RangeRequest},
};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    size: u64,
    ranges: Vec<&'a [u8]>,
    if_range: Option<&'a [u8]>,
    fields: Vec<(Field, &'a [u8])>,
    is_get: bool,
    modified_s: u32,
    dated_s: Option<u32>,
    now_s: u32,
}

#[derive(Debug, Arbitrary)]
enum Field {
    IfMatch,
    IfNoneMatch,
    IfModifiedSince,
    IfUnmodifiedSince,
}

fuzz_target!(|input: Input<'_>| {
    let mut headers = HeaderMap::new();
    for range in &input.ranges {
        put(&mut headers, header::RANGE, range);
    }
    if let Some(value) = input.if_range {
        put(&mut headers, header::IF_RANGE, value);
    }
    for (field, value) in &input.fields {
        let name = match field {
            Field::IfMatch => header::IF_MATCH,
            Field::IfNoneMatch => header::IF_NONE_MATCH,
            Field::IfModifiedSince => header::IF_MODIFIED_SINCE,
            Field::IfUnmodifiedSince => header::IF_UNMODIFIED_SINCE,
        };
        put(&mut headers, name, value);
    }
    match range::resolve(&headers, input.size) {
        RangeRequest::Single(range) => inside(&[range], input.size),
        RangeRequest::Multiple(ranges) => inside(&ranges, input.size),
        _ => {}
    }
    let tag = EntityTag::parse(b"\"0123456789abcdef\"").expect("a tag");
    let validators = Validators { etag: Some(tag), last_modified_s: Some(input.modified_s.into()), dated_s: input.dated_s.map(Into::into) };
    let method = if input.is_get { Method::GET } else { Method::PUT };
    let _ = conditional::evaluate(&method, &headers, &validators);
    let _ = if_range::evaluate(&headers, &validators, input.now_s.into());
});

fn put(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.append(name, value);
    }
}

fn inside(ranges: &[ByteRange], size: u64) {
    assert!(!ranges.is_empty() && ranges.len() <= range::RANGES_MAX);
    assert!(ranges.iter().all(|range| range.last() < size));
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(ByteRange::first);
    assert!(sorted.windows(2).all(|pair| pair[0].last() < pair[1].first()), "{ranges:?}");
}
