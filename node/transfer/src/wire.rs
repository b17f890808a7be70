//! Hashes and pins as bytes on the wire, and the bounds of messages.

use ncore_store::{PinId, SLICE_BYTES};

/// The largest message that either side takes: a frame with its hash pairs, and what protobuf adds.
pub(crate) const MESSAGE_BYTES_MAX: usize = SLICE_BYTES + (64 << 10);

/// The most hashes that one Stat may ask for.
pub(crate) const STAT_HASHES_MAX: usize = 1_024;

pub(crate) fn hash_from(bytes: &[u8]) -> Option<blake3::Hash> {
    Some(blake3::Hash::from_bytes(bytes.try_into().ok()?))
}

pub(crate) fn hash_to(hash: &blake3::Hash) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(hash.as_bytes())
}

pub(crate) fn pin_from(bytes: &[u8]) -> Option<PinId> {
    Some(PinId(u128::from_be_bytes(bytes.try_into().ok()?)))
}

pub(crate) fn pin_to(pin: PinId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&pin.0.to_be_bytes())
}
