//! Whom to ask for a sign of life: a few, so that the questions of all nodes together grow with the cluster and not with its square.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use ncore_model::NodeId;

/// The nearest are asked each time, because content is fetched from them.
const NEAREST: usize = 2;
/// Of all others so many are asked each time, in turn. Whom a node asks in turn asks as many in turn itself, so each is asked by this
/// many on average.
const IN_TURN: usize = 4;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Survey {
    turn: AtomicUsize,
}

impl Survey {
    /// Whom to ask now: of `others`, the nearest first, those that are in `close`, the nearest, and some in turn.
    pub(super) fn next(&self, others: &[NodeId], close: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let mut asked: BTreeSet<NodeId> = others.iter().copied().filter(|node| close.contains(node)).collect();
        asked.extend(others.iter().take(NEAREST));
        // In the order of their ids, which does not change with what is measured.
        let rest: BTreeSet<NodeId> = others.iter().copied().filter(|node| !asked.contains(node)).collect();
        let count = rest.len().min(IN_TURN);
        let first = self.turn.fetch_add(count, Ordering::Relaxed);
        asked.extend(rest.iter().cycle().skip(first.checked_rem(rest.len()).unwrap_or(0)).take(count));
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::{IN_TURN, NEAREST, NodeId, Survey};
    use std::collections::BTreeSet;

    fn nodes(ids: impl IntoIterator<Item = u64>) -> Vec<NodeId> {
        ids.into_iter().map(NodeId).collect()
    }

    #[test]
    fn of_few_all_are_asked_each_time() {
        let (survey, others) = (Survey::default(), nodes(1..=6));
        for _ in 0..3 {
            assert_eq!(survey.next(&others, &BTreeSet::new()).len(), 6);
        }
        assert_eq!(survey.next(&[], &BTreeSet::from([NodeId(7)])), BTreeSet::new());
    }

    #[test]
    fn of_many_the_close_and_the_near_each_time_and_everybody_in_turn() {
        let (survey, others, close) = (Survey::default(), nodes((1..=1_000).rev()), BTreeSet::from([NodeId(3), NodeId(2)]));
        let mut seen = BTreeSet::new();
        for _ in 0..1_000_usize.div_ceil(IN_TURN) {
            let asked = survey.next(&others, &close);
            assert!(close.is_subset(&asked) && nodes(999..=1_000).iter().all(|near| asked.contains(near)));
            assert_eq!(asked.len(), close.len() + NEAREST + IN_TURN);
            seen.extend(asked);
        }
        assert_eq!(seen.len(), 1_000, "nobody is left out");
    }
}
