//! What is stored: a key of 128 bits, and bytes with the revision they were made under.

use std::fmt;

use bytes::Bytes;

/// The most bytes that an entry may have: a slice of 1 MiB and 64 KiB for what describes it. Longer ones are not kept.
pub const MAX_ENTRY_BYTES: usize = (1 << 20) + (64 << 10);

/// The name of an entry: 128 bits of BLAKE3 over what the caller names. Two names with the same key would be one entry, which at 128
/// bits nobody can bring about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey([u8; 16]);

impl EntryKey {
    /// The key of a name that has several parts. Each part goes in with its length, so that no two lists of parts are alike.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let lengths = parts.iter().map(|part| (part.len() as u64).to_le_bytes());
        let pieces = || lengths.clone().zip(parts);
        let mut short = [0; SHORT_NAME];
        let mut room = &mut short[..];
        let fits = pieces().all(|(length, part)| put(&mut room, &length) && put(&mut room, part));
        let unused = room.len();
        // What is there as a whole need not be gathered, which is most of the work for a name.
        let hash = if fits {
            blake3::hash(&short[..SHORT_NAME - unused])
        } else {
            let mut hasher = blake3::Hasher::new();
            pieces().for_each(|(length, part)| {
                hasher.update(&length).update(part);
            });
            hasher.finalize()
        };
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        Self(key)
    }

    /// A key that was computed elsewhere. It must be as good as random: places in tables are taken from its bits.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its place in a table of so many, over which keys are spread evenly.
    #[must_use]
    pub fn place(&self, places: usize) -> usize {
        let [low, _] = self.halves();
        usize::try_from(low % places as u64).unwrap_or_default()
    }

    /// The first and the second half, as numbers.
    pub(super) fn halves(&self) -> [u64; 2] {
        let number = u128::from_le_bytes(self.0);
        [low(number), low(number >> 64)]
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryKey({})", hex::encode(self.0))
    }
}

/// What is under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The revision that the entry was made under (its fill index).
    pub fill: u64,
    /// The content: at most [`MAX_ENTRY_BYTES`]. They should own their buffer: a small part of a large one keeps all of it in memory.
    pub bytes: Bytes,
}

impl Entry {
    /// Bytes of memory that the entry takes in a table, its overhead included.
    pub(super) fn cost(&self) -> u64 {
        (self.bytes.len() + OVERHEAD_BYTES) as u64
    }
}

/// What an entry costs beside its bytes: key, handle, and the nodes of the table it is in, rounded up.
const OVERHEAD_BYTES: usize = 256;

/// Names that have no more bytes than these, the lengths of their parts included, are hashed at once.
const SHORT_NAME: usize = 256;

/// Puts `bytes` at the beginning of `room`, which is what is behind them then; if there is enough of it.
fn put(room: &mut &mut [u8], bytes: &[u8]) -> bool {
    let Some((place, behind)) = std::mem::take(room).split_at_mut_checked(bytes.len()) else { return false };
    place.copy_from_slice(bytes);
    *room = behind;
    true
}

fn low(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{EntryKey, SHORT_NAME};

    /// As it was before names were hashed at once: entries on disks have such keys.
    fn gathered(parts: &[&[u8]]) -> EntryKey {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        EntryKey(key)
    }

    #[test]
    fn a_key_is_the_same_whether_its_name_is_short_or_long() {
        for length in [0, 1, 100, SHORT_NAME - 33, SHORT_NAME - 32, SHORT_NAME - 31, SHORT_NAME, 5_000] {
            let name: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            let parts: [&[u8]; 3] = [b"head", &name, b"1234"];
            assert_eq!(EntryKey::of(&parts), gathered(&parts), "{length}");
        }
        assert_eq!(EntryKey::of(&[]), gathered(&[]));
        assert_ne!(EntryKey::of(&[b"a", b"bc"]), EntryKey::of(&[b"ab", b"c"]));
    }
}
