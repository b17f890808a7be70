//! How often an entry was asked for of late: two places in a table of bytes, by hash, counted up to three.
//!
//! The count of a key is the smaller of its two places, so it is too high only where others share both. All counts are halved now and then,
//! so that what was popular once does not stay so for ever.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::entry::EntryKey;

/// Hits by key, about.
pub(super) struct Hits {
    places: Box<[AtomicU8]>,
    counted: AtomicU64,
}

impl Hits {
    /// `places` is a power of two.
    pub(super) fn new(places: usize) -> Self {
        Self { places: std::iter::repeat_with(AtomicU8::default).take(places).collect(), counted: AtomicU64::new(0) }
    }

    /// Counts a hit. Counts may get lost where threads meet.
    pub(super) fn count(&self, key: &EntryKey) {
        for place in self.places_of(key) {
            let hits = place.load(Ordering::Relaxed);
            if hits < MOST {
                place.store(hits + 1, Ordering::Relaxed);
                self.counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Hits of the key, at most [`MOST`].
    pub(super) fn of(&self, key: &EntryKey) -> u8 {
        self.places_of(key).iter().map(|place| place.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// Takes one hit back: the entry was kept for it.
    pub(super) fn spend(&self, key: &EntryKey) {
        for place in self.places_of(key) {
            let hits = place.load(Ordering::Relaxed);
            place.store(hits.saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// Halves all counts if so many hits were counted that a place has one on average: then they say little about now. (It cannot be many more: places
    /// count no further than [`MOST`].)
    pub(super) fn age(&self) {
        if self.counted.load(Ordering::Relaxed) < self.places.len() as u64 {
            return;
        }
        self.counted.store(0, Ordering::Relaxed);
        for place in &self.places {
            place.store(place.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }

    fn places_of(&self, key: &EntryKey) -> [&AtomicU8; 2] {
        key.halves().map(|half| {
            let place = usize::try_from(half % self.places.len() as u64).unwrap_or(0);
            &self.places[place]
        })
    }
}

/// The highest count there is.
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
}
