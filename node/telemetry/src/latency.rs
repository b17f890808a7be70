//! How long something takes: counts in buckets, cheap to write and exact to add.
//!
//! The bounds are five to a decade, so a quantile is known to about a quarter of itself, from 100 µs to 10 s.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in microseconds. One more bucket takes what is slower than all of them.
pub const LATENCY_BOUNDS_US: [u64; 26] = [
    100, 160, 250, 400, 630, 1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000, 25_000, 40_000, 63_000, 100_000, 160_000, 250_000, 400_000,
    630_000, 1_000_000, 1_600_000, 2_500_000, 4_000_000, 6_300_000, 10_000_000,
];

const BUCKETS: usize = LATENCY_BOUNDS_US.len() + 1;

/// A histogram that many write: two relaxed additions each time.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Latency {
    /// Counts one that took so long.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> LatencyCounts {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        LatencyCounts { buckets, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

/// A histogram at one moment, or between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyCounts {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl LatencyCounts {
    /// What came in between an earlier moment and this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets = std::array::from_fn(|at| self.buckets[at].saturating_sub(earlier.buckets[at]));
        Self { buckets, sum_us: self.sum_us.saturating_sub(earlier.sum_us) }
    }

    /// The histogram of these buckets, in the order of their bounds, and of this sum. Buckets that there are not here are the last one.
    #[must_use]
    pub fn of_parts(counts: &[u64], sum_us: u64) -> Self {
        let mut buckets = [0_u64; BUCKETS];
        for (at, count) in counts.iter().enumerate() {
            let bucket = &mut buckets[at.min(BUCKETS - 1)];
            *bucket = bucket.saturating_add(*count);
        }
        Self { buckets, sum_us }
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let buckets = std::array::from_fn(|at| self.buckets[at].saturating_add(other.buckets[at]));
        Self { buckets, sum_us: self.sum_us.saturating_add(other.sum_us) }
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Each upper bound in microseconds with how many were below it and above the one before. The last has no bound: `u64::MAX`.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        LATENCY_BOUNDS_US.into_iter().chain([u64::MAX]).zip(self.buckets)
    }

    /// The mean in microseconds; `None` if there were none.
    #[must_use]
    pub fn mean_us(&self) -> Option<u64> {
        self.sum_us.checked_div(self.count())
    }

    /// A time in microseconds that `per_mille` of a thousand did not pass, rounded up to the bound of a bucket; `None` if there were
    /// none. What is slower than every bound is given the last one.
    #[must_use]
    pub fn quantile_us(&self, per_mille: u64) -> Option<u64> {
        let count = self.count();
        let rank = count.saturating_mul(per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|in_bucket| {
            seen += in_bucket;
            seen >= rank
        });
        let last = LATENCY_BOUNDS_US.len() - 1;
        bucket.map(|bucket| LATENCY_BOUNDS_US[bucket.min(last)])
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;
    use std::time::Duration;

    #[test]
    fn a_quantile_is_the_bound_that_enough_stay_below() {
        let latency = Latency::default();
        assert_eq!((latency.counts().quantile_us(990), latency.counts().mean_us()), (None, None));
        for _ in 0..98 {
            latency.record(Duration::from_micros(90));
        }
        latency.record(Duration::from_millis(30));
        let before = latency.counts();
        latency.record(Duration::from_secs(60));
        let counts = latency.counts();
        assert_eq!(counts.count(), 100);
        for (per_mille, expected) in [(500, 100), (980, 100), (990, 40_000), (1_000, 10_000_000)] {
            assert_eq!(counts.quantile_us(per_mille), Some(expected), "{per_mille}");
        }
        assert_eq!(counts.since(&before).mean_us(), Some(60_000_000));
    }
}
