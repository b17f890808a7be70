//! Who leads, as far as this node knows: from Raft if it takes part, from its parent if not.

use std::time::Duration;

use ncore_proto::hub::v1 as wire;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// A leader, or the lack of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leader {
    /// Which node; `None` if nobody is known to lead.
    pub(crate) node: Option<u64>,
    /// The term in which that was learnt.
    pub(crate) term: u64,
}

impl From<&wire::Leader> for Leader {
    fn from(told: &wire::Leader) -> Self {
        Self { node: Some(told.node_id).filter(|node| *node != 0), term: told.term }
    }
}

/// The present [`Leader`], for everybody on this node and for its children.
#[derive(Debug, Default)]
pub(crate) struct Leadership {
    leader: watch::Sender<Leader>,
    learnt: Mutex<Option<Instant>>,
}

impl Leadership {
    pub(crate) fn current(&self) -> Leader {
        *self.leader.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Leader> {
        self.leader.subscribe()
    }

    /// For how long this leader has been known; zero while none is.
    pub(crate) fn known_for(&self) -> Duration {
        let learnt = self.learnt.lock().filter(|_| self.current().node.is_some());
        learnt.map_or(Duration::ZERO, |learnt| learnt.elapsed())
    }

    /// Waits until a node leads that is not `known`. Cancel safe.
    pub(crate) async fn another_than(&self, known: Option<u64>) {
        // The sender lives as long as `self`, so this does not end in vain.
        let _ = self.watch().wait_for(|leader| leader.node.is_some() && leader.node != known).await;
    }

    /// Takes over what was learnt, unless it is from an earlier term than what is known.
    pub(crate) fn learn(&self, learnt: Leader) {
        self.leader.send_if_modified(|known| {
            let news = learnt.term >= known.term && learnt != *known;
            if news {
                *self.learnt.lock() = Some(Instant::now());
                *known = learnt;
            }
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Leader, Leadership};

    #[test]
    fn an_earlier_term_teaches_nothing() {
        let leadership = Leadership::default();
        let (third, none) = (Leader { node: Some(3), term: 7 }, Leader { node: None, term: 7 });
        leadership.learn(third);
        leadership.learn(Leader { node: Some(1), term: 6 });
        assert_eq!(leadership.current(), third);
        leadership.learn(none);
        assert_eq!(leadership.current(), none);
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_a_leader_is_known_begins_with_each() {
        let (leadership, second) = (Leadership::default(), Duration::from_secs(1));
        assert_eq!(leadership.known_for(), Duration::ZERO);
        for term in 1..3 {
            leadership.learn(Leader { node: Some(term), term });
            assert_eq!(leadership.known_for(), Duration::ZERO);
            tokio::time::advance(second).await;
            leadership.learn(Leader { node: Some(term), term });
            assert_eq!(leadership.known_for(), second, "it is the same");
        }
        leadership.learn(Leader { node: None, term: 3 });
        tokio::time::advance(second).await;
        assert_eq!(leadership.known_for(), Duration::ZERO);
    }
}
