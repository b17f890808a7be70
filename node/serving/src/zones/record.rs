//! What is stored under a cache key, as bytes: all variants with their fields, times and small contents.
//!
//! The form is this node's own and goes nowhere else. What cannot be read is as good as nothing: it is asked for again.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ncore_cache::{freshness::Times, reuse::Mark, vary::VariantKey};

use super::variant::{Came, Kept, Variant};

/// The first byte of every record; another one is another form.
const FORM: u8 = 2;

/// `variants` as bytes.
pub(crate) fn encode(variants: &[Variant]) -> Bytes {
    let mut out = Vec::new();
    out.put_u8(FORM);
    out.put_u8(u8::try_from(variants.len()).unwrap_or(u8::MAX));
    for variant in variants.iter().take(usize::from(u8::MAX)) {
        put_variant(&mut out, variant);
    }
    // Without room to spare: it is kept for long.
    out.into_boxed_slice().into()
}

/// The variants in `bytes`; `None` if they are something else.
pub(crate) fn decode(mut bytes: Bytes) -> Option<Vec<Variant>> {
    if bytes.try_get_u8().ok()? != FORM {
        return None;
    }
    let count = bytes.try_get_u8().ok()?;
    let variants = (0..count).map(|_| take_variant(&mut bytes)).collect::<Option<Vec<_>>>()?;
    bytes.is_empty().then_some(variants)
}

fn put_variant(out: &mut Vec<u8>, variant: &Variant) {
    let Variant { vary, status, headers, times, fill, mark, content } = variant;
    out.put_u16(status.as_u16());
    out.put_u64(times.requested_s);
    out.put_u64(times.received_s);
    out.put_u64(*fill);
    out.put_u8(u8::from(*mark == Mark::Stale));
    let parts = vary.parts();
    out.put_u32(count(parts.len()));
    for (name, value) in parts {
        put(out, name.as_str().as_bytes());
        out.put_u8(u8::from(value.is_some()));
        put(out, value.unwrap_or_default());
    }
    out.put_u32(count(headers.len()));
    for (name, value) in headers.iter() {
        put(out, name.as_str().as_bytes());
        put(out, value.as_bytes());
    }
    match content {
        Kept::Inline(bytes) => {
            out.put_u8(0);
            put(out, bytes);
        }
        Kept::Slices { object, length, since, came } => {
            out.put_u8(match came {
                Came::Whole => 1,
                Came::Part => 2,
            });
            out.put_u128(*object);
            out.put_u64(*length);
            out.put_u64(*since);
        }
    }
}

fn take_variant(bytes: &mut Bytes) -> Option<Variant> {
    let status = StatusCode::from_u16(bytes.try_get_u16().ok()?).ok()?;
    let times = Times { requested_s: bytes.try_get_u64().ok()?, received_s: bytes.try_get_u64().ok()? };
    let fill = bytes.try_get_u64().ok()?;
    let mark = if bytes.try_get_u8().ok()? == 0 { Mark::None } else { Mark::Stale };
    let parts = (0..bytes.try_get_u32().ok()?).map(|_| {
        let name = HeaderName::from_bytes(&take(bytes)?).ok()?;
        let is_there = bytes.try_get_u8().ok()? == 1;
        let value = take(bytes)?;
        Some((name, is_there.then(|| value.to_vec())))
    });
    let vary = VariantKey::from_parts(parts.collect::<Option<_>>()?);
    let mut headers = HeaderMap::new();
    for _ in 0..bytes.try_get_u32().ok()? {
        let name = HeaderName::from_bytes(&take(bytes)?).ok()?;
        // More than there is room for are in no record of ours.
        headers.try_append(name, HeaderValue::from_maybe_shared(take(bytes)?).ok()?).ok()?;
    }
    let content = match bytes.try_get_u8().ok()? {
        0 => Kept::Inline(take(bytes)?),
        came @ (1 | 2) => Kept::Slices {
            object: bytes.try_get_u128().ok()?,
            length: bytes.try_get_u64().ok()?,
            since: bytes.try_get_u64().ok()?,
            came: if came == 1 { Came::Whole } else { Came::Part },
        },
        _ => return None,
    };
    Some(Variant { vary, status, headers: Arc::new(headers), times, fill, mark, content })
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(count(bytes.len()));
    out.put_slice(bytes);
}

fn take(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

/// Everything that is counted here is far below 4 GiB.
fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes};
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use ncore_cache::{freshness::Times, reuse::Mark, vary::VariantKey};
    use proptest::prelude::{any, prop, proptest};

    use super::{FORM, decode, encode, put};
    use crate::zones::variant::{Came, Kept, Variant};

    fn variant(content: Kept) -> Variant {
        let mut headers = HeaderMap::new();
        for value in ["a", "b"] {
            headers.append(HeaderName::from_static("x-twice"), HeaderValue::from_static(value));
        }
        headers.append(HeaderName::from_static("x-odd"), HeaderValue::from_bytes(b"\xfc").expect("a value"));
        let names = ["accept", "x-none"].map(HeaderName::from_static);
        let request: HeaderMap = [(names[0].clone(), HeaderValue::from_static("a, b"))].into_iter().collect();
        Variant {
            vary: VariantKey::of(&names, &request),
            status: StatusCode::from_u16(299).expect("a status"),
            headers: headers.into(),
            times: Times { requested_s: 1, received_s: 2 },
            fill: 3,
            mark: Mark::Stale,
            content,
        }
    }

    #[test]
    fn round_trip() {
        let slices = |came| variant(Kept::Slices { object: 7, length: 1 << 40, since: 9, came });
        let variants = [variant(Kept::Inline(Bytes::from_static(b"content"))), slices(Came::Whole), slices(Came::Part)];
        assert_eq!(decode(encode(&variants)).expect("its own bytes"), variants);
        assert_eq!(decode(encode(&[])).expect("its own bytes"), []);
    }

    #[test]
    fn what_is_cut_or_longer_is_nothing() {
        let whole = encode(&[variant(Kept::Inline(Bytes::from_static(b"content")))]);
        for length in 0..whole.len() {
            assert!(decode(whole.slice(..length)).is_none(), "{length} bytes");
        }
        assert!(decode([&whole[..], b"x"].concat().into()).is_none());
    }

    #[test]
    fn more_fields_than_there_is_room_for_are_nothing() {
        let record = |count: u32| {
            let mut bytes = vec![FORM, 1];
            bytes.put_u16(200);
            bytes.put_slice(&[0; 3 * 8 + 1]);
            bytes.put_u32(0);
            bytes.put_u32(count);
            for number in 0..count {
                put(&mut bytes, format!("x-{number}").as_bytes());
                put(&mut bytes, b"");
            }
            bytes.put_u8(0);
            put(&mut bytes, b"content");
            bytes.into()
        };
        assert_eq!(decode(record(1_000)).expect("a record")[0].headers.len(), 1_000);
        assert!(decode(record(40_000)).is_none());
    }

    proptest! {
        #[test]
        fn other_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(bytes.into());
        }
    }
}
