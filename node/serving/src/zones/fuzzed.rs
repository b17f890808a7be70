//! What fuzz targets reach of zones.

use bytes::Bytes;
use http::{HeaderValue, request::Parts};

use super::{record, upgrade};

/// A record of a stored response, read and written again; `None` if it is none.
#[must_use]
pub fn record_again(bytes: &[u8]) -> Option<Bytes> {
    let variants = record::decode(Bytes::copy_from_slice(bytes))?;
    let again = record::encode(&variants);
    assert_eq!(record::decode(again.clone()).as_ref(), Some(&variants), "it says something else when it is written again");
    Some(again)
}

/// The protocol that a request wants to change to, where that is handed on to the origin.
#[must_use]
pub fn wanted_protocol(request: &Parts) -> Option<&HeaderValue> {
    upgrade::wanted(request)
}
