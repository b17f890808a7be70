//! The figures of the last minutes and hours, bounded: a sample a second for eleven minutes, a sample a minute for two hours.
//!
//! Samples are counts, so whatever is said of a stretch of time is a difference of two of them, and agrees with `/metrics` at both ends.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::{
    sample::Sample,
    summary::{Share, Summary, Trend},
};

/// Samples of a second: two stretches of [`ERRORS_S`], and some.
const SECONDS: usize = 661;
/// Samples of a minute.
const MINUTES: usize = 121;
/// The stretch that errors, hits and latency are counted over, in seconds.
const ERRORS_S: u64 = 300;
/// The stretch that rates are counted over, in seconds.
const RATE_S: u64 = 60;
/// The stretch that bandwidth and load are counted over, in seconds.
const NOW_S: u64 = 5;
/// Points of a line.
const LINE: usize = 60;

/// The figures of the last minutes and hours.
#[derive(Debug, Default)]
pub struct History {
    rings: Mutex<Rings>,
}

#[derive(Debug, Default)]
struct Rings {
    seconds: VecDeque<Sample>,
    minutes: VecDeque<Sample>,
    peak_bytes_s: u64,
}

impl History {
    /// Adds the figures of now. Meant to be called once a second.
    pub fn push(&self, sample: Sample) {
        let mut rings = self.rings.lock();
        if let Some(last) = rings.seconds.back() {
            let (bytes, ms) = (sample.sent_bytes.saturating_sub(last.sent_bytes), sample.at_ms.saturating_sub(last.at_ms));
            let bytes_s = bytes.saturating_mul(1_000).checked_div(ms).unwrap_or(0);
            rings.peak_bytes_s = rings.peak_bytes_s.max(bytes_s);
        }
        if rings.minutes.back().is_none_or(|last| sample.at_ms.saturating_sub(last.at_ms) >= 60_000) {
            put(&mut rings.minutes, sample, MINUTES);
        }
        put(&mut rings.seconds, sample, SECONDS);
    }

    /// What can be said of the node now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let rings = self.rings.lock();
        let Some(latest) = rings.seconds.back().copied() else { return Summary::default() };
        let five = rings.before(latest.at_ms, ERRORS_S);
        let ten = rings.before(latest.at_ms, ERRORS_S * 2);
        let now = rings.before(latest.at_ms, NOW_S);
        let minute = rings.before(latest.at_ms, RATE_S);
        let requests_s = rate(&minute, &latest, |sample| sample.requests);
        let (hits, misses) = (latest.hits - five.hits, latest.misses - five.misses);
        Summary {
            at_ms: latest.at_ms,
            connections: latest.connections,
            connections_max: latest.connections_max,
            memory: latest.machine.map(|machine| machine.memory),
            storage: latest.storage,
            bytes_s: rate(&now, &latest, |sample| sample.sent_bytes),
            peak_bytes_s: rings.peak_bytes_s,
            requests_s,
            trend: rings.trend(&minute),
            hits: Share { part: hits, whole: hits + misses },
            latency: latest.latency.since(&five.latency),
            errors: latest.statuses[4] - five.statuses[4],
            errors_before: (latest.at_ms - ten.at_ms > ERRORS_S * 1_000).then(|| five.statuses[4] - ten.statuses[4]),
            cpu: cpu(&now, &latest),
            line_bytes: rings.line(|before, sample| sample.sent_bytes - before.sent_bytes),
            line_requests: rings.line(|before, sample| sample.requests - before.requests),
            line_connections: rings.line(|_, sample| sample.connections),
            line_cpu: rings.line(|before, sample| cpu(before, sample).per_mille().unwrap_or(0)),
        }
    }
}

impl Rings {
    /// The newest sample of a second that is at least so old, or the oldest.
    fn before(&self, now_ms: u64, seconds: u64) -> Sample {
        let wanted = now_ms.saturating_sub(seconds * 1_000);
        let sample = self.seconds.iter().rev().find(|sample| sample.at_ms <= wanted);
        sample.or(self.seconds.front()).copied().unwrap_or_default()
    }

    /// The rate of the hour that ended at `until`.
    fn trend(&self, until: &Sample) -> Option<Trend> {
        let wanted = until.at_ms.saturating_sub(3_600_000);
        let from = self.minutes.iter().rev().find(|sample| sample.at_ms <= wanted).or(self.minutes.front())?;
        let minutes = until.at_ms.saturating_sub(from.at_ms) / 60_000;
        let before_s = rate(from, until, |sample| sample.requests);
        (minutes > 0 && before_s > 0.0).then(|| Trend { before_s, minutes: minutes.min(60) })
    }

    fn line(&self, point: impl Fn(&Sample, &Sample) -> u64) -> Vec<u64> {
        let from = self.seconds.len().saturating_sub(LINE + 1);
        self.seconds.range(from..).zip(self.seconds.range(from..).skip(1)).map(|(before, sample)| point(before, sample)).collect()
    }
}

fn put(ring: &mut VecDeque<Sample>, sample: Sample, max: usize) {
    if ring.len() == max {
        ring.pop_front();
    }
    ring.push_back(sample);
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(before: &Sample, sample: &Sample, count: impl Fn(&Sample) -> u64) -> f64 {
    let ms = sample.at_ms.saturating_sub(before.at_ms);
    if ms == 0 { 0.0 } else { count(sample).saturating_sub(count(before)) as f64 * 1_000.0 / ms as f64 }
}

/// Ticks of processors that had something to do, of all; of none, where the machine does not say.
fn cpu(before: &Sample, sample: &Sample) -> Share {
    let (Some(before), Some(sample)) = (before.machine, sample.machine) else { return Share::default() };
    Share { part: sample.cpu_busy.saturating_sub(before.cpu_busy), whole: sample.cpu_all.saturating_sub(before.cpu_all) }
}

#[cfg(test)]
mod tests {
    use super::{History, MINUTES, SECONDS};
    use crate::sample::Sample;

    /// A node that answers `rate` requests in each second, of which one in ten fails, and sends 5 bytes for each.
    fn run(history: &History, sample: &mut Sample, seconds: u64, rate: u64) {
        for _ in 0..seconds {
            sample.at_ms += 1_000;
            sample.requests += rate;
            sample.statuses[4] += rate / 10;
            sample.statuses[1] += rate - rate / 10;
            sample.hits += rate;
            sample.sent_bytes += rate * 5;
            history.push(*sample);
        }
    }

    #[test]
    fn nothing_is_said_that_is_not_known() {
        let history = History::default();
        assert_eq!(history.summary(), crate::Summary::default());
        let mut sample = Sample { at_ms: 1_000_000, ..Sample::default() };
        history.push(sample);
        run(&history, &mut sample, 30, 0);
        let summary = history.summary();
        let shares = (summary.hits.per_mille(), summary.cpu.per_mille());
        assert_eq!((summary.trend, summary.errors_before, shares), (None, None, (None, None)));
    }

    #[test]
    fn what_is_said_is_a_difference_of_counts() {
        let history = History::default();
        let mut sample = Sample { at_ms: 1_000_000, ..Sample::default() };
        history.push(sample);
        run(&history, &mut sample, 3_600, 100);
        run(&history, &mut sample, 60, 150);
        let summary = history.summary();
        assert_eq!((summary.bytes_s, summary.peak_bytes_s, summary.requests_s), (750.0, 750, 150.0));
        let trend = summary.trend.expect("there was an hour before");
        assert_eq!((trend.percent(summary.requests_s).round(), trend.minutes), (50.0, 60));
        assert_eq!((summary.errors, summary.errors_before), (240 * 10 + 60 * 15, Some(300 * 10)));
        assert_eq!(summary.hits.per_mille(), Some(1_000));
        assert_eq!(summary.line_requests, vec![150; 60]);
    }

    #[test]
    fn it_stays_as_large_as_it_may_be() {
        let history = History::default();
        let mut sample = Sample::default();
        run(&history, &mut sample, 3 * 3_600, 1);
        let rings = history.rings.lock();
        assert_eq!((rings.seconds.len(), rings.minutes.len()), (SECONDS, MINUTES));
    }
}
