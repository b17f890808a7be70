//! Content in the arena, as [`Bytes`].

use std::ptr;

use bytes::Bytes;

use crate::arena::{Arena, Place};

/// A place in the arena and what is in it, for as long as anybody has it.
struct Block {
    place: Place,
    length: usize,
}

/// The same bytes in a block of their own. `None` if they are none, or more than a chunk has room for, or there is no memory for them.
#[must_use]
pub fn copy(bytes: &[u8]) -> Option<Bytes> {
    let place = Arena::get()?.take(bytes.len())?;
    let start = ptr::with_exposed_provenance_mut::<u8>(place.start);
    // SAFETY: the place is within the mapping, which stays until the process ends, is at least as long as `bytes`, and nobody else has or had it
    // since its memory came: there is nobody who reads it, or to whom it is sent.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
    Some(Bytes::from_owner(Block { place, length: bytes.len() }))
}

/// Whether these bytes are in a block.
#[must_use]
pub fn holds(bytes: &[u8]) -> bool {
    // Who asks for where bytes are makes no arena for it.
    Arena::made().is_some_and(|arena| arena.holds(bytes))
}

/// Whether these bytes are in a block that keeps much memory for little: a copy of them would let it go.
#[must_use]
pub fn is_sparse(bytes: &[u8]) -> bool {
    Arena::made().is_some_and(|arena| arena.is_sparse(bytes))
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        let start = ptr::with_exposed_provenance(self.place.start);
        // SAFETY: the place is this block's alone until it is dropped. It was written before anybody had the block, and nothing writes to it after:
        // there is no other way to this memory than this module.
        unsafe { std::slice::from_raw_parts(start, self.length) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{copy, holds};
    use crate::CHUNK_BYTES;

    #[test]
    fn what_is_copied_is_the_same_and_is_known_by_its_address() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| at.to_le_bytes()[0]).collect();
        let copied = copy(&bytes).expect("a block");
        assert_eq!(copied, bytes);
        assert!(holds(&copied) && holds(&copied.slice(4_097..)) && !holds(&bytes));
    }

    #[test]
    fn what_is_too_long_for_a_chunk_or_is_nothing_is_not_copied() {
        assert!(copy(&vec![1; CHUNK_BYTES]).is_some());
        assert!(copy(&vec![1; CHUNK_BYTES + 1]).is_none());
        assert!(copy(&[]).is_none());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Copy(u8, usize),
        /// Lets go of one, but not of a part of it.
        Keep(usize),
        Drop(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop::strategy::Union::new_weighted(vec![
            (3, (any::<u8>(), 1..300_000usize).prop_map(|(byte, length)| Step::Copy(byte, length)).boxed()),
            (1, any::<usize>().prop_map(Step::Keep).boxed()),
            (2, any::<usize>().prop_map(Step::Drop).boxed()),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Whatever others do, all who have bytes have theirs.
        #[test]
        fn nobody_sees_the_bytes_of_another(steps in prop::collection::vec(step(), 1..60)) {
            let mut held = Vec::new();
            for step in steps {
                match step {
                    Step::Copy(byte, length) => {
                        let copied = copy(&vec![byte; length]).expect("a block");
                        prop_assert_eq!(copied.len(), length);
                        held.push((byte, copied));
                    }
                    Step::Keep(at) if !held.is_empty() => {
                        let at = at % held.len();
                        let (byte, bytes) = held.swap_remove(at);
                        held.push((byte, bytes.slice(bytes.len() / 2..)));
                    }
                    Step::Drop(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
                    Step::Keep(_) | Step::Drop(_) => {}
                }
                for (byte, bytes) in &held {
                    prop_assert!(bytes.iter().all(|other| other == byte));
                }
            }
        }
    }
}
