//! Which keys left the probationary log a while ago: fingerprints in a table, the newest in a place stays.
//!
//! It forgets by being overwritten. With as many places as the disk has room for entries, about as many leave the log as the main log
//! holds before half of the fingerprints are gone, which is the memory that S3-FIFO asks for.

use super::entry::EntryKey;

/// Fingerprints of 16 bits, of which 0 is none.
pub(super) struct Ghost {
    places: Box<[u16]>,
}

impl Ghost {
    pub(super) fn new(places: usize) -> Self {
        Self { places: vec![0; places].into() }
    }

    pub(super) fn remember(&mut self, key: &EntryKey) {
        let (place, print) = self.place(key);
        self.places[place] = print;
    }

    /// Whether the key left lately. It is forgotten by this.
    pub(super) fn take(&mut self, key: &EntryKey) -> bool {
        let (place, print) = self.place(key);
        let known = self.places[place] == print;
        if known {
            self.places[place] = 0;
        }
        known
    }

    fn place(&self, key: &EntryKey) -> (usize, u16) {
        let [place, print] = key.halves();
        let print = u16::try_from(print & 0xffff).unwrap_or(1).max(1);
        // Another part of the key than the table of hits takes.
        let place = usize::try_from((place >> 20) % self.places.len() as u64).unwrap_or(0);
        (place, print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_left_once() {
        let mut ghost = Ghost::new(1 << 12);
        let keys: Vec<_> = (0_u64..256).map(|n| EntryKey::of(&[&n.to_le_bytes()])).collect();
        let (left, never) = keys.split_at(128);
        for key in left {
            ghost.remember(key);
        }
        let known = left.iter().filter(|key| ghost.take(key)).count();
        assert!(known > 115, "{known} of 128");
        assert_eq!(never.iter().filter(|key| ghost.take(key)).count(), 0);
        assert_eq!(left.iter().filter(|key| ghost.take(key)).count(), 0, "known twice");
    }
}
