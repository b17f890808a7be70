//! What is to change about who votes: one step at a time, or the reason why nothing is done.
//!
//! A pure function of what the leader knows. What it answers is safe by four rules, which the tests check against every answer:
//!
//! 1. More than half of the voters that there are, and of those that there would be, answer.
//! 2. The voters that answer and are to stay do not become fewer.
//! 3. A change adds one voter, takes one away, or puts one in the place of another.
//! 4. An even number of voters is not aimed at, but for the two of a cluster of two. An operator may make one.

use std::{cmp::Reverse, collections::BTreeSet};

use ncore_model::{NodeId, NodeState};

use super::view::{Health, Part, Seen, UnderWay, View};

/// What the leader is to do about the voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The node is to vote.
    Promote(NodeId),
    /// One voter is to take the place of another.
    Replace {
        /// Who loses the vote.
        leaver: NodeId,
        /// Why.
        because: Leaving,
        /// Who gets it.
        by: NodeId,
    },
    /// The node is to vote no more.
    Demote {
        /// Which node.
        node: NodeId,
        /// Why.
        because: Leaving,
    },
    /// A change that stopped half-way is to be ended: with these voters.
    Finish(BTreeSet<NodeId>),
    /// Nothing is to be done, or may be.
    Hold(Hold),
}

/// Why a voter is to lose its vote. The order in which they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaving {
    /// It was removed from the cluster.
    Removed,
    /// An operator took its vote.
    NotMeant,
    /// It was not heard of for too long.
    Dead,
    /// It is about to be removed.
    Draining,
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// There is nothing to do.
    AsWanted,
    /// This node does not lead.
    NotLeading,
    /// An operator has switched it off.
    Off,
    /// Another change is under way.
    ChangeUnderWay,
    /// No more than half of the voters answer.
    NoQuorum,
    /// No node that is meant to vote, answers, and does not vote yet.
    NoCandidate,
    /// It would make the number of voters even.
    EvenNumber,
    /// Too few would answer afterwards.
    TooFew,
    /// The leader itself is to lose its vote, and has to hand over first.
    Leads,
    /// There are more voters than wanted, and none of them is to go.
    Surplus,
}

impl Leaving {
    /// The name in logs and status.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::NotMeant => "not meant to vote",
            Self::Dead => "dead",
            Self::Draining => "draining",
        }
    }
}

impl Hold {
    /// What `ncore cluster status` says.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AsWanted => "the voters are as wanted",
            Self::NotLeading => "this node does not lead",
            Self::Off => "switched off",
            Self::ChangeUnderWay => "waits for a change that is under way",
            Self::NoQuorum => "waits: too few voters answer",
            Self::NoCandidate => "waits for a node that may vote and answers: none does",
            Self::EvenNumber => "waits for another node that may vote: one alone would make the number of voters even",
            Self::TooFew => "waits: too few voters would answer afterwards",
            Self::Leads => "waits for the leader to hand over, which is to lose its vote",
            Self::Surplus => "more voters than wanted; demote or drain one",
        }
    }

    /// Whether something is to be done and cannot be.
    pub(crate) const fn is_waiting(self) -> bool {
        !matches!(self, Self::AsWanted | Self::NotLeading | Self::Off)
    }
}

/// What to do next.
pub(crate) fn decide(view: &View) -> Decision {
    let voters = view.voters();
    if !view.has_quorum(&voters) {
        return Decision::Hold(Hold::NoQuorum);
    }
    match &view.change {
        UnderWay::Nothing => {}
        UnderWay::Change => return Decision::Hold(Hold::ChangeUnderWay),
        UnderWay::Stalled(end) if view.has_quorum(end) => return Decision::Finish(end.clone()),
        UnderWay::Stalled(_) => return Decision::Hold(Hold::TooFew),
    }
    let leavers = leavers(view);
    match leavers.first() {
        Some((because, leaver)) if voters.len() > view.wanted => take_away(view, &voters, *because, *leaver, leavers.len()),
        Some((because, leaver)) => replace(view, &voters, *because, *leaver),
        None if voters.len() < view.wanted => add(view, &voters),
        None if voters.len() > view.wanted => Decision::Hold(Hold::Surplus),
        None => Decision::Hold(Hold::AsWanted),
    }
}

/// The voters that are to go, the leader last.
fn leavers(view: &View) -> Vec<(Leaving, NodeId)> {
    let voters = view.nodes.iter().filter(|node| node.part == Part::Voter);
    let mut leavers: Vec<_> = voters.filter_map(|node| Some((why(view, node)?, node.id))).collect();
    leavers.sort_unstable_by_key(|(because, node)| (*node == view.own, *because, *node));
    leavers
}

fn why(view: &View, node: &Seen) -> Option<Leaving> {
    match (node.state, node.health) {
        (NodeState::Removed, _) => Some(Leaving::Removed),
        _ if !node.meant => Some(Leaving::NotMeant),
        (_, Health::Silent(silent)) if silent >= view.dead_after => Some(Leaving::Dead),
        (NodeState::Draining, _) => Some(Leaving::Draining),
        (NodeState::Active, _) => None,
    }
}

/// There are enough voters without it.
fn take_away(view: &View, voters: &BTreeSet<NodeId>, because: Leaving, node: NodeId, leavers: usize) -> Decision {
    if node == view.own {
        return Decision::Hold(Hold::Leads);
    }
    let mut left = voters.clone();
    left.remove(&node);
    // An operator who took its vote knows how many are left. Of two that go, the first may leave an even number.
    let by_hand = matches!(because, Leaving::NotMeant | Leaving::Removed);
    match is_safe(view, voters, &left) {
        false => Decision::Hold(Hold::TooFew),
        true if left.len().is_multiple_of(2) && !by_hand && leavers < 2 => Decision::Hold(Hold::EvenNumber),
        true => Decision::Demote { node, because },
    }
}

/// Another is to vote in its place.
fn replace(view: &View, voters: &BTreeSet<NodeId>, because: Leaving, leaver: NodeId) -> Decision {
    if leaver == view.own {
        return Decision::Hold(Hold::Leads);
    }
    let mut left = voters.clone();
    left.remove(&leaver);
    let Some(by) = candidates(view, &left).first().copied() else {
        return match because {
            // Whoever took its vote did not ask for another in its place.
            Leaving::NotMeant | Leaving::Removed => take_away(view, voters, because, leaver, 1),
            Leaving::Dead | Leaving::Draining => Decision::Hold(Hold::NoCandidate),
        };
    };
    left.insert(by);
    match is_safe(view, voters, &left) {
        true => Decision::Replace { leaver, because, by },
        false => Decision::Hold(Hold::TooFew),
    }
}

/// There are too few voters.
fn add(view: &View, voters: &BTreeSet<NodeId>) -> Decision {
    let candidates = candidates(view, voters);
    let Some(node) = candidates.first().copied() else {
        return Decision::Hold(Hold::NoCandidate);
    };
    let mut more = voters.clone();
    more.insert(node);
    // One alone stays alone only until there is a second: with two, each write is on two disks.
    let even = more.len().is_multiple_of(2) && voters.len() > 1 && candidates.len() < 2;
    match is_safe(view, voters, &more) {
        false => Decision::Hold(Hold::TooFew),
        true if even => Decision::Hold(Hold::EvenNumber),
        true => Decision::Promote(node),
    }
}

/// The nodes that may get a vote beside `voters`, the best first: from a region with few voters, no relay, and already on its way.
fn candidates(view: &View, voters: &BTreeSet<NodeId>) -> Vec<NodeId> {
    let in_region = |region: &str| voters.iter().filter_map(|voter| view.node(*voter)).filter(|node| node.region == region).count();
    let may = |node: &&Seen| node.part != Part::Voter && node.is_to_stay() && node.health == Health::Healthy;
    let mut candidates: Vec<&Seen> = view.nodes.iter().filter(may).collect();
    candidates.sort_by_key(|node| (in_region(&node.region), node.relay, Reverse((node.caught_up, node.part == Part::Learner)), node.id));
    candidates.into_iter().map(|node| node.id).collect()
}

/// Whether the voters may change like this.
pub(crate) fn is_safe(view: &View, old: &BTreeSet<NodeId>, new: &BTreeSet<NodeId>) -> bool {
    view.has_quorum(old) && view.has_quorum(new) && view.sound(new) >= view.sound(old)
}

#[cfg(test)]
mod tests;
