//! Which voter should lead: the one whose changes are committed soonest.
//!
//! A leader commits when a majority has the entry, so what counts is its round trip to the nearest voters that make one with it. Every
//! voter measures its round trips to the others; the leader compares. It hands over only for a clear gain that has lasted, and counting
//! begins anew with each leader, so leadership does not wander.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use ncore_model::NodeId;

/// The gain that is worth an election: a fifth,
const GAIN_DIVISOR: u32 = 5;
/// and at least this.
const GAIN_MIN: Duration = Duration::from_millis(5);

/// The round trips that one voter measured.
pub(crate) type RoundTrips = BTreeMap<NodeId, Duration>;

/// Another voter, as the leader weighs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contender {
    /// Which node.
    pub(crate) node: NodeId,
    /// What it measured.
    pub(crate) round_trips: RoundTrips,
    /// Whether it may lead: it answers, has the log, is to stay, and its clock is right.
    pub(crate) fit: bool,
}

/// A voter that would lead better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Better {
    /// Which node.
    pub(crate) node: NodeId,
    /// How soon the present leader has a majority.
    pub(crate) now: Duration,
    /// How soon it would.
    pub(crate) then: Duration,
}

/// How soon `voter` hears from enough of the others for a majority; `None` if too few were measured.
pub(crate) fn to_majority(voter: NodeId, voters: &BTreeSet<NodeId>, round_trips: &RoundTrips) -> Option<Duration> {
    let mut others: Vec<_> = voters.iter().filter(|other| **other != voter).filter_map(|other| round_trips.get(other)).collect();
    others.sort_unstable();
    match voters.len() / 2 {
        0 => Some(Duration::ZERO),
        needed => others.get(needed - 1).map(|round_trip| **round_trip),
    }
}

/// The contender that is clearly better than the leader, if there is one.
pub(crate) fn better(own: NodeId, round_trips: &RoundTrips, contenders: &[Contender]) -> Option<Better> {
    let voters: BTreeSet<NodeId> = contenders.iter().map(|contender| contender.node).chain([own]).collect();
    let now = to_majority(own, &voters, round_trips)?;
    let fit = contenders.iter().filter(|contender| contender.fit);
    let (then, node) = fit.filter_map(|one| Some((to_majority(one.node, &voters, &one.round_trips)?, one.node))).min()?;
    let gain = now.checked_sub(then)?;
    (gain >= GAIN_MIN && gain >= now / GAIN_DIVISOR).then_some(Better { node, now, then })
}

/// For how long the same voter has been better.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience {
    since: Option<(NodeId, Instant)>,
}

impl Patience {
    /// Notes who is better at `now`. True once it has been the same one for `settle`.
    pub(crate) fn is_over(&mut self, better: Option<NodeId>, now: Instant, settle: Duration) -> bool {
        match (better, self.since) {
            (Some(node), Some((known, since))) if node == known => now.saturating_duration_since(since) >= settle,
            (better, _) => {
                self.since = better.map(|node| (node, now));
                false
            }
        }
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ncore_model::NodeId;
    use proptest::prelude::{prop_assert, proptest};

    use super::{Better, Contender, Patience, RoundTrips, better, to_majority};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn round_trips(millis: &[(u64, u64)]) -> RoundTrips {
        millis.iter().map(|(node, millis)| (NodeId(*node), ms(*millis))).collect()
    }

    fn contender(node: u64, millis: &[(u64, u64)]) -> Contender {
        Contender { node: NodeId(node), round_trips: round_trips(millis), fit: true }
    }

    /// Who should lead in place of node 1.
    fn instead(own: &[(u64, u64)], contenders: &[Contender]) -> Option<u64> {
        better(NodeId(1), &round_trips(own), contenders).map(|better| better.node.0)
    }

    #[test]
    fn a_majority_is_what_counts() {
        let voters = |count: u64| (1..=count).map(NodeId).collect();
        let all = round_trips(&[(2, 10), (3, 80), (4, 20), (5, 90)]);
        for (count, expected) in [(1, Some(0)), (2, Some(10)), (3, Some(10)), (4, Some(20)), (5, Some(20))] {
            assert_eq!(to_majority(NodeId(1), &voters(count), &all), expected.map(ms), "{count}");
        }
        assert_eq!(to_majority(NodeId(1), &voters(5), &round_trips(&[(2, 10)])), None, "not enough is known");
    }

    #[test]
    fn a_clear_gain_is_taken_and_no_other() {
        let far = [contender(2, &[(1, 80), (3, 20)]), contender(3, &[(1, 90), (2, 20)])];
        let found = better(NodeId(1), &round_trips(&[(2, 80), (3, 90)]), &far);
        assert_eq!(found, Some(Better { node: NodeId(2), now: ms(80), then: ms(20) }));
        let two = |millis| [contender(2, &[(1, millis), (3, millis)]), contender(3, &[(1, 200), (2, 200)])];
        // A fifth, and five milliseconds.
        for (own, other, expected) in [(100, 80, Some(2)), (100, 81, None), (10, 5, Some(2)), (10, 6, None), (80, 80, None), (50, 90, None)]
        {
            assert_eq!(instead(&[(2, own), (3, own)], &two(other)), expected, "{own} and {other}");
        }
    }

    #[test]
    fn nobody_unfit_and_nothing_unknown() {
        let mut others = [contender(2, &[(1, 80), (3, 10)]), contender(3, &[(1, 90), (2, 10)])];
        others[0].fit = false;
        assert_eq!(instead(&[(2, 80), (3, 90)], &others), Some(3));
        others[1].fit = false;
        assert_eq!(instead(&[(2, 80), (3, 90)], &others), None);
        let silent = [contender(2, &[]), contender(3, &[])];
        assert_eq!(instead(&[(2, 80), (3, 90)], &silent), None);
        assert_eq!(instead(&[], &[contender(2, &[(1, 80), (3, 10)]), contender(3, &[(2, 10)])]), None);
        assert_eq!(instead(&[], &[]), None, "alone");
    }

    #[test]
    fn it_has_to_last() {
        let (start, settle, two) = (Instant::now(), Duration::from_secs(60), Some(NodeId(2)));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::default();
        assert!(!patience.is_over(two, at(0), settle) && !patience.is_over(two, at(59), settle));
        assert!(patience.is_over(two, at(60), settle));
        assert!(!patience.is_over(Some(NodeId(3)), at(61), settle), "another");
        assert!(!patience.is_over(None, at(130), settle) && !patience.is_over(two, at(131), settle), "not all the time");
        patience.reset();
        assert!(!patience.is_over(two, at(300), settle));
    }

    proptest! {
        /// Whoever leadership goes to does not give it back: with the same measurements, nobody is clearly better than the best.
        #[test]
        fn leadership_does_not_wander(table in proptest::collection::vec(proptest::collection::vec(1..300_u64, 5), 5)) {
            let trips = |from: usize| (0..5).filter(|to| *to != from).map(|to| (NodeId(to as u64), ms(table[from][to]))).collect::<RoundTrips>();
            let look = |own: usize| {
                let others = (0..5).filter(|node| *node != own);
                let others: Vec<_> = others.map(|node| Contender { node: NodeId(node as u64), round_trips: trips(node), fit: true }).collect();
                better(NodeId(own as u64), &trips(own), &others)
            };
            if let Some(found) = look(0) {
                prop_assert!(found.then < found.now);
                let next = usize::try_from(found.node.0).expect("one of five");
                prop_assert!(look(next).is_none(), "{:?} after {:?}", look(next), found);
            }
        }
    }
}
