//! What clients use, as it is counted at this node.
//!
//! ```text
//!   serving, API ── Tally: a few atomic adds ──► Meter of the client ── collect: taken, and zero again ──► whoever reports it
//! ```
//!
//! A request finds its meter beside what it asks for and never looks it up, so counting takes no lock and allocates nothing. A meter has
//! counters for two hours, even and odd ones: a request counts in the hour in which it came, and who collects at least once an hour
//! knows which hour the counters of each half are of.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;

/// The meters of all clients that were asked for since the start: as many as the cluster has clients, at most.
#[derive(Debug, Default)]
pub struct Usage {
    meters: RwLock<HashMap<Box<str>, Arc<Meter>>>,
}

/// The counters of one client. They have cache lines of their own, so that clients do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meter {
    halves: [Counters; 2],
    is_spent: AtomicBool,
}

/// Whether more may be served for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// It may.
    Left,
    /// It may not: the plan's bandwidth is used up.
    Spent,
}

/// A meter in the hour of one request.
#[derive(Debug, Clone)]
pub struct Tally {
    meter: Arc<Meter>,
    half: usize,
}

/// What was counted for a client in an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Its id.
    pub client: Box<str>,
    /// Which hour since 1970.
    pub hour: u32,
    /// Answers by the first digit of their status: 2xx, 3xx, 4xx and 5xx.
    pub statuses: [u64; 4],
    /// Bytes of the bodies of answers.
    pub bytes_out: u64,
    /// Answers with bytes of an asset that this node had.
    pub hits: u64,
    /// Answers with bytes of an asset that came from another node.
    pub misses: u64,
}

#[derive(Debug, Default)]
struct Counters {
    statuses: [AtomicU64; 4],
    bytes_out: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Usage {
    /// The meter of a client that there is. Who asks keeps it with what it is for.
    #[must_use]
    pub fn meter(&self, client: &str) -> Arc<Meter> {
        if let Some(meter) = self.meters.read().get(client) {
            return Arc::clone(meter);
        }
        Arc::clone(self.meters.write().entry(client.into()).or_default())
    }

    /// Takes what was counted since the last time. To be called more than once an hour, by one caller.
    #[must_use]
    pub fn collect(&self) -> Vec<Collected> {
        self.collect_at(this_hour)
    }

    /// The hour is asked for after the counters are taken: then none of them can be of an hour that is still to come, and what is in
    /// the other half is of the hour before.
    fn collect_at(&self, this_hour: impl FnOnce() -> u32) -> Vec<Collected> {
        let mut taken = Vec::new();
        for (client, meter) in &*self.meters.read() {
            for (half, counters) in meter.halves.iter().enumerate() {
                taken.extend(counters.take(client).map(|collected| (half, collected)));
            }
        }
        let now = this_hour();
        let hour = |half| if half == half_of(now) { now } else { now.saturating_sub(1) };
        taken.into_iter().map(|(half, collected)| Collected { hour: hour(half), ..collected }).collect()
    }
}

impl Meter {
    /// Says whether more may be served.
    pub fn allow(&self, allowance: Allowance) {
        self.is_spent.store(allowance == Allowance::Spent, Ordering::Relaxed);
    }

    /// What was last said.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        if self.is_spent.load(Ordering::Relaxed) { Allowance::Spent } else { Allowance::Left }
    }

    /// Counts in the hour of `now_s`, in Unix seconds.
    #[must_use]
    pub fn tally(self: &Arc<Self>, now_s: u64) -> Tally {
        Tally { meter: Arc::clone(self), half: half_of(hour_of(now_s)) }
    }
}

impl Tally {
    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        let class = usize::from((status / 100).clamp(2, 5) - 2);
        add(&self.counters().statuses[class], 1);
    }

    /// Bytes of a body were sent.
    pub fn sent(&self, bytes: u64) {
        add(&self.counters().bytes_out, bytes);
    }

    /// The first bytes of an asset were here.
    pub fn hit(&self) {
        add(&self.counters().hits, 1);
    }

    /// The first bytes of an asset came from another node.
    pub fn missed(&self) {
        add(&self.counters().misses, 1);
    }

    fn counters(&self) -> &Counters {
        &self.meter.halves[self.half]
    }
}

impl Counters {
    fn take(&self, client: &str) -> Option<Collected> {
        let collected = Collected {
            client: client.into(),
            hour: 0,
            statuses: [0, 1, 2, 3].map(|class| take(&self.statuses[class])),
            bytes_out: take(&self.bytes_out),
            hits: take(&self.hits),
            misses: take(&self.misses),
        };
        let others = collected.bytes_out | collected.hits | collected.misses;
        (collected.statuses.iter().fold(others, |all, count| all | count) != 0).then_some(collected)
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// Most counters are zero most of the time, and reading those leaves their cache lines where they are.
fn take(counter: &AtomicU64) -> u64 {
    if counter.load(Ordering::Relaxed) == 0 { 0 } else { counter.swap(0, Ordering::Relaxed) }
}

fn this_hour() -> u32 {
    hour_of(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn hour_of(now_s: u64) -> u32 {
    u32::try_from(now_s / HOUR_S).unwrap_or(u32::MAX)
}

const fn half_of(hour: u32) -> usize {
    hour as usize % 2
}

const HOUR_S: u64 = 60 * 60;

#[cfg(test)]
mod tests;
