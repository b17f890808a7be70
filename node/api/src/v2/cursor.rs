//! What ties a cursor to the list that it came from.
//!
//! It is a check and no secret: what is shown does not depend on it.

use blake3::Hasher;

pub(super) const CHECK_BYTES: usize = 16;

/// The check of a place in a list: `context` says which kind of list, `fields` who asks, the filters, and the place. `more` goes in as it
/// is.
pub(super) fn check(context: &str, fields: &[&[u8]], more: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = Hasher::new_derive_key(context);
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.update(more);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}
