//! Who leads, as far as this node knows: from Raft if it takes part, from its parent if not.

use ncore_proto::hub::v1 as wire;
use tokio::sync::watch;

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
pub(crate) struct Leadership(watch::Sender<Leader>);

impl Leadership {
    pub(crate) fn current(&self) -> Leader {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Leader> {
        self.0.subscribe()
    }

    /// Waits until a node leads that is not `known`. Cancel safe.
    pub(crate) async fn another_than(&self, known: Option<u64>) {
        // The sender lives as long as `self`, so this does not end in vain.
        let _ = self.watch().wait_for(|leader| leader.node.is_some() && leader.node != known).await;
    }

    /// Takes over what was learnt, unless it is from an earlier term than what is known.
    pub(crate) fn learn(&self, learnt: Leader) {
        self.0.send_if_modified(|known| {
            let news = learnt.term >= known.term && learnt != *known;
            if news {
                *known = learnt;
            }
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Leader, Leadership};

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
}
