//! What somebody still has of what was read.
//!
//! A content that is too long for the memory tier, and has many viewers who are not at the same place of it, would be read from the disk for each of them, and each would
//! have a copy of his own. What one of them has yet is given to the next as well, as long as nothing was put or removed there.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::entry::{Entry, EntryKey};

/// Entries by key, for as long as anybody has their bytes.
#[derive(Debug, Default)]
pub(super) struct Hands {
    held: HashMap<EntryKey, Held>,
    /// How many may be there before those that nobody has are looked for.
    tidy_at: usize,
}

#[derive(Debug)]
struct Held {
    fill: u64,
    bytes: Weak<Bytes>,
}

/// The bytes of an entry, as all have them.
struct Shared(Arc<Bytes>);

/// Shorter entries cost less than to look after them, in bytes.
const LOOKED_AFTER_MIN: usize = 32 << 10;

/// How many are kept at least before it is looked which of them nobody has.
const TIDY_MIN: usize = 16;

impl Hands {
    /// The entry as it is to be given out: whoever asks for it while anybody has it gets the same.
    pub(super) fn give(&mut self, key: EntryKey, entry: Entry) -> Entry {
        if entry.bytes.len() < LOOKED_AFTER_MIN {
            return entry;
        }
        self.tidy();
        let Entry { fill, bytes } = entry;
        let bytes = Arc::new(bytes);
        self.held.insert(key, Held { fill, bytes: Arc::downgrade(&bytes) });
        Entry { fill, bytes: Bytes::from_owner(Shared(bytes)) }
    }

    /// What somebody has of a key.
    pub(super) fn get(&self, key: &EntryKey) -> Option<Entry> {
        let Held { fill, bytes } = self.held.get(key)?;
        Some(Entry { fill: *fill, bytes: Bytes::from_owner(Shared(bytes.upgrade()?)) })
    }

    /// Nothing of it is given out any more.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }

    /// Drops what nobody has, if as much may have come as is left.
    fn tidy(&mut self) {
        if self.held.len() >= self.tidy_at {
            self.held.retain(|_, held| held.bytes.strong_count() > 0);
            self.tidy_at = TIDY_MIN.max(2 * self.held.len());
        }
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Entry, EntryKey, Hands, LOOKED_AFTER_MIN, TIDY_MIN};

    fn key(number: usize) -> EntryKey {
        EntryKey::of(&[&number.to_le_bytes()])
    }

    fn entry(length: usize) -> Entry {
        Entry { fill: 7, bytes: Bytes::from(vec![1; length]) }
    }

    #[test]
    fn what_somebody_has_is_given_to_the_next() {
        let mut hands = Hands::default();
        let given = hands.give(key(1), entry(LOOKED_AFTER_MIN));
        let part = given.bytes.slice(10..20);
        assert_eq!(hands.get(&key(1)), Some(given.clone()));
        assert_eq!(hands.get(&key(1)).map(|again| again.bytes.as_ptr()), Some(given.bytes.as_ptr()));
        drop(given);
        let again = hands.get(&key(1)).expect("a part is in hands");
        drop(part);
        assert_eq!(hands.get(&key(1)), Some(again));
        assert_eq!(hands.get(&key(1)), None, "nobody has it");
    }

    #[test]
    fn what_is_short_or_forgotten_is_not_given() {
        let mut hands = Hands::default();
        let given = [hands.give(key(1), entry(LOOKED_AFTER_MIN - 1)), hands.give(key(2), entry(LOOKED_AFTER_MIN))];
        assert_eq!((hands.get(&key(1)), hands.get(&key(2)).is_some()), (None, true));
        hands.forget();
        assert_eq!(hands.get(&key(2)), None);
        drop(given);
    }

    #[test]
    fn what_nobody_has_is_not_kept_for_ever() {
        let mut hands = Hands::default();
        let held: Vec<_> = (0..3).map(|number| hands.give(key(number), entry(LOOKED_AFTER_MIN))).collect();
        (10..1_000).for_each(|number| drop(hands.give(key(number), entry(LOOKED_AFTER_MIN))));
        assert!(hands.held.len() <= TIDY_MIN);
        assert!((0..3).all(|number| hands.get(&key(number)).is_some()));
        drop(held);
    }
}
