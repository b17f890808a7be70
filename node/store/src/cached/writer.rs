//! The thread of the disk: all that changes segments and index, one step after the other.
//!
//! Strikes come first, since somebody waits for them: before each step of writing or evicting. What fails is dropped and counted:
//!
//! * A write to a segment fails: what was to be written stays in memory only, and so does all that comes in the next second. If the disk is full, the
//!   oldest segment goes, so that there is room for the index.
//! * The index cannot be written: what was to be struck is not readable any more, what was to be written is dropped, and the index is opened anew, at
//!   once and then each second. If that does not help for [`PATIENCE`], the tier is given up: all segments are removed, so that nothing has to be struck, and
//!   the memory tier works on alone. Each second it is tried to begin again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::disk::{Disk, Failure, Step};
use super::entry::{Entry, EntryKey, MAX_ENTRY_BYTES};
use super::evict::Keep;
use super::jobs::Work;
use super::record;
use super::shared::{Shared, State};
use crate::error::StoreError;

/// The state of the thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Disk,
    /// Until then nothing is written to segments.
    paused_until: Option<Instant>,
    /// When the index, or the tier, is to be tried again.
    retry_at: Instant,
    failing_since: Option<Instant>,
    done: watch::Sender<Ended>,
}

/// What one step writes.
#[derive(Default)]
struct Batch {
    entries: Vec<(EntryKey, Entry)>,
    epochs: Vec<u64>,
    bytes: u64,
    /// How many keys this is of, with those of which there is nothing to write.
    taken: usize,
}

/// Whether the thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It runs.
    No,
    /// It has let go of all files.
    Yes,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Disk, done: watch::Sender<Ended>) -> Self {
        Self { shared, disk, paused_until: None, retry_at: Instant::now(), failing_since: None, done }
    }

    /// Works until the store is closed.
    pub(super) fn run(mut self) {
        self.make_room(0);
        loop {
            let closing = match self.shared.state() {
                State::On => self.step(),
                State::Failing => self.try_index(),
                State::Off => self.try_again(),
                State::Blind => {
                    self.give_up();
                    false
                }
            };
            if closing {
                break;
            }
        }
    }

    /// Does what is there to do, and waits for it if there is nothing. True at the end.
    fn step(&mut self) -> bool {
        let busy = self.sweep();
        let wait = busy.then_some(Duration::ZERO);
        let work = self.shared.jobs.next(wait);
        self.strike(&work.strikes);
        self.drop_damaged(&work);
        self.write(&work.writes);
        self.shared.hits.age();
        work.closing && work.strikes.is_empty() && work.writes.is_empty()
    }

    fn strike(&mut self, keys: &[EntryKey]) {
        let keys: HashSet<_> = keys.iter().copied().filter(|key| self.shared.to_strike(key)).collect();
        if keys.is_empty() {
            return;
        }
        let keys: Vec<_> = keys.into_iter().collect();
        match self.disk.strike(&keys) {
            Ok(()) => keys.into_iter().for_each(|key| self.shared.struck(key)),
            Err(failure) => {
                self.failed(failure);
                keys.into_iter().for_each(|key| self.shared.not_struck(key));
            }
        }
    }

    fn drop_damaged(&mut self, work: &Work) {
        let mut seen = HashSet::new();
        let damaged: Vec<_> = work.damaged.iter().copied().filter(|(key, _)| seen.insert(*key)).collect();
        if !damaged.is_empty()
            && let Err(failure) = self.disk.drop_damaged(&damaged)
        {
            self.failed(failure);
        }
    }

    /// Writes what still is to be written, as much as makes a step; the rest goes back into the queue.
    fn write(&mut self, keys: &[EntryKey]) {
        // What the disk tier takes at all is not longer than this.
        let limit = STEP_BYTES.min(self.shared.settings.segment_bytes());
        let paused = self.paused_until.is_some_and(|until| Instant::now() < until);
        let room = self.gather(keys, limit).bytes;
        let open = !paused && self.make_room(room) && self.shared.state() == State::On;
        // Anew, since strikes were made meanwhile: what was removed since must not be written. From here to the index nothing is struck.
        let Batch { entries, epochs, taken, .. } = self.gather(keys, room);
        self.shared.jobs.put_back(keys[taken..].iter().copied());
        if entries.is_empty() {
            return;
        }
        let written = open && {
            self.paused_until = None;
            self.disk.write(&entries).map_err(|failure| self.failed(failure)).is_ok()
        };
        if !written {
            self.shared.counters.dropped_writes.add(entries.len() as u64);
        }
        // Only now: as long as a failed write is not known to others, its keys count as ones that may be on disk.
        for ((key, _), epoch) in entries.iter().zip(epochs) {
            self.shared.written(key, epoch);
        }
    }

    /// What is to be written of these keys, as far as it fits into so many bytes.
    fn gather(&self, keys: &[EntryKey], limit: u64) -> Batch {
        let mut batch = Batch::default();
        let mut seen = HashSet::new();
        for key in keys {
            if let Some((epoch, entry)) = self.shared.to_write(key).filter(|_| seen.insert(*key)) {
                let bytes = record::HEADER_BYTES as u64 + entry.bytes.len() as u64;
                if batch.bytes + bytes > limit {
                    break;
                }
                batch.bytes += bytes;
                batch.epochs.push(epoch);
                batch.entries.push((*key, entry));
            }
            batch.taken += 1;
        }
        batch
    }

    /// Evicts until so many bytes fit, with the strikes that come meanwhile. False if that failed.
    fn make_room(&mut self, bytes: u64) -> bool {
        while self.disk.is_full_for(bytes) {
            match self.disk.evict(Keep::Hit) {
                Ok(Step::Idle) => return false,
                Ok(Step::More | Step::Last) => {}
                Err(failure) => {
                    self.failed(failure);
                    return false;
                }
            }
            let strikes = self.shared.jobs.strikes();
            self.strike(&strikes);
            if self.shared.state() != State::On {
                return false;
            }
        }
        true
    }

    /// True if there was something to do.
    fn sweep(&mut self) -> bool {
        match self.disk.sweep() {
            Ok(step) => step == Step::More,
            Err(failure) => {
                self.failed(failure);
                false
            }
        }
    }

    fn failed(&mut self, failure: Failure) {
        self.shared.counters.write_errors.add(1);
        match failure {
            Failure::Segment(error) => {
                if self.paused_until.is_none() {
                    tracing::warn!(%error, "the cache cannot be written to disk, what comes now stays in memory");
                }
                self.paused_until = Some(Instant::now() + RETRY);
                if matches!(error, StoreError::Full) {
                    self.shed();
                }
            }
            Failure::Index(error) => self.index_failed(&error),
        }
    }

    fn index_failed(&mut self, error: &StoreError) {
        if self.shared.turn(State::On, State::Failing) {
            tracing::warn!(error = %error, source = ?std::error::Error::source(error), "the index of the cache cannot be written");
            self.failing_since = Some(Instant::now());
            self.retry_at = Instant::now();
        }
    }

    /// Gives a segment back to a disk that is full.
    fn shed(&mut self) {
        loop {
            match self.disk.evict(Keep::Nothing) {
                Ok(Step::More) => {}
                Ok(Step::Last | Step::Idle) | Err(Failure::Segment(_)) => return,
                Err(Failure::Index(error)) => return self.index_failed(&error),
            }
        }
    }

    /// Opens the index anew when it is time to. True at the end.
    fn try_index(&mut self) -> bool {
        if self.waits_for_retry() {
            return true;
        }
        self.retry_at = Instant::now() + RETRY;
        match self.disk.reopen() {
            Ok(()) => {
                // Before anybody may remember anything of it.
                self.shared.forget_absent();
                if self.shared.turn(State::Failing, State::On) {
                    self.failing_since = None;
                    tracing::info!("the index of the cache can be written again");
                }
            }
            Err(_) if self.failing_since.is_some_and(|since| since.elapsed() > PATIENCE) => self.give_up(),
            Err(_) => {}
        }
        false
    }

    /// Begins with an empty disk when it is time to. True at the end.
    fn try_again(&mut self) -> bool {
        if self.waits_for_retry() {
            return true;
        }
        self.retry_at = Instant::now() + RETRY;
        if self.disk.forget().is_ok() && self.shared.turn(State::Off, State::On) {
            tracing::info!("the disk of the cache works again, and is empty");
        }
        false
    }

    /// Waits until it is time to try again. True at the end.
    fn waits_for_retry(&self) -> bool {
        self.shared.jobs.closing_within(self.retry_at.saturating_duration_since(Instant::now()))
    }

    /// Removes all that is on disk, since it is not known any more what of it is valid.
    fn give_up(&mut self) {
        self.shared.set_state(State::Blind);
        self.shared.counters.given_up.add(1);
        let gone = self.disk.clear();
        self.shared.set_leftovers(!gone);
        tracing::warn!(all_gone = gone, "the cache on disk is given up, memory works on alone");
        self.shared.set_state(State::Off);
        self.shared.abandon();
        self.failing_since = None;
        self.retry_at = Instant::now() + RETRY;
    }
}

impl Drop for Writer {
    /// Also when the thread panics: nobody waits for ever, and nothing is taken that would not be struck.
    fn drop(&mut self) {
        self.shared.set_state(State::Blind);
        self.shared.abandon();
        self.disk.close();
        self.done.send_replace(Ended::Yes);
    }
}

/// How long the index may stay unwritable before the tier is given up.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(5) };
const RETRY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };
/// Bytes that one step writes: one entry of the greatest length, or many short ones.
const STEP_BYTES: u64 = (record::HEADER_BYTES + MAX_ENTRY_BYTES) as u64;
