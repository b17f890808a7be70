//! How often an entry was asked for of late: two places in a table, by hash, counted up to three; so four places are one byte.
//!
//! The count of a key is the smaller of its two places, so it is too high only where others share both. All counts are halved now and then,
//! so that what was popular once does not stay so for ever.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::entry::EntryKey;

/// Hits by key, about.
pub(super) struct Hits {
    /// Four places each.
    bytes: Box<[AtomicU8]>,
    counted: AtomicU64,
}

/// A place in the table: in which byte, and how many bits from its end.
#[derive(Clone, Copy)]
struct Place {
    byte: usize,
    shift: usize,
}

impl Hits {
    /// `places` is a power of two, and at least four.
    pub(super) fn new(places: usize) -> Self {
        Self { bytes: std::iter::repeat_with(AtomicU8::default).take(places / PLACES_A_BYTE).collect(), counted: AtomicU64::new(0) }
    }

    /// Counts a hit. Counts may get lost where threads meet.
    pub(super) fn count(&self, key: &EntryKey) {
        for place in self.places_of(key) {
            let known = self.bytes[place.byte].load(Ordering::Relaxed);
            if place.of(known) < MOST && self.change(place, known, known + (1 << place.shift)) {
                self.counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Hits of the key, at most [`MOST`].
    pub(super) fn of(&self, key: &EntryKey) -> u8 {
        self.places_of(key).iter().map(|place| place.of(self.bytes[place.byte].load(Ordering::Relaxed))).min().unwrap_or(0)
    }

    /// Takes one hit back: the entry was kept for it.
    pub(super) fn spend(&self, key: &EntryKey) {
        for place in self.places_of(key) {
            let known = self.bytes[place.byte].load(Ordering::Relaxed);
            if place.of(known) > 0 {
                self.change(place, known, known - (1 << place.shift));
            }
        }
    }

    /// Halves all counts if so many hits were counted that a place has one on average: then they say little about now. (It cannot be many more: places
    /// count no further than [`MOST`].)
    pub(super) fn age(&self) {
        if self.counted.load(Ordering::Relaxed) < (self.bytes.len() * PLACES_A_BYTE) as u64 {
            return;
        }
        self.counted.store(0, Ordering::Relaxed);
        for byte in &self.bytes {
            // The upper bit of each place becomes its lower one.
            byte.store((byte.load(Ordering::Relaxed) >> 1) & LOWER_BITS, Ordering::Relaxed);
        }
    }

    /// Changes a byte that is still as it was `known`: other places in it may have been counted meanwhile.
    fn change(&self, place: Place, known: u8, next: u8) -> bool {
        self.bytes[place.byte].compare_exchange(known, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn places_of(&self, key: &EntryKey) -> [Place; 2] {
        key.halves().map(|half| {
            let place = usize::try_from(half % (self.bytes.len() * PLACES_A_BYTE) as u64).unwrap_or(0);
            Place { byte: place / PLACES_A_BYTE, shift: place % PLACES_A_BYTE * 2 }
        })
    }
}

impl Place {
    /// What is counted there, if the byte is this.
    fn of(self, byte: u8) -> u8 {
        byte >> self.shift & MOST
    }
}

/// At two bits each.
const PLACES_A_BYTE: usize = 4;
/// The lower bit of each place in a byte.
const LOWER_BITS: u8 = 0b0101_0101;

/// The highest count there is, which is also the bits of a place.
pub(super) const MOST: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_to_three_down_to_none_and_ages() {
        let hits = Hits::new(1 << 10);
        let key = EntryKey::of(&[b"key"]);
        let counts: Vec<u8> = (0..5)
            .map(|_| {
                hits.count(&key);
                hits.of(&key)
            })
            .collect();
        assert_eq!(counts, [1, 2, 3, 3, 3]);
        hits.spend(&key);
        assert_eq!(hits.of(&key), 2);
        hits.age();
        assert_eq!(hits.of(&key), 2, "aged after a handful of hits");
        for n in 0_u64..1 << 10 {
            hits.count(&EntryKey::of(&[&n.to_le_bytes()]));
        }
        let before = hits.of(&key);
        hits.age();
        assert_eq!(hits.of(&key), before / 2);
    }

    #[test]
    fn places_of_one_byte_do_not_meddle_with_each_other() {
        let hits = Hits::new(PLACES_A_BYTE);
        // Both places of each key are the one that its number says.
        let keys: Vec<EntryKey> = (0..4_u8)
            .map(|n| {
                let mut bytes = [0; 16];
                (bytes[0], bytes[8]) = (n, n);
                EntryKey::from_bytes(bytes)
            })
            .collect();
        hits.count(&keys[2]);
        hits.count(&keys[3]);
        let counts = |hits: &Hits| keys.iter().map(|key| hits.of(key)).collect::<Vec<_>>();
        // Each was counted in both of its places, which are one.
        assert_eq!(counts(&hits), [0, 0, 2, 2]);
        hits.spend(&keys[3]);
        hits.count(&keys[0]);
        hits.count(&keys[0]);
        assert_eq!(counts(&hits), [3, 0, 2, 0]);
        hits.age();
        assert_eq!(counts(&hits), [1, 0, 1, 0]);
    }
}
