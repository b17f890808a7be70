//! Uses within a stretch of time that moves on: how many, and when the oldest of them no longer count.

use std::collections::VecDeque;

/// Uses of the last `span_ms`. A use at time `t` counts up to, but not at, `t + span_ms`, rounded up to the grain: so that no stretch of that
/// length has more uses than ever counted at once.
#[derive(Debug)]
pub(crate) struct Window {
    span_ms: u64,
    grain_ms: u64,
    /// In the order of time.
    runs: VecDeque<Run>,
    used: u64,
}

#[derive(Debug)]
struct Run {
    at_ms: u64,
    count: u32,
}

impl Window {
    pub(crate) const fn new(span_ms: u64, grain_ms: u64) -> Self {
        Self { span_ms, grain_ms, runs: VecDeque::new(), used: 0 }
    }

    /// So many were used at this time, which may be past.
    pub(crate) fn book(&mut self, at_ms: u64, count: u32) {
        if count == 0 {
            return;
        }
        let at_ms = at_ms.div_ceil(self.grain_ms).saturating_mul(self.grain_ms);
        // From the end: nearly all are of now.
        let place = self.runs.iter().rposition(|run| run.at_ms <= at_ms);
        match place.and_then(|place| self.runs.get_mut(place)).filter(|run| run.at_ms == at_ms) {
            Some(run) => run.count = run.count.saturating_add(count),
            None => self.runs.insert(place.map_or(0, |place| place + 1), Run { at_ms, count }),
        }
        self.used = self.used.saturating_add(u64::from(count));
    }

    /// What counts now.
    pub(crate) fn used(&mut self, now_ms: u64) -> u64 {
        while let Some(run) = self.runs.front().filter(|run| run.at_ms.saturating_add(self.span_ms) <= now_ms) {
            self.used = self.used.saturating_sub(u64::from(run.count));
            self.runs.pop_front();
        }
        self.used
    }

    /// When the oldest use no longer counts.
    pub(crate) fn frees_at_ms(&self) -> Option<u64> {
        self.runs.front().map(|run| run.at_ms.saturating_add(self.span_ms))
    }

    /// How long ago the uses were, in milliseconds, in at most `parts` parts; none is said to be older than it is.
    pub(crate) fn ages(&mut self, now_ms: u64, parts: u64) -> Vec<(u64, u32)> {
        self.used(now_ms);
        let part_ms = (self.span_ms / parts).max(1);
        let mut ages: Vec<(u64, u32)> = Vec::new();
        for run in self.runs.iter().rev() {
            let age_ms = now_ms.saturating_sub(run.at_ms) / part_ms * part_ms;
            match ages.last_mut() {
                Some((age, count)) if *age == age_ms => *count = count.saturating_add(run.count),
                _ => ages.push((age_ms, run.count)),
            }
        }
        ages
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::Window;

    #[test]
    fn a_use_counts_for_the_span_and_not_longer() {
        let mut window = Window::new(1_000, 1);
        window.book(10, 2);
        window.book(500, 1);
        window.book(10, 1);
        assert_eq!((window.used(10), window.used(1_009), window.frees_at_ms()), (4, 4, Some(1_010)));
        assert_eq!((window.used(1_010), window.frees_at_ms()), (1, Some(1_500)));
        assert_eq!((window.used(1_500), window.frees_at_ms()), (0, None));
    }

    #[test]
    fn ages_are_never_more_than_they_are() {
        let mut window = Window::new(1_200, 1);
        for at in [0, 90, 110, 250, 1_100] {
            window.book(at, 1);
        }
        assert_eq!(window.ages(1_150, 12), [(0, 1), (900, 1), (1_000, 2), (1_100, 1)]);
    }

    proptest! {
        /// Booked in any order: what counts is what was used within the span, a grain more at most.
        #[test]
        fn counts_what_was_used(grain in 1_u64..50, uses in proptest::collection::vec((0_u64..3_000, 1_u32..4), 0..200)) {
            let mut window = Window::new(1_000, grain);
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            for (at, count) in uses {
                window.book(at, count);
                *truth.entry(at).or_default() += u64::from(count);
            }
            for now in (3_000..4_100).step_by(37) {
                let within = |span: u64| truth.iter().filter(|(at, _)| **at + span > now).map(|(_, count)| count).sum::<u64>();
                let used = window.used(now);
                prop_assert!(used >= within(1_000) && used <= within(1_000 + grain), "{used} at {now}");
                prop_assert_eq!(window.ages(now, 12).iter().map(|(_, count)| u64::from(*count)).sum::<u64>(), used);
            }
        }
    }
}
