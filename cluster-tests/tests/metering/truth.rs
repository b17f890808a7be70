//! What the load saw: the truth that the counts of the cluster are compared with.
//!
//! It comes from the answers alone, and never from what was expected: a node that does not know an asset yet says 404, and then 404 is the
//! truth. Of an answer that broke off, and of one that says 5xx (which may come from before the node knew whose request it was), nobody
//! knows whether it was counted: so there are two truths, what was counted at least and what was counted at most. "Never more" is held
//! against the second, which has everything that was begun.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Range, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Deserialize;

/// Every figure of `GET /api/v2/metrics` that is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// 2xx, 3xx, 4xx, 5xx.
    pub(crate) statuses: [u64; 4],
}

impl Figures {
    /// An answer without a body.
    pub(crate) fn answer(status: u16) -> Self {
        let mut statuses = [0; 4];
        statuses[usize::from(status / 100).clamp(2, 5) - 2] = 1;
        Self { requests: 1, statuses, ..Self::default() }
    }

    /// The most that a request can be counted as of which nothing is known but how long its answer may be.
    pub(crate) fn whatever(bytes: u64) -> Self {
        Self { requests: 1, bytes, hits: 1, misses: 1, statuses: [1; 4] }
    }

    /// Whether no figure is greater than that of the other.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.each().into_iter().zip(other.each()).all(|(this, other)| this <= other)
    }

    fn each(&self) -> [u64; 8] {
        let [successes, redirections, client_errors, server_errors] = self.statuses;
        [self.requests, self.bytes, self.hits, self.misses, successes, redirections, client_errors, server_errors]
    }

    fn merge(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: with(self.requests, other.requests),
            bytes: with(self.bytes, other.bytes),
            hits: with(self.hits, other.hits),
            misses: with(self.misses, other.misses),
            statuses: [0, 1, 2, 3].map(|class| with(self.statuses[class], other.statuses[class])),
        }
    }
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.merge(other, |this, other| this + other)
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What is less than nothing is nothing.
impl Sub for Figures {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.merge(other, u64::saturating_sub)
    }
}

/// One request, and what it was counted as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) customer: usize,
    /// The slot of the node.
    pub(crate) node: usize,
    pub(crate) sent: At,
    pub(crate) over: At,
    pub(crate) least: Figures,
    pub(crate) most: Figures,
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) instant: Instant,
    /// Which hour since 1970.
    pub(crate) hour: u32,
}

impl At {
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), hour: u32::try_from(unix_now().as_secs() / HOUR_S).unwrap_or(u32::MAX) }
    }
}

pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// At least and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) least: Figures,
    pub(crate) most: Figures,
}

/// All answers, in the order in which they ended.
#[derive(Debug, Default)]
pub(crate) struct Truth(Mutex<Vec<Answer>>);

impl Truth {
    pub(crate) fn note(&self, answer: Answer) {
        self.0.lock().push(answer);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// How many of these answers are not certain.
    pub(crate) fn unclear(&self, which: Range<usize>) -> usize {
        self.0.lock()[which].iter().filter(|answer| answer.least != answer.most).count()
    }

    /// What a customer used by these answers, in the hours that are asked for.
    pub(crate) fn bounds(&self, which: Range<usize>, customer: usize, is_asked_for: impl Fn(u32) -> bool) -> Bounds {
        let mut bounds = Bounds::default();
        for answer in self.0.lock()[which].iter().filter(|answer| answer.customer == customer) {
            let (first, last) = (is_asked_for(answer.sent.hour), is_asked_for(answer.over.hour));
            if first && last {
                bounds.least += answer.least;
            }
            if first || last {
                bounds.most += answer.most;
            }
        }
        bounds
    }

    /// What a crash may cost: all that the node may have counted in the last [`LOST_MAX`] of its life.
    pub(crate) fn at_risk(&self, kill: &Kill, customer: usize, is_asked_for: impl Fn(u32) -> bool) -> Figures {
        let from = kill.begun.checked_sub(LOST_MAX).unwrap_or(kill.begun);
        let mut sum = Figures::default();
        for answer in self.0.lock().iter().filter(|answer| answer.customer == customer && answer.node == kill.node) {
            let in_time = answer.over.instant >= from && answer.sent.instant <= kill.over;
            if in_time && (is_asked_for(answer.sent.hour) || is_asked_for(answer.over.hour)) {
                sum += answer.most;
            }
        }
        sum
    }
}

/// When a node was killed: between these two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) node: usize,
    pub(crate) begun: Instant,
    pub(crate) over: Instant,
}

/// What a node answers to `GET /api/v2/metrics`.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    totals: Row,
    series: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    ts: u64,
    #[serde(flatten)]
    row: Row,
}

#[derive(Debug, Deserialize)]
struct Row {
    requests: u64,
    bytes_out: u64,
    hits: u64,
    misses: u64,
    hit_rate: Option<f64>,
    status: BTreeMap<String, u64>,
}

/// Hours or days of which there is something, by number since 1970.
pub(crate) type Series = BTreeMap<u32, Figures>;

impl Document {
    /// Its hours or days, each so many seconds long.
    ///
    /// # Errors
    /// If it contradicts itself.
    pub(crate) fn series(&self, seconds: u64) -> anyhow::Result<Series> {
        let mut sum = Figures::default();
        let mut series = Series::new();
        for step in &self.series {
            let figures = step.row.figures()?;
            sum += figures;
            if figures != Figures::default() {
                series.insert(u32::try_from(step.ts / seconds)?, figures);
            }
        }
        anyhow::ensure!(self.totals.figures()? == sum, "the totals are not the sum of the series: {self:?}");
        Ok(series)
    }
}

impl Row {
    fn figures(&self) -> anyhow::Result<Figures> {
        let class = |class: &str| self.status.get(class).copied().unwrap_or_default();
        let statuses = ["2xx", "3xx", "4xx", "5xx"].map(class);
        let Self { requests, bytes_out, hits, misses, hit_rate, .. } = self;
        anyhow::ensure!(statuses.iter().sum::<u64>() == *requests, "requests are not the sum of the classes: {self:?}");
        let rate = (hits + misses > 0).then(|| *hits as f64 / (hits + misses) as f64);
        let is_near = rate.zip(*hit_rate).map_or(rate.is_none() && hit_rate.is_none(), |(rate, said)| (rate - said).abs() < 0.000_11);
        anyhow::ensure!(is_near, "the rate of hits is {rate:?}: {self:?}");
        Ok(Figures { requests: *requests, bytes: *bytes_out, hits: *hits, misses: *misses, statuses })
    }
}

/// What a crash may lose of one node.
pub(crate) const LOST_MAX: Duration = Duration::from_secs(10);
pub(crate) const HOUR_S: u64 = 60 * 60;
