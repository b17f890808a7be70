//! What can be said of a node now, and of several nodes together.
//!
//! Figures of nodes are added, and never averaged: a share of the whole is the sum of the parts by the sum of the wholes, and a quantile is
//! read from the sum of the histograms.

use crate::{latency::LatencyCounts, sample::Room};

/// What can be said of a node now, or of several nodes together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// When that was, in milliseconds of the Unix epoch; of several nodes the latest.
    pub at_ms: u64,
    /// Connections open now.
    pub connections: u64,
    /// The most that there may be.
    pub connections_max: u64,
    /// The memory of the machine; `None` where it does not say.
    pub memory: Option<Room>,
    /// The file system of the data; `None` where the machine does not say.
    pub storage: Option<Room>,
    /// Bytes a second to viewers, over the last seconds.
    pub bytes_s: f64,
    /// The most bytes in a second since a node started; of several nodes that of the one that had the most.
    pub peak_bytes_s: u64,
    /// Requests a second, over the last minute.
    pub requests_s: f64,
    /// How many there were before; `None` while nothing was before, or there was no request.
    pub trend: Option<Trend>,
    /// Assets whose first bytes were on the node, of all that were asked for in the last five minutes.
    pub hits: Share,
    /// How long responses took to their head, over the last five minutes.
    pub latency: LatencyCounts,
    /// Responses with 5xx in the last five minutes.
    pub errors: u64,
    /// The same of the five minutes before; `None` while no node has run for so long.
    pub errors_before: Option<u64>,
    /// Ticks of processors that had something to do, over the last seconds.
    pub cpu: Share,
    /// Bytes to viewers in each of the last seconds, the newest last.
    pub line_bytes: Vec<u64>,
    /// Requests in each of the last seconds, the newest last.
    pub line_requests: Vec<u64>,
    /// Open connections in each of the last seconds, the newest last.
    pub line_connections: Vec<u64>,
    /// Busy processors in a thousand in each of the last seconds, the newest last; of several nodes the sum.
    pub line_cpu: Vec<u64>,
}

/// How much of something there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

/// The rate of requests before now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Requests a second then.
    pub before_s: f64,
    /// Over how many minutes "before" reaches: 60 on a node that has run for so long.
    pub minutes: u64,
}

impl Summary {
    /// Adds the figures of another node.
    pub fn add(&mut self, other: &Self) {
        self.at_ms = self.at_ms.max(other.at_ms);
        self.connections = self.connections.saturating_add(other.connections);
        self.connections_max = self.connections_max.saturating_add(other.connections_max);
        self.memory = both(self.memory, other.memory, Room::with);
        self.storage = both(self.storage, other.storage, Room::with);
        self.bytes_s += other.bytes_s;
        self.peak_bytes_s = self.peak_bytes_s.max(other.peak_bytes_s);
        self.requests_s += other.requests_s;
        self.trend = both(self.trend, other.trend, Trend::with);
        self.hits = self.hits.with(other.hits);
        self.latency = self.latency.with(&other.latency);
        self.errors = self.errors.saturating_add(other.errors);
        self.errors_before = both(self.errors_before, other.errors_before, u64::saturating_add);
        self.cpu = self.cpu.with(other.cpu);
        add_line(&mut self.line_bytes, &other.line_bytes);
        add_line(&mut self.line_requests, &other.line_requests);
        add_line(&mut self.line_connections, &other.line_connections);
        add_line(&mut self.line_cpu, &other.line_cpu);
    }
}

impl Share {
    /// In thousandths; `None` of nothing.
    #[must_use]
    pub fn per_mille(self) -> Option<u64> {
        self.part.saturating_mul(1_000).checked_div(self.whole)
    }

    fn with(self, other: Self) -> Self {
        Self { part: self.part.saturating_add(other.part), whole: self.whole.saturating_add(other.whole) }
    }
}

impl Room {
    fn with(self, other: Self) -> Self {
        Self { used: self.used.saturating_add(other.used), total: self.total.saturating_add(other.total) }
    }
}

impl Trend {
    /// By how many hundredths a rate is higher than the one before; negative if it is lower.
    #[must_use]
    pub fn percent(self, now_s: f64) -> f64 {
        (now_s / self.before_s - 1.0) * 100.0
    }

    /// As many requests as of both, in the longer of their times.
    #[expect(clippy::cast_precision_loss, reason = "a number of minutes below 61")]
    fn with(self, other: Self) -> Self {
        let minutes = self.minutes.max(other.minutes);
        let requests = self.before_s * self.minutes as f64 + other.before_s * other.minutes as f64;
        Self { before_s: requests / minutes.max(1) as f64, minutes }
    }
}

/// Both together, or the one that there is.
fn both<T>(one: Option<T>, other: Option<T>, with: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(with(one, other)),
        (one, other) => one.or(other),
    }
}

/// Adds a line to another so that the newest points stand together.
fn add_line(line: &mut Vec<u64>, other: &[u64]) {
    let missing = other.len().saturating_sub(line.len());
    line.splice(0..0, std::iter::repeat_n(0, missing));
    for (point, other) in line.iter_mut().rev().zip(other.iter().rev()) {
        *point = point.saturating_add(*other);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Share, Summary, Trend};
    use crate::{Latency, Room};

    #[test]
    fn figures_are_added_and_not_averaged() {
        let latency = |ms: u64, count: usize| {
            let latency = Latency::default();
            (0..count).for_each(|_| latency.record(Duration::from_millis(ms)));
            latency.counts()
        };
        let mut all = Summary::default();
        // Much traffic, quick and from memory; and a little, slow and from elsewhere.
        all.add(&Summary {
            hits: Share { part: 990, whole: 990 },
            latency: latency(1, 9_900),
            bytes_s: 10.0,
            peak_bytes_s: 7,
            memory: Some(Room { used: 1, total: 2 }),
            trend: Some(Trend { before_s: 10.0, minutes: 60 }),
            line_bytes: vec![1, 2, 3],
            ..Summary::default()
        });
        all.add(&Summary {
            hits: Share { part: 0, whole: 10 },
            latency: latency(900, 100),
            bytes_s: 5.0,
            peak_bytes_s: 9,
            errors_before: Some(4),
            trend: Some(Trend { before_s: 30.0, minutes: 2 }),
            line_bytes: vec![10],
            ..Summary::default()
        });
        assert_eq!(all.hits.per_mille(), Some(990), "not the mean of 1000 and 0");
        assert_eq!(all.latency.quantile_us(990), Some(1_000), "not the mean of 1 ms and 1 s");
        assert_eq!(all.latency.quantile_us(995), Some(1_000_000));
        assert_eq!((all.bytes_s, all.peak_bytes_s, all.errors_before), (15.0, 9, Some(4)));
        assert_eq!(all.memory, Some(Room { used: 1, total: 2 }));
        assert_eq!(all.trend, Some(Trend { before_s: 11.0, minutes: 60 }));
        assert_eq!(all.line_bytes, [1, 2, 13]);
        assert_eq!(all.cpu.per_mille(), None);
    }
}
