//! Which versions are held, which are wanted, and what follows from it for the report. Pure: rows, outcomes and times come in, jobs
//! and holdings go out.
//!
//! ```text
//!        faults (at most MAX)                 ahead (at most `window`)
//!   ──●────────●───────────────────┤──○──●──○──○──○──┤────────────────► versions, in log order
//!     held, but for the faults   cursor            walked   not looked at
//! ```
//!
//! * The *cursor* is the watermark that is reported. It passes a version when its blob is held, or when fetching it has failed so
//!   often that it becomes a fault, which is an exception of the report.
//! * *Work* is kept by blob, because several versions may have the same one: it is fetched once for all of them.
//! * A *change of placement* has an index in the log too. What lies below it was looked at under another placement, so the cursor
//!   does not reach the change before an audit has gone through all of it anew. What is to be held from now on becomes a fault.
//! * When there would be more faults than a report may carry, the cursor waits. When they are found below the cursor, as after the
//!   loss of a disk, it falls back behind the first that is too many, and what lies beyond is walked anew. So the report is
//!   never better than the truth, and memory is bounded.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use ncore_model::{BlobHash, Exception, ExceptionState};

/// What this node holds, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Every version up to here that must be held, by the placement as of here, is held and verified, but for the exceptions.
    pub watermark: u64,
    /// The versions up to the watermark that are not, ascending.
    pub exceptions: Vec<Exception>,
}

/// The state of replication.
pub(crate) struct Ledger {
    limits: Limits,
    cursor: u64,
    walked: u64,
    /// The index of the last change of placement that was heard of.
    placement: u64,
    /// Whether what is below that change is still to be looked at anew.
    is_unsettled: bool,
    ahead: BTreeMap<u64, Ahead>,
    faults: BTreeMap<u64, Fault>,
    work: HashMap<BlobHash, Work>,
}

/// How much is kept, and when to try again.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Versions beyond the cursor.
    pub(crate) window: usize,
    /// Faults.
    pub(crate) faults: usize,
    /// Failures before a version becomes a fault.
    pub(crate) tries: u32,
    /// The pause after the first failure.
    pub(crate) retry_first: Duration,
    /// The longest pause.
    pub(crate) retry_max: Duration,
}

/// A version, as the replica and the store have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    /// Its number.
    pub(crate) version: u64,
    /// Its content.
    pub(crate) blob: BlobHash,
    /// Length in bytes.
    pub(crate) size: u64,
    /// Whether the content is here.
    pub(crate) presence: Presence,
}

/// Whether the content of a version is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is, or need not be.
    Held,
    /// It is not.
    Absent,
    /// It was found damaged.
    Damaged,
}

/// A blob to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    /// Which one.
    pub(crate) blob: BlobHash,
    /// Length in bytes.
    pub(crate) size: u64,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obtained {
    /// The blob is here, verified and durable.
    Held,
    /// No asset refers to it any more.
    Unreferenced,
    /// It could not be had now.
    Failed,
}

/// A version beyond the cursor.
struct Ahead {
    blob: BlobHash,
    is_held: bool,
}

/// A version up to the cursor that is not held.
struct Fault {
    blob: BlobHash,
    state: ExceptionState,
}

/// A blob that is wanted. Each of its versions is a fault, or stands ahead and is not held.
struct Work {
    size: u64,
    tries: u32,
    due: Instant,
    is_running: bool,
    /// What its versions are called as exceptions.
    state: ExceptionState,
    /// A reader found it damaged: it is wanted whether or not the versions that have it are known, and what the index of the store
    /// said of it before does not count.
    is_reported: bool,
    versions: BTreeSet<u64>,
}

impl Ledger {
    /// A ledger that goes on where a report stood. `faults` are the versions that the report excepted and that are still there.
    pub(crate) fn resume(limits: Limits, watermark: u64, faults: &[Version], now: Instant) -> Self {
        let mut ledger = Self {
            limits,
            cursor: watermark,
            walked: watermark,
            placement: 0,
            is_unsettled: false,
            ahead: BTreeMap::new(),
            faults: BTreeMap::new(),
            work: HashMap::new(),
        };
        for fault in faults {
            ledger.add_fault(fault, now);
        }
        ledger.shed();
        ledger
    }

    /// The last version that was looked at.
    pub(crate) fn walked(&self) -> u64 {
        self.walked
    }

    /// How many more versions may be looked at.
    pub(crate) fn room(&self) -> usize {
        self.limits.window.saturating_sub(self.ahead.len())
    }

    /// The versions up to here are held, but for the faults.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Blobs that are wanted.
    pub(crate) fn wanted(&self) -> usize {
        self.work.len()
    }

    /// Hears of the last change of placement, which the rows that come from now on have taken place. True if everything below it is
    /// to be looked at anew: by an audit that begins after this call.
    pub(crate) fn hear_of_placement(&mut self, changed_at: u64) -> bool {
        if changed_at <= self.placement {
            return false;
        }
        self.placement = changed_at;
        // A cursor beyond it is that of a report which had taken it up.
        self.is_unsettled = changed_at > self.cursor;
        self.is_unsettled
    }

    /// An audit that began when `placement` was the last change has gone through everything.
    pub(crate) fn settle_placement(&mut self, placement: u64) {
        if placement >= self.placement {
            self.is_unsettled = false;
            self.advance();
        }
    }

    /// There is no version that was not walked in a state whose last change of placement is `placement`.
    pub(crate) fn walked_all(&mut self, placement: u64) {
        self.walked = self.walked.max(placement);
        self.advance();
    }

    /// Takes in the versions that follow [`Ledger::walked`], ascending.
    pub(crate) fn walk(&mut self, versions: &[Version], now: Instant) {
        let walked = self.walked;
        for version in versions.iter().filter(|version| version.version > walked) {
            let is_held = version.presence == Presence::Held && !self.is_reported(version.blob);
            self.ahead.insert(version.version, Ahead { blob: version.blob, is_held });
            if !is_held {
                self.want(version, now);
            }
            self.walked = version.version;
        }
        self.advance();
    }

    /// Takes in what the versions of a stretch are like now. Those that were not walked yet do not count; faults in the stretch that
    /// are not among them are gone. True if the cursor fell back.
    pub(crate) fn audit(&mut self, stretch: RangeInclusive<u64>, versions: &[Version], now: Instant) -> bool {
        let known: BTreeSet<u64> = versions.iter().map(|version| version.version).collect();
        let gone: Vec<u64> = self.faults.range(stretch).map(|(version, _)| *version).filter(|version| !known.contains(version)).collect();
        for version in gone {
            self.clear_fault(version);
        }
        let walked = self.walked;
        for version in versions.iter().filter(|version| version.version <= walked) {
            let is_held = version.presence == Presence::Held && !self.is_reported(version.blob);
            match self.ahead.get_mut(&version.version) {
                Some(ahead) if ahead.is_held == is_held => {}
                Some(ahead) => {
                    ahead.is_held = is_held;
                    match is_held {
                        true => self.unwant(version.blob, version.version),
                        false => self.want(version, now),
                    }
                }
                None if is_held => self.clear_fault(version.version),
                None => self.add_fault(version, now),
            }
        }
        let has_shed = self.shed();
        self.advance();
        has_shed
    }

    /// Takes in that a blob is damaged: it no longer counts as held. Which versions have it shows the next audit.
    pub(crate) fn damaged(&mut self, blob: BlobHash, size: u64, now: Instant) {
        let work = self.work.entry(blob).or_insert_with(|| Work::new(size, now));
        work.is_reported = true;
        work.state = ExceptionState::Corrupt;
        for (version, ahead) in &mut self.ahead {
            if ahead.blob == blob {
                ahead.is_held = false;
                work.versions.insert(*version);
            }
        }
    }

    /// The blob to fetch next, if one is due: those not tried yet first, the oldest of them first.
    pub(crate) fn next_job(&mut self, now: Instant) -> Option<Job> {
        let due = self.work.iter_mut().filter(|(_, work)| !work.is_running && work.due <= now);
        let (blob, work) = due.min_by_key(|(_, work)| (work.tries > 0, work.due, work.versions.first().copied()))?;
        work.is_running = true;
        Some(Job { blob: *blob, size: work.size })
    }

    /// When the next blob is due, if any waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.work.values().filter(|work| !work.is_running).map(|work| work.due).min()
    }

    /// Takes in the end of a job.
    pub(crate) fn finished(&mut self, blob: BlobHash, obtained: Obtained, now: Instant) {
        let Some(mut work) = self.work.remove(&blob) else { return };
        match obtained {
            Obtained::Held | Obtained::Unreferenced => {
                for version in work.versions {
                    self.faults.remove(&version);
                    if let Some(ahead) = self.ahead.get_mut(&version) {
                        ahead.is_held = true;
                    }
                }
            }
            Obtained::Failed => {
                work.is_running = false;
                work.due = now + self.limits.pause_after(work.tries);
                work.tries = work.tries.saturating_add(1);
                if work.is_needed() {
                    self.work.insert(blob, work);
                }
            }
        }
        self.advance();
    }

    /// What is to be reported.
    pub(crate) fn holdings(&self) -> Holdings {
        let exceptions = self.faults.iter().map(|(version, fault)| Exception { version: *version, state: fault.state });
        Holdings { watermark: self.cursor, exceptions: exceptions.collect() }
    }

    /// Moves the cursor past what is held, and past what becomes a fault.
    fn advance(&mut self) {
        while let Some(first) = self.ahead.first_entry() {
            let version = *first.key();
            if self.is_unsettled && version > self.placement {
                break;
            }
            if !first.get().is_held {
                let blob = first.get().blob;
                let Some(work) = self.work.get(&blob) else { break };
                if work.tries < self.limits.tries || self.faults.len() >= self.limits.faults {
                    break;
                }
                self.faults.insert(version, Fault { blob, state: work.state });
            }
            self.ahead.remove(&version);
            self.cursor = version;
        }
        let clear =
            self.ahead.first_key_value().map_or(self.walked, |(version, _)| if *version > self.placement { self.placement } else { 0 });
        let bound = if self.is_unsettled { self.placement.saturating_sub(1) } else { u64::MAX };
        self.cursor = self.cursor.max(clear.min(self.walked).min(bound));
    }

    /// Lets the cursor fall back behind the faults that are too many. True if it did.
    fn shed(&mut self) -> bool {
        let mut has_shed = false;
        while self.faults.len() > self.limits.faults {
            let Some((version, _)) = self.faults.pop_last() else { break };
            self.cursor = version - 1;
            has_shed = true;
        }
        if has_shed {
            self.walked = self.cursor;
            self.ahead.clear();
            let cursor = self.cursor;
            self.work.retain(|_, work| {
                work.versions.retain(|version| *version <= cursor);
                work.is_needed() || work.is_running
            });
        }
        has_shed
    }

    fn want(&mut self, version: &Version, now: Instant) {
        let work = self.work.entry(version.blob).or_insert_with(|| Work::new(version.size, now));
        if version.presence == Presence::Damaged {
            work.state = ExceptionState::Corrupt;
        }
        work.versions.insert(version.version);
    }

    fn add_fault(&mut self, version: &Version, now: Instant) {
        self.want(version, now);
        let state = self.work.get(&version.blob).map_or(ExceptionState::Missing, |work| work.state);
        self.faults.insert(version.version, Fault { blob: version.blob, state });
    }

    fn clear_fault(&mut self, version: u64) {
        let Some(fault) = self.faults.remove(&version) else { return };
        self.unwant(fault.blob, version);
    }

    fn unwant(&mut self, blob: BlobHash, version: u64) {
        if let Some(work) = self.work.get_mut(&blob) {
            work.versions.remove(&version);
            if !work.is_needed() && !work.is_running {
                self.work.remove(&blob);
            }
        }
    }

    fn is_reported(&self, blob: BlobHash) -> bool {
        self.work.get(&blob).is_some_and(|work| work.is_reported)
    }
}

impl Work {
    fn new(size: u64, now: Instant) -> Self {
        Self { size, tries: 0, due: now, is_running: false, state: ExceptionState::Missing, is_reported: false, versions: BTreeSet::new() }
    }

    fn is_needed(&self) -> bool {
        self.is_reported || !self.versions.is_empty()
    }
}

impl Limits {
    /// The pause after a failure that follows `failures` others: twice as long each time, up to the longest.
    fn pause_after(&self, failures: u32) -> Duration {
        self.retry_first.saturating_mul(1_u32 << failures.min(16)).min(self.retry_max)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
