//! Content cut into messages of a push.

use bytes::Bytes;
use ncore_proto::blobs::v1::{PushFinish, PushPart, PushStart, push_part::Part};
use ncore_store::PinId;

use crate::wire::{hash_to, pin_to};

/// Bytes of a message: large enough that its frame costs nothing, small enough that a few of them are a small queue.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// Cuts without copying.
pub(super) fn cut(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(PIECE_BYTES))))
}

pub(super) fn start(pin: PinId, size_hint: Option<u64>) -> PushPart {
    PushPart { part: Some(Part::Start(PushStart { pin_id: pin_to(pin), size_hint: size_hint.unwrap_or(0) })) }
}

pub(super) fn data(bytes: Bytes) -> PushPart {
    PushPart { part: Some(Part::Data(bytes)) }
}

pub(super) fn finish(hash: &blake3::Hash, size: u64) -> PushPart {
    PushPart { part: Some(Part::Finish(PushFinish { hash: hash_to(hash), size })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_content_and_none_is_too_large() {
        for len in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 1] {
            let content = Bytes::from(vec![7; len]);
            let pieces: Vec<Bytes> = cut(content.clone()).collect();
            assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES));
            assert_eq!(pieces.concat(), content);
        }
    }
}
