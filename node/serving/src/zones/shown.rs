//! What is kept under a cache key, as it was read: made once of the bytes in the store's memory, and shared by the hits on them.
//!
//! # Why it is never old
//! What is made of some bytes holds on to those bytes, and is used for no others: every hit has got its bytes from the store just before, and
//! asks for what was made of *them*, of that very place in memory. As long as something holds on to a place nothing else comes to stand there. So what
//! was removed, replaced or purged meanwhile is not found here, for it is not found in the store; and nobody has to remember to take
//! anything out ([`Shows::forget`] saves room, and is nothing that anything rests on).
//!
//! What is judged of a response - whether it is fresh, and whether it may be used - is no part of this.

use std::{
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::HeaderMap;
use ncore_store::cached::EntryKey;
use parking_lot::RwLock;

use super::{
    record,
    shelf::Head,
    variant::{Condition, Said, Variant},
    zone::Zone,
};

/// A head as it was read. It never changes.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    head: Head,
    /// What the fields of each variant say, once somebody wanted to know.
    said: Box<[OnceLock<Said>]>,
}

/// One variant of a head.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    shown: Arc<Shown>,
    at: usize,
}

/// Heads in slots by key, each with the bytes that it was made of. Of two keys with the same slot one is there: what is asked for often comes back
/// to it at once, which costs less than to know what is asked for often.
pub(super) struct Shows {
    slots: Box<[RwLock<Option<Show>>]>,
    /// What is held, in bytes as [`Show::weight`] has them.
    held: AtomicUsize,
    /// The slot that makes room next.
    hand: AtomicUsize,
}

/// What is in a slot.
struct Show {
    key: EntryKey,
    bytes: Bytes,
    shown: Arc<Shown>,
}

/// The most that is held, in bytes as [`Show::weight`] has them.
const SHOWS_BYTES: usize = 8 << 20;

/// Twice as many as there are heads of one variant in so many bytes, about.
const SLOTS: usize = 4_096;

/// What a variant takes in memory beside its bytes, about: a table of fields, and what they say.
const VARIANT_BYTES: usize = 2 << 10;

/// Fields that an answer has beside those that are kept.
const FIELDS_ADDED: usize = 8;

impl Shown {
    /// What these bytes say. What cannot be read is nothing.
    pub(super) fn of(bytes: Bytes) -> Self {
        let mut variants = record::decode(bytes).unwrap_or_default();
        for variant in &mut variants {
            // Every answer is a copy of the table, with more put in: one that has the room already need not be made anew for that.
            Arc::make_mut(&mut variant.headers).reserve(FIELDS_ADDED);
        }
        let said = variants.iter().map(|_| OnceLock::new()).collect();
        Self { head: Head { variants }, said }
    }

    /// The variant for a request that is no older than `newest_purge`.
    pub(crate) fn select(self: &Arc<Self>, request: &HeaderMap, newest_purge: u64) -> Option<Chosen> {
        let fits = |variant: &Variant| variant.fill >= newest_purge && variant.vary.matches(request);
        let at = self.variants.iter().position(fits)?;
        Some(Chosen { shown: Arc::clone(self), at })
    }
}

impl Deref for Shown {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Chosen {
    /// What it is like at `now_s`, by what the zone says.
    pub(crate) fn at(&self, zone: &Zone, now_s: u64) -> Condition {
        self.shown.said[self.at].get_or_init(|| self.said()).at(self, zone, now_s)
    }
}

impl Deref for Chosen {
    type Target = Variant;

    fn deref(&self) -> &Variant {
        &self.shown.head.variants[self.at]
    }
}

impl Default for Shows {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| RwLock::new(None)).collect(), held: AtomicUsize::new(0), hand: AtomicUsize::new(0) }
    }
}

impl Shows {
    /// What was made of these bytes, or is now.
    pub(super) fn of(&self, key: &EntryKey, bytes: Bytes) -> Arc<Shown> {
        if let Some(known) = &*self.slot(key).read()
            && known.key == *key
            && are_the_same(&known.bytes, &bytes)
        {
            return Arc::clone(&known.shown);
        }
        let shown = Arc::new(Shown::of(bytes.clone()));
        self.put(self.slot(key), Some(Show { key: *key, bytes, shown: Arc::clone(&shown) }));
        while self.held.load(Ordering::Relaxed) > SHOWS_BYTES {
            self.put(&self.slots[self.hand.fetch_add(1, Ordering::Relaxed) % SLOTS], None);
        }
        shown
    }

    /// Lets go of what was made of the bytes of a key.
    pub(super) fn forget(&self, key: &EntryKey) {
        if self.slot(key).read().as_ref().is_some_and(|known| known.key == *key) {
            self.put(self.slot(key), None);
        }
    }

    fn slot(&self, key: &EntryKey) -> &RwLock<Option<Show>> {
        &self.slots[key.place(SLOTS)]
    }

    fn put(&self, slot: &RwLock<Option<Show>>, show: Option<Show>) {
        let weight = |show: &Option<Show>| show.as_ref().map_or(0, Show::weight);
        // Before it is there, so that nobody takes off what was not added yet.
        self.held.fetch_add(weight(&show), Ordering::Relaxed);
        let old = std::mem::replace(&mut *slot.write(), show);
        self.held.fetch_sub(weight(&old), Ordering::Relaxed);
    }
}

impl Show {
    /// Bytes of memory, about.
    fn weight(&self) -> usize {
        self.bytes.len() + VARIANT_BYTES * (1 + self.shown.variants.len())
    }
}

/// Whether they are the same bytes in the same place.
fn are_the_same(one: &Bytes, other: &Bytes) -> bool {
    std::ptr::eq(&raw const one[..], &raw const other[..])
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{Arc, atomic::Ordering},
    };

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode, header::AGE};
    use ncore_cache::{freshness::Times, reuse::Mark, vary::VariantKey};
    use ncore_store::cached::{Cached, CachedSettings, Entry, EntryKey};

    use super::{SHOWS_BYTES, Shown, Shows};
    use crate::zones::{
        Zone,
        origin::nowhere,
        record::encode,
        shelf::Shelf,
        variant::{Kept, Variant},
    };

    fn variant(fill: u64, content: &'static str) -> Variant {
        Variant {
            vary: VariantKey::default(),
            status: StatusCode::OK,
            headers: Arc::new([(AGE, HeaderValue::from_static("7"))].into_iter().collect()),
            times: Times { requested_s: 100, received_s: 100 },
            fill,
            mark: Mark::None,
            content: Kept::Inline(Bytes::from_static(content.as_bytes())),
        }
    }

    fn key() -> EntryKey {
        EntryKey::of(&[b"key"])
    }

    #[test]
    fn the_same_bytes_are_read_once_and_equal_ones_in_another_place_anew() {
        let (shows, bytes) = (Shows::default(), encode(&[variant(1, "a")]));
        let first = shows.of(&key(), bytes.clone());
        assert!(Arc::ptr_eq(&first, &shows.of(&key(), bytes.clone())), "read twice");
        let elsewhere = Bytes::copy_from_slice(&bytes);
        assert!(!Arc::ptr_eq(&first, &shows.of(&key(), elsewhere)), "other bytes are taken for these");
        // A part of them begins at the same place.
        assert!(shows.of(&key(), bytes.slice(..bytes.len() - 1)).variants.is_empty(), "a part is taken for the whole");
    }

    #[test]
    fn bytes_that_were_let_go_are_not_taken_for_those_that_come_to_stand_in_their_place() {
        let shows = Shows::default();
        for round in 0..1_000_u64 {
            // Of the same length, so that the allocator gives the place of the last ones again if nobody holds it.
            let shown = shows.of(&key(), encode(&[variant(round, "a")]));
            assert_eq!(shown.variants[0].fill, round);
        }
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let shows = Shows::default();
        let keys = (0..20_000_u64).map(|number| EntryKey::of(&[&number.to_le_bytes()]));
        for key in keys.clone() {
            assert_eq!(shows.of(&key, encode(&[variant(1, "a")])).variants.len(), 1);
            assert!(shows.held.load(Ordering::Relaxed) <= SHOWS_BYTES);
        }
        assert!(shows.held.load(Ordering::Relaxed) > SHOWS_BYTES / 2, "there is room for more");
        keys.for_each(|key| shows.forget(&key));
        assert_eq!(shows.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_is_removed_or_replaced_is_not_shown() {
        let in_memory = CachedSettings { disk_bytes: 0, ..CachedSettings::default() };
        let cached = Cached::open(Path::new("nowhere"), in_memory).expect("a store");
        let shelf = Shelf::new(cached.clone());
        shelf.change(key(), |head| head.put(variant(1, "old"))).await;
        let old = shelf.head(&key()).await;
        assert_eq!(old.variants[0].content, Kept::Inline("old".into()));
        // Past this shelf, as another part of the node could.
        cached.put(key(), Entry { fill: 2, bytes: encode(&[variant(2, "new")]) });
        assert_eq!(shelf.head(&key()).await.variants[0].content, Kept::Inline("new".into()));
        cached.remove(&key()).await.expect("removed");
        assert!(shelf.head(&key()).await.variants.is_empty());
        // Whoever has it already answers with what it was.
        assert_eq!(old.variants[0].content, Kept::Inline("old".into()));
    }

    #[test]
    fn a_purge_and_the_time_are_looked_at_each_time() {
        let shown = Arc::new(Shown::of(encode(&[variant(5, "a")])));
        let (request, zone) = (HeaderMap::new(), Zone::new(1, uuid::Uuid::nil(), "cl".into(), Vec::new(), nowhere()));
        let chosen = shown.select(&request, 5).expect("it is not purged");
        assert!(shown.select(&request, 6).is_none(), "it is purged");
        assert_eq!((chosen.at(&zone, 100).age_s, chosen.at(&zone, 150).age_s), (7, 57));
        let mut longer = Zone::new(1, uuid::Uuid::nil(), "cl".into(), Vec::new(), nowhere());
        longer.ttl.default_s = Some(60);
        assert_eq!((chosen.at(&zone, 100).ttl_s(), chosen.at(&longer, 100).ttl_s()), (-7, 53));
    }
}
