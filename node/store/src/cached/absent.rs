//! Keys of which a look has just found that there is nothing of them on disk.
//!
//! Who looks for an entry in vain puts it a moment later, and looks again before that: the index would be asked each time, which costs more than all
//! else together that the store does for it.
//!
//! # Why it is never wrong
//! A key comes into the index in one way, by being put and written, and as long as that is under way it is among those that wait. So one that
//! does not wait, and of which there was nothing in the index, is not on disk until it is put: and a put takes it out of here. An index that could not be
//! written, and was opened anew, may have more in it than it seemed to have: then all of this is forgotten.

use super::entry::EntryKey;

/// The last few such keys of a stripe.
#[derive(Default)]
pub(super) struct Absent {
    keys: [Option<EntryKey>; REMEMBERED],
    next: usize,
}

impl Absent {
    /// There is nothing on disk of this key, which does not wait.
    pub(super) fn note(&mut self, key: EntryKey) {
        if self.has(&key) {
            return;
        }
        self.keys[self.next] = Some(key);
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Whether it is known that there is nothing on disk of this key.
    pub(super) fn has(&self, key: &EntryKey) -> bool {
        self.keys.contains(&Some(*key))
    }

    /// The same, of a key that is about to be put.
    pub(super) fn take(&mut self, key: &EntryKey) -> bool {
        let known = self.keys.iter_mut().find(|known| known.as_ref() == Some(key));
        known.is_some_and(|known| known.take().is_some())
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Of each stripe: 70 KiB for all of them.
const REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> EntryKey {
        EntryKey::of(&[&n.to_le_bytes()])
    }

    #[test]
    fn the_last_ones_are_known_until_they_are_put() {
        let mut absent = Absent::default();
        (0..=REMEMBERED).for_each(|n| absent.note(key(n)));
        absent.note(key(1));
        assert!(!absent.has(&key(0)), "the oldest made way");
        assert!((1..=REMEMBERED).all(|n| absent.has(&key(n))));
        assert!(absent.take(&key(1)) && !absent.has(&key(1)) && !absent.take(&key(1)));
        absent.forget();
        assert!(!absent.has(&key(2)));
    }
}
