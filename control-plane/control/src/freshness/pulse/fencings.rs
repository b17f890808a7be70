//! How often freshness ended.
//!
//! A process starts fenced, which is not an end: what counts is a view that was fresh and is not any more.

use ncore_freshness::FreshState;

/// Counts from fresh to fenced.
#[derive(Debug, Default)]
pub(super) struct Fencings {
    fresh: bool,
    count: u64,
}

impl Fencings {
    /// Notes the state. To be called whenever it may have changed, before and after.
    pub(super) fn note(&mut self, state: &FreshState) {
        let fresh = matches!(state, FreshState::Fresh { .. });
        if self.fresh && !fresh {
            self.count += 1;
        }
        self.fresh = fresh;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::Fencings;
    use ncore_freshness::{Boottime, Follower, Settings};
    use ncore_model::Revision;
    use std::time::Duration;

    #[test]
    fn a_start_does_not_count_and_every_end_does() {
        let revision = Revision { lineage: 1, index: 7 };
        let (settings, start) = (Settings::default(), Boottime::from_nanos(1));
        let at = |passed: Duration| start.after(passed);
        let mut follower = Follower::new(settings, revision, start);
        let mut fencings = Fencings::default();
        fencings.note(&follower.state(start));
        for round in 0..3_u32 {
            let now = at(settings.bound * 2 * round);
            let seq = follower.ping(now);
            follower.pong(seq, revision, now);
            fencings.note(&follower.state(now));
            assert_eq!(fencings.count(), u64::from(round));
            for _ in 0..2 {
                fencings.note(&follower.state(now.after(settings.bound)));
                assert_eq!(fencings.count(), u64::from(round) + 1);
            }
        }
    }
}
