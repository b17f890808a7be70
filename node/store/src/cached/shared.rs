//! What callers and the thread of the disk share: the rules of who may see what, when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::Counters;
use super::entry::{Entry, EntryKey, MAX_ENTRY_BYTES};
use super::handle::Glance;
use super::hits::Hits;
use super::index::Index;
use super::jobs::{Jobs, Room};
use super::memory::MemoryTier;
use super::record::{self, Location};
use super::segment::Segments;
use super::settings::CachedSettings;
use super::stripes::{Step, Strike, Stripe, Stripes, Waiting};
use crate::error::Corruption;

/// The two tiers and what is between them.
pub(super) struct Shared {
    pub(super) settings: CachedSettings,
    pub(super) memory: MemoryTier,
    pub(super) stripes: Stripes,
    pub(super) jobs: Jobs,
    pub(super) hits: Hits,
    pub(super) counters: Counters,
    state: AtomicU8,
    /// Files of a tier that was given up could not be removed.
    leftovers: AtomicBool,
    /// Of the disk tier, if there is one.
    disk: Option<Arc<Parts>>,
}

/// The files of the disk tier.
pub(super) struct Parts {
    pub(super) index: Index,
    pub(super) segments: Segments,
}

/// What the disk tier is good for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Everything.
    On,
    /// It is read, but its index cannot be written: any key may be on disk, whatever the index says.
    Failing,
    /// There is nothing on disk: none was asked for, or it was given up. Memory does as it likes.
    Off,
    /// There may be entries on disk that were replaced or removed, and that is all that is known: it is not read, and nothing is taken. For
    /// moments, until it is given up; and after the end.
    Blind,
}

/// What is known of a key that is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newness {
    /// Nothing was ever put under it.
    New,
    /// Nothing.
    Unknown,
}

/// Where to look for an entry.
pub(super) enum Look {
    /// Here it is.
    Found(Entry),
    /// It is nowhere.
    Absent,
    /// It will be readable once its predecessor is struck out.
    Soon(oneshot::Receiver<Strike>),
    /// On disk, perhaps. It may come into memory if the epoch is still this one after it was read.
    OnDisk {
        /// The epoch of the key's stripe.
        epoch: u64,
    },
}

/// What a removal has to wait for.
pub(super) enum Removal {
    /// Nothing: it is done.
    Done,
    /// The strike in the index.
    Struck(oneshot::Receiver<Strike>),
    /// It cannot be done.
    Refused,
}

impl Shared {
    pub(super) fn new(settings: CachedSettings, disk: Option<Arc<Parts>>) -> Self {
        let state = if disk.is_some() { State::On } else { State::Off };
        Self {
            memory: MemoryTier::new(settings.memory_bytes),
            stripes: Stripes::new(settings.queue_bytes),
            hits: Hits::new(settings.hit_slots()),
            settings,
            jobs: Jobs::default(),
            counters: Counters::default(),
            state: AtomicU8::new(state.number()),
            leftovers: AtomicBool::new(false),
            disk,
        }
    }

    pub(super) fn state(&self) -> State {
        State::from_number(self.state.load(Ordering::Acquire))
    }

    /// Seen by each put and remove that locks its stripe after this.
    pub(super) fn set_state(&self, state: State) {
        self.state.store(state.number(), Ordering::Release);
    }

    /// Goes from one state to another, unless it is no more the one. So that nothing but giving up leads out of [`State::Blind`], in which
    /// what has to be struck is not even remembered.
    pub(super) fn turn(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from.number(), to.number(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(super) fn parts(&self) -> Option<&Parts> {
        self.disk.as_deref()
    }

    /// Notes whether the files of a tier that was given up are gone.
    pub(super) fn set_leftovers(&self, left: bool) {
        self.leftovers.store(left, Ordering::Release);
    }

    pub(super) fn put(&self, key: EntryKey, entry: Entry, newness: Newness) {
        let mut stripe = self.stripes.lock(&key);
        let epoch = stripe.advance();
        let before = stripe.waiting.remove(&key);
        let is_absent = stripe.absent.take(&key) || newness == Newness::New;
        let state = self.state();
        if let Some(value) = before.as_ref().and_then(|before| before.value.as_ref()) {
            self.stripes.release(value);
        }
        if matches!(state, State::Off | State::Blind) {
            finish(before, self.outcome_without_strike(state));
            match state {
                State::Off => self.memory.insert(key, entry),
                _ => {
                    self.memory.remove(&key);
                    self.counters.dropped_writes.add(1);
                }
            }
            return;
        }
        let room = self.fits(&entry) && self.stripes.reserve(&entry);
        if !room {
            self.counters.dropped_writes.add(1);
        }
        if before.is_none() && !self.may_be_on_disk(&key, state, is_absent) {
            self.memory.insert(key, entry.clone());
            if room {
                let bytes = entry.bytes.len();
                stripe.waiting.insert(key, Waiting { epoch, step: Step::Readable, value: Some(entry), wakers: Vec::new() });
                self.jobs.write(key, bytes);
            }
            return;
        }
        self.memory.remove(&key);
        let queued = before.as_ref().is_some_and(|before| before.step == Step::Striking);
        let wakers = before.map(|before| before.wakers).unwrap_or_default();
        stripe.waiting.insert(key, Waiting { epoch, step: Step::Striking, value: room.then_some(entry), wakers });
        if !queued {
            self.queue_strike(key);
        }
    }

    pub(super) fn remove(&self, key: &EntryKey) -> Removal {
        let mut stripe = self.stripes.lock(key);
        let epoch = stripe.advance();
        self.memory.remove(key);
        let before = stripe.waiting.remove(key);
        let state = self.state();
        if let Some(value) = before.as_ref().and_then(|before| before.value.as_ref()) {
            self.stripes.release(value);
        }
        if matches!(state, State::Off | State::Blind) {
            let outcome = self.outcome_without_strike(state);
            finish(before, outcome);
            return if outcome == Strike::Done { Removal::Done } else { Removal::Refused };
        }
        if before.is_none() && !self.may_be_on_disk(key, state, stripe.absent.has(key)) {
            return Removal::Done;
        }
        let queued = before.as_ref().is_some_and(|before| before.step == Step::Striking);
        let mut wakers = before.map(|before| before.wakers).unwrap_or_default();
        let (waker, struck) = oneshot::channel();
        wakers.push(waker);
        stripe.waiting.insert(*key, Waiting { epoch, step: Step::Striking, value: None, wakers });
        if !queued {
            self.queue_strike(*key);
        }
        Removal::Struck(struck)
    }

    /// What may be seen of the key without reading the disk, or waiting.
    pub(super) fn at_hand(&self, key: &EntryKey) -> Option<Entry> {
        let entry = self.memory.get(key).or_else(|| match self.stripes.lock(key).waiting.get(key) {
            Some(Waiting { step: Step::Readable, value, .. }) => value.clone(),
            _ => None,
        })?;
        self.hits.count(key);
        self.counters.hits_memory.add(1);
        Some(entry)
    }

    /// Where the key's entry is, if it is not at hand.
    pub(super) fn look(&self, key: &EntryKey) -> Look {
        let mut stripe = self.stripes.lock(key);
        let epoch = stripe.epoch;
        let Some(waiting) = stripe.waiting.get_mut(key) else {
            if let Some(entry) = self.in_hands(&stripe, key) {
                return Look::Found(entry);
            }
            return if self.is_to_be_read(&mut stripe, key) { Look::OnDisk { epoch } } else { Look::Absent };
        };
        match (&waiting.value, waiting.step) {
            (Some(value), Step::Readable) => Look::Found(value.clone()),
            (Some(_), Step::Striking) => {
                if waiting.wakers.len() % TIDY == TIDY - 1 {
                    waiting.wakers.retain(|waker| !waker.is_closed());
                }
                let (waker, struck) = oneshot::channel();
                waiting.wakers.push(waker);
                Look::Soon(struck)
            }
            (None, _) => Look::Absent,
        }
    }

    /// What can be said of the key without reading the disk, or waiting.
    pub(super) fn glance(&self, key: &EntryKey) -> Glance {
        if let Some(entry) = self.memory.get(key) {
            return self.hit(key, entry);
        }
        let mut stripe = self.stripes.lock(key);
        let Some(waiting) = stripe.waiting.get(key) else {
            if let Some(entry) = self.in_hands(&stripe, key) {
                return self.hit(key, entry);
            }
            return if self.is_to_be_read(&mut stripe, key) { Glance::Later } else { Glance::Absent };
        };
        match (&waiting.value, waiting.step) {
            (Some(value), Step::Readable) => self.hit(key, value.clone()),
            (Some(_), Step::Striking) => Glance::Later,
            (None, _) => Glance::Absent,
        }
    }

    fn hit(&self, key: &EntryKey, entry: Entry) -> Glance {
        self.hits.count(key);
        self.counters.hits_memory.add(1);
        Glance::Here(entry)
    }

    /// Whether the disk has to be read to know what is under a key that does not wait. That it need not be is remembered.
    fn is_to_be_read(&self, stripe: &mut Stripe, key: &EntryKey) -> bool {
        match self.state() {
            State::On => {
                let is_to_be_read = self.may_be_on_disk(key, State::On, stripe.absent.has(key));
                if !is_to_be_read {
                    stripe.absent.note(*key);
                }
                is_to_be_read
            }
            // What an index says that could not be written is not remembered.
            State::Failing => self.may_be_in_index(key),
            State::Off | State::Blind => false,
        }
    }

    /// Has the content of an entry in memory be where it can be sent from, unless the key was put or removed meanwhile.
    pub(super) fn in_pages(&self, key: &EntryKey, bytes: Bytes) -> Bytes {
        let is_there = ncore_pages::holds(&bytes) && !ncore_pages::is_sparse(&bytes);
        if is_there || bytes.len() < IN_PAGES_MIN {
            return bytes;
        }
        let Some(paged) = ncore_pages::copy(&bytes) else { return bytes };
        let mut stripe = self.stripes.lock(key);
        let Some(entry) = self.memory.get(key).filter(|entry| entry.bytes.as_ptr() == bytes.as_ptr()) else { return paged };
        self.give_out(&mut stripe, key, Entry { bytes: paged, ..entry }).bytes
    }

    /// Brings what was read into memory, unless the key was put or removed meanwhile, and gives it as it is to be given out.
    pub(super) fn promote(&self, key: &EntryKey, epoch: u64, entry: Entry) -> Entry {
        let mut stripe = self.stripes.lock(key);
        if stripe.epoch != epoch {
            return entry;
        }
        self.give_out(&mut stripe, key, entry)
    }

    /// Has an entry be what all who ask for the key get.
    fn give_out(&self, stripe: &mut Stripe, key: &EntryKey, entry: Entry) -> Entry {
        let entry = stripe.hands.give(*key, entry);
        self.memory.insert(*key, entry.clone());
        entry
    }

    /// What somebody still has of a key that does not wait. It is in memory again, since it is asked for.
    fn in_hands(&self, stripe: &Stripe, key: &EntryKey) -> Option<Entry> {
        stripe.hands.get(key).inspect(|entry| self.memory.insert(*key, entry.clone()))
    }

    /// Reads an entry from the disk. Blocks.
    pub(super) fn read(&self, key: &EntryKey) -> Option<Entry> {
        let Parts { index, segments } = self.disk.as_deref()?;
        let mut gone = None;
        for _ in 0..MOVES {
            let location = match index.get(key) {
                Ok(location) => location?,
                Err(error) => {
                    tracing::warn!(%error, "could not read the index of the cache");
                    self.counters.read_errors.add(1);
                    return None;
                }
            };
            // A segment goes after all that is worth keeping in it has another place in the index.
            let Some(segment) = segments.get(location.segment) else {
                gone = Some(location);
                continue;
            };
            let len = usize::try_from(record::record_bytes(location.len)).ok()?;
            return match segment.read(location.offset.into(), len) {
                Ok(record) => record::verify(key, &location, record).or_else(|| self.found_damaged(key, &location)),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => self.found_damaged(key, &location),
                Err(error) if Corruption::of(&error).is_some() => self.found_damaged(key, &location),
                Err(error) => {
                    tracing::warn!(%error, "could not read a segment of the cache");
                    self.counters.read_errors.add(1);
                    None
                }
            };
        }
        // Left in the index by a segment that went with a damaged header in it, or in a power cut.
        if let Some(location) = gone {
            self.jobs.damaged(*key, location);
        }
        None
    }

    /// Whether the key still has to be struck.
    pub(super) fn to_strike(&self, key: &EntryKey) -> bool {
        self.stripes.lock(key).waiting.get(key).is_some_and(|waiting| waiting.step == Step::Striking)
    }

    /// The index has no record of the key any more: what was put instead may be seen. That is so also for what was put while the strike was made,
    /// since the thread that strikes is the one that writes, and has not written this key meanwhile.
    pub(super) fn struck(&self, key: EntryKey) {
        let mut stripe = self.stripes.lock(&key);
        let Some(waiting) = stripe.waiting.get_mut(&key).filter(|waiting| waiting.step == Step::Striking) else { return };
        waiting.wake(Strike::Done);
        match &waiting.value {
            Some(value) => {
                waiting.step = Step::Readable;
                self.memory.insert(key, value.clone());
                self.jobs.write(key, value.bytes.len());
            }
            None => {
                stripe.waiting.remove(&key);
            }
        }
    }

    /// The strike failed: the key stays unreadable until one succeeds, and what was put is not kept.
    pub(super) fn not_struck(&self, key: EntryKey) {
        let mut stripe = self.stripes.lock(&key);
        let Some(waiting) = stripe.waiting.get_mut(&key).filter(|waiting| waiting.step == Step::Striking) else { return };
        if let Some(value) = waiting.value.take() {
            self.stripes.release(&value);
            self.counters.dropped_writes.add(1);
        }
        waiting.wake(Strike::Failed);
        self.queue_strike(key);
    }

    /// What is to be written under the key, if it still is.
    pub(super) fn to_write(&self, key: &EntryKey) -> Option<(u64, Entry)> {
        let stripe = self.stripes.lock(key);
        let waiting = stripe.waiting.get(key).filter(|waiting| waiting.step == Step::Readable)?;
        Some((waiting.epoch, waiting.value.clone()?))
    }

    /// The entry is in the index, or is not going to be: nothing has to be remembered of it, unless it was put anew or removed.
    pub(super) fn written(&self, key: &EntryKey, epoch: u64) {
        let mut stripe = self.stripes.lock(key);
        if stripe.waiting.get(key).is_some_and(|waiting| waiting.epoch == epoch && waiting.step == Step::Readable)
            && let Some(Waiting { value: Some(value), .. }) = stripe.waiting.remove(key)
        {
            self.stripes.release(&value);
        }
    }

    /// Forgets of which keys there is nothing on disk: the index is another than it was.
    pub(super) fn forget_absent(&self) {
        self.stripes.all().for_each(|mut stripe| stripe.absent.forget());
    }

    /// Forgets all that is under way to the disk, after the state was set to one in which none of it gets there.
    pub(super) fn abandon(&self) {
        self.jobs.clear();
        let state = self.state();
        let outcome = self.outcome_without_strike(state);
        for mut stripe in self.stripes.all() {
            for (key, mut waiting) in stripe.waiting.drain() {
                if let Some(value) = waiting.value.take() {
                    self.stripes.release(&value);
                    self.counters.dropped_writes.add(1);
                    if state == State::Off {
                        self.memory.insert(key, value);
                    }
                }
                finish(Some(waiting), outcome);
            }
        }
    }

    /// What a strike comes to if it is not made: where nothing is on disk, it need not be.
    fn outcome_without_strike(&self, state: State) -> Strike {
        let nothing_there = state == State::Off && !self.leftovers.load(Ordering::Acquire);
        if nothing_there { Strike::Done } else { Strike::Failed }
    }

    /// Whether the disk tier takes an entry of this length at all.
    fn fits(&self, entry: &Entry) -> bool {
        let len = entry.bytes.len();
        len <= MAX_ENTRY_BYTES && (len + record::HEADER_BYTES) as u64 <= self.settings.segment_bytes()
    }

    /// Whether there may be something on disk of a key that does not wait. `is_absent` says that it is remembered that there is not.
    fn may_be_on_disk(&self, key: &EntryKey, state: State, is_absent: bool) -> bool {
        state == State::Failing || (!is_absent && self.may_be_in_index(key))
    }

    fn may_be_in_index(&self, key: &EntryKey) -> bool {
        self.disk.as_ref().is_some_and(|parts| parts.index.may_exist(key))
    }

    fn queue_strike(&self, key: EntryKey) {
        if self.jobs.strike(key) == Room::None {
            // More than can be remembered. The thread of the disk gives the tier up as soon as it can.
            self.set_state(State::Blind);
        }
    }

    fn found_damaged(&self, key: &EntryKey, location: &Location) -> Option<Entry> {
        self.counters.damaged.add(1);
        self.jobs.damaged(*key, *location);
        None
    }
}

impl State {
    const fn number(self) -> u8 {
        match self {
            Self::On => 0,
            Self::Failing => 1,
            Self::Off => 2,
            Self::Blind => 3,
        }
    }

    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::On,
            1 => Self::Failing,
            2 => Self::Off,
            _ => Self::Blind,
        }
    }
}

/// Tells those who wait for a strike that will not be made.
fn finish(waiting: Option<Waiting>, outcome: Strike) {
    if let Some(mut waiting) = waiting {
        waiting.wake(outcome);
    }
}

/// Contents that are shorter, in bytes, stay where they are: it costs as little to copy them each time.
const IN_PAGES_MIN: usize = 32 << 10;
/// How often a record may move between the look into the index and the read.
const MOVES: usize = 3;
/// After so many who wait for a strike, those who gave up are forgotten.
const TIDY: usize = 64;
