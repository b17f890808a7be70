//! What is to be written to a segment next: records, one behind the other.
//!
//! Short pieces are copied next to each other, so that there are few of them. A long one stays where it is: the system copies it from there, and a copy in
//! between would cost as much again, with the memory that it needs.

use std::io::IoSlice;

use bytes::Bytes;

/// Pieces in their order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pieces: Vec<Bytes>,
    /// What comes behind those, copied.
    tail: Vec<u8>,
    len: u64,
}

/// Pieces from this length on are not copied, in bytes.
const LONG_BYTES: usize = 8 << 10;

/// Room for copied pieces that is kept when they are written, in bytes.
const KEPT_BYTES: usize = 256 << 10;

impl Pending {
    /// Bytes of all pieces.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds a piece that is copied.
    pub(super) fn copy(&mut self, piece: &[u8]) {
        self.tail.extend_from_slice(piece);
        self.len += piece.len() as u64;
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: &Bytes) {
        if piece.len() < LONG_BYTES {
            return self.copy(piece);
        }
        if !self.tail.is_empty() {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.tail)));
        }
        self.pieces.push(piece.clone());
        self.len += piece.len() as u64;
    }

    /// All of it.
    pub(super) fn pieces(&self) -> Vec<IoSlice<'_>> {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        self.pieces.iter().map(|piece| &piece[..]).chain(tail).map(IoSlice::new).collect()
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.tail.clear();
        self.tail.shrink_to(KEPT_BYTES);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{LONG_BYTES, Pending};

    proptest! {
        /// Whatever is copied and what is not: the bytes come in their order, and short ones in few pieces.
        #[test]
        fn all_comes_in_its_order(lengths in prop::collection::vec((0..3 * LONG_BYTES, any::<u8>(), any::<bool>()), 0..20)) {
            let (mut pending, mut expected) = (Pending::default(), Vec::new());
            let mut long = 0;
            for (length, byte, copied) in lengths {
                let piece = Bytes::from(vec![byte; length]);
                if copied {
                    pending.copy(&piece);
                } else {
                    long += usize::from(length >= LONG_BYTES);
                    pending.add(&piece);
                }
                expected.extend_from_slice(&piece);
            }
            prop_assert_eq!(pending.len(), expected.len() as u64);
            let pieces = pending.pieces();
            prop_assert!(pieces.len() <= 2 * long + 1);
            prop_assert_eq!(pieces.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<_>>(), expected);
            pending.clear();
            prop_assert_eq!((pending.len(), pending.pieces().len()), (0, 0));
        }
    }
}
