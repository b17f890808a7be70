//! Wall clocks: this node's, and how it stands to those of the voters.
//!
//! The leader stamps each entry with its clock, and the time of the log never goes back. A clock that is far ahead would make
//! everything that expires by the log's time expire early, for good. So a leader whose clock is more than 5 s ahead of those of a
//! majority of the voters does not stamp. Nothing is ordered by these clocks, and nothing is set by them.

use std::{
    cmp::Reverse,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_model::NodeId;

/// A wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Unix time, in milliseconds.
    fn now_ms(&self) -> u64;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
    }
}

/// By how much a clock may be ahead of a majority's: 5 s.
pub(crate) const LEAD_MAX: Duration = Duration::from_secs(5);

/// How the clock of one voter stands to those of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may stamp.
    Fit,
    /// It is ahead of a majority's by this much, which is too much.
    Ahead {
        /// In milliseconds, at least.
        lead_ms: u64,
    },
}

impl Standing {
    /// Of a voter whose clock shows `own_ms`, while those of the other voters show `others` at the latest. One that is not known may
    /// be right.
    pub(crate) fn of(own_ms: u64, others: &[Option<u64>]) -> Self {
        match lead_ms(own_ms, others) {
            lead_ms if u128::from(lead_ms) > LEAD_MAX.as_millis() => Self::Ahead { lead_ms },
            _ => Self::Fit,
        }
    }
}

/// By how many milliseconds, at least, `own_ms` is ahead of the clocks of a majority of the voters. The voter itself counts as one, and
/// it is not ahead of itself.
pub(crate) fn lead_ms(own_ms: u64, others: &[Option<u64>]) -> u64 {
    let voters = others.len() + 1;
    let majority = voters / 2 + 1;
    let mut leads: Vec<u64> = others.iter().map(|other| other.map_or(0, |other| own_ms.saturating_sub(other))).collect();
    leads.sort_unstable_by_key(|lead| Reverse(*lead));
    leads.get(majority - 1).copied().unwrap_or(0)
}

/// The other voters that may stamp in place of one whose clock shows `own_ms`: those whose clocks are known and fit, nearest to the
/// middle of all first.
pub(crate) fn heirs(own_ms: u64, others: &[(NodeId, Option<u64>)]) -> Vec<NodeId> {
    let mut known: Vec<u64> = others.iter().filter_map(|(_, clock)| *clock).chain([own_ms]).collect();
    known.sort_unstable();
    let middle = known[(known.len() - 1) / 2];
    let mut fit: Vec<(u64, NodeId)> = others
        .iter()
        .filter_map(|(node, clock)| {
            let clock = (*clock)?;
            let rest = others.iter().filter(|(other, _)| other != node).map(|(_, clock)| *clock).chain([Some(own_ms)]);
            let fits = Standing::of(clock, &rest.collect::<Vec<_>>()) == Standing::Fit;
            fits.then_some((clock.abs_diff(middle), *node))
        })
        .collect();
    fit.sort_unstable();
    fit.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::{Standing, heirs, lead_ms};
    use ncore_model::NodeId;

    const NOW: u64 = 1_700_000_000_000;

    /// Seconds after [`NOW`], or not known.
    fn clock(seconds: Option<i64>) -> Option<u64> {
        seconds.map(|seconds| NOW.checked_add_signed(seconds * 1_000).expect("in range"))
    }

    #[test]
    fn ahead_of_a_majority_is_too_far_ahead() {
        let ahead = |seconds: u64| Standing::Ahead { lead_ms: seconds * 1_000 };
        // The clocks of the other voters, and how one that shows NOW stands to them.
        let cases: &[(&[Option<i64>], Standing)] = &[
            // Alone, and two: nobody is ahead of a majority of which he is one half.
            (&[], Standing::Fit),
            (&[Some(-60)], Standing::Fit),
            // Three.
            (&[Some(0), Some(0)], Standing::Fit),
            (&[Some(-5), Some(-5)], Standing::Fit),
            (&[Some(-6), Some(-6)], ahead(6)),
            (&[Some(-60), Some(-6)], ahead(6)),
            (&[Some(-60), Some(-5)], Standing::Fit),
            (&[Some(60), Some(60)], Standing::Fit),
            (&[Some(-60), Some(60)], Standing::Fit),
            // One that is down or was not asked yet may be right.
            (&[Some(-60), None], Standing::Fit),
            (&[None, None], Standing::Fit),
            // Four, five.
            (&[Some(-60), Some(-60), None], Standing::Fit),
            (&[Some(-60), Some(-60), Some(-60)], ahead(60)),
            (&[Some(-60), Some(-60), Some(0), Some(0)], Standing::Fit),
            (&[Some(-60), Some(-7), Some(-9), None], ahead(7)),
            (&[Some(-60), Some(-60), None, None], Standing::Fit),
        ];
        for (others, expected) in cases {
            let clocks: Vec<_> = others.iter().map(|other| clock(*other)).collect();
            assert_eq!(Standing::of(NOW, &clocks), *expected, "{others:?}");
        }
    }

    #[test]
    fn five_seconds_to_the_millisecond() {
        let others = |millis| [Some(NOW - millis), Some(NOW - millis)];
        assert_eq!(Standing::of(NOW, &others(5_000)), Standing::Fit);
        assert_eq!(Standing::of(NOW, &others(5_001)), Standing::Ahead { lead_ms: 5_001 });
        assert_eq!(lead_ms(NOW, &others(4_321)), 4_321);
        assert_eq!(lead_ms(0, &[Some(NOW), Some(NOW)]), 0);
    }

    #[test]
    fn the_heir_is_a_voter_whose_clock_is_right() {
        // The clocks of voters 1, 2, …, and who may take over from one that shows NOW.
        let cases: &[(&[Option<i64>], &[u64])] = &[
            (&[Some(-60), Some(-60)], &[1, 2]),
            (&[Some(-60), Some(-59)], &[2, 1]),
            (&[Some(-60), None], &[1]),
            (&[None, None], &[]),
            // As wrong as the leader, or more so.
            (&[Some(-60), Some(-60), Some(0), Some(-61)], &[1, 2, 4]),
            (&[Some(-60), Some(-60), Some(3_600), Some(-60)], &[1, 2, 4]),
        ];
        for (others, expected) in cases {
            let others: Vec<_> = (1..).map(NodeId).zip(others.iter().map(|other| clock(*other))).collect();
            let expected: Vec<_> = expected.iter().copied().map(NodeId).collect();
            assert_eq!(heirs(NOW, &others), expected, "{others:?}");
        }
    }
}
