//! What the leader knows of the nodes, as far as it matters to who shall vote.

use std::{collections::BTreeSet, time::Duration};

use ncore_model::{NodeId, NodeState};

/// The cluster, as its leader sees it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The leader itself.
    pub(crate) own: NodeId,
    /// How many voters there are to be.
    pub(crate) wanted: usize,
    /// How long a voter may be silent before it counts as dead.
    pub(crate) dead_after: Duration,
    /// Whether a change of the membership is under way.
    pub(crate) change: UnderWay,
    /// Every node that has a part in Raft, or may get one; each once.
    pub(crate) nodes: Vec<Seen>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which node.
    pub(crate) id: NodeId,
    /// Where it stands.
    pub(crate) region: String,
    /// Whether it takes part in the cluster.
    pub(crate) state: NodeState,
    /// Whether it is meant to vote: an operator said so, and nobody took it back.
    pub(crate) meant: bool,
    /// Whether other nodes follow it.
    pub(crate) relay: bool,
    /// Its part in Raft.
    pub(crate) part: Part,
    /// Whether it answers.
    pub(crate) health: Health,
    /// Whether it has nearly all of the log.
    pub(crate) caught_up: bool,
}

/// The part that a node has in Raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It votes.
    Voter,
    /// It gets the log from the leader.
    Learner,
    /// None.
    Outside,
}

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It does.
    Healthy,
    /// It has not for this long.
    Silent(Duration),
}

/// A change of the membership that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnderWay {
    /// There is none.
    Nothing,
    /// Somebody is at it.
    Change,
    /// It stopped half-way, because the leader that made it failed. These voters it was to end with.
    Stalled(BTreeSet<NodeId>),
}

impl View {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Seen> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Who votes now; those of both sets while a change is under way.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.nodes.iter().filter(|node| node.part == Part::Voter).map(|node| node.id).collect()
    }

    /// Whether more than half of these answer.
    pub(crate) fn has_quorum(&self, voters: &BTreeSet<NodeId>) -> bool {
        self.count(voters, |node| node.health == Health::Healthy) > voters.len() / 2
    }

    /// How many of these answer and are to stay.
    pub(crate) fn sound(&self, voters: &BTreeSet<NodeId>) -> usize {
        self.count(voters, |node| node.health == Health::Healthy && node.is_to_stay())
    }

    fn count(&self, voters: &BTreeSet<NodeId>, is: impl Fn(&Seen) -> bool) -> usize {
        voters.iter().filter(|voter| self.node(**voter).is_some_and(&is)).count()
    }
}

impl Seen {
    /// Whether nobody has said that it shall not vote.
    pub(crate) fn is_to_stay(&self) -> bool {
        self.meant && self.state == NodeState::Active
    }
}
