//! Whom to follow: a pure choice, the same at every start as long as the cluster is the same.
//!
//! ```text
//!   an edge:  relays of its region  →  voters of its region  →  voters elsewhere
//!   a relay:                           voters of its region  →  voters elsewhere
//! ```
//!
//! Within each group the order is that of a rendezvous hash of child and hub, so children spread over the hubs, and a hub that comes
//! or goes moves only those that are its own. Relays follow voters only, so no node is more than two hops from the log and no
//! circle can form: 3 voters with 64 children each, all of them relays with 64 children each, feed 12,288 edges.

use std::collections::BTreeSet;

use ncore_model::{Node, NodeId, NodeState, weight};

/// A hub that a node may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Which node.
    pub(crate) node: NodeId,
    /// `host:port`, as last known.
    pub(crate) address: String,
    /// Whether it votes, and so has the log.
    pub(crate) voter: bool,
}

/// The child that chooses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chooser<'a> {
    pub(crate) node: NodeId,
    pub(crate) region: &'a str,
    /// Whether it passes the log on.
    pub(crate) relay: bool,
}

/// The hubs that the chooser may follow, the best first. Draining ones come last of all.
pub(crate) fn candidates(chooser: Chooser<'_>, members: &[Node], voters: &BTreeSet<u64>, relays: &[NodeId]) -> Vec<Candidate> {
    let rank = |node: &Node| {
        let near = node.region == chooser.region;
        let group = match (voters.contains(&node.id.0), relays.contains(&node.id)) {
            (false, true) if near && !chooser.relay => 0,
            (true, _) if near => 1,
            (true, _) => 2,
            _ => return None,
        };
        Some((node.state == NodeState::Draining, group, std::cmp::Reverse(weight(chooser.node, node.id))))
    };
    let others = members.iter().filter(|node| node.id != chooser.node && node.state != NodeState::Removed);
    let mut ranked: Vec<_> = others.filter_map(|node| rank(node).map(|rank| (rank, node))).collect();
    ranked.sort_by_key(|(rank, node)| (*rank, node.id));
    let candidate = |node: &Node| Candidate { node: node.id, address: node.cluster_address.clone(), voter: voters.contains(&node.id.0) };
    ranked.into_iter().map(|(_, node)| candidate(node)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ncore_model::{Node, NodeId, NodeState, SchemaRange};

    use super::{Chooser, candidates};

    fn node(id: u64, region: &str) -> Node {
        Node {
            id: NodeId(id),
            name: format!("n{id}"),
            region: region.to_owned(),
            cluster_address: format!("10.0.0.{id}:7400"),
            http_address: String::new(),
            voter: false,
            state: NodeState::Active,
            schema: SchemaRange::BUILD,
            software: String::new(),
            incarnation: 0,
            added_at_ms: 0,
        }
    }

    fn ids(chooser: Chooser<'_>, members: &[Node], voters: &[u64], relays: &[u64]) -> Vec<u64> {
        let relays: Vec<NodeId> = relays.iter().copied().map(NodeId).collect();
        candidates(chooser, members, &voters.iter().copied().collect(), &relays).iter().map(|hub| hub.node.0).collect()
    }

    #[test]
    fn near_relays_first_then_near_voters_then_the_others() {
        let members = [node(1, "eu"), node(2, "us"), node(3, "ap"), node(4, "eu"), node(5, "us"), node(6, "eu")];
        let edge = Chooser { node: NodeId(6), region: "eu", relay: false };
        let order = ids(edge, &members, &[1, 2, 3], &[4, 5]);
        assert_eq!(order[..2], [4, 1], "{order:?}");
        assert_eq!(order[2..].iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([2, 3]), "relays elsewhere are none of ours");
    }

    #[test]
    fn a_relay_follows_voters_only_and_nobody_follows_itself() {
        let members = [node(1, "eu"), node(4, "eu"), node(5, "eu")];
        assert_eq!(ids(Chooser { node: NodeId(4), region: "eu", relay: true }, &members, &[1], &[4, 5]), [1]);
        assert!(ids(Chooser { node: NodeId(1), region: "eu", relay: false }, &members, &[1], &[]).is_empty());
    }

    #[test]
    fn those_that_leave_come_last_and_those_that_left_not_at_all() {
        let mut members = [node(1, "eu"), node(2, "us"), node(3, "ap")];
        members[0].state = NodeState::Draining;
        members[1].state = NodeState::Removed;
        assert_eq!(ids(Chooser { node: NodeId(9), region: "eu", relay: false }, &members, &[1, 2, 3], &[]), [3, 1]);
    }

    #[test]
    fn children_spread_and_stay() {
        let members: Vec<Node> = (1..=4).map(|id| node(id, "eu")).collect();
        let parent =
            |child: u64, voters: &[u64]| ids(Chooser { node: NodeId(child), region: "eu", relay: false }, &members, voters, &[])[0];
        let mut children: BTreeMap<u64, u32> = BTreeMap::new();
        for child in 100..500 {
            *children.entry(parent(child, &[1, 2, 3, 4])).or_default() += 1;
        }
        assert!(children.len() == 4 && children.values().all(|count| (60..140).contains(count)), "{children:?}");
        for child in 100..500 {
            let before = parent(child, &[1, 2, 3, 4]);
            assert!(before == 4 || parent(child, &[1, 2, 3]) == before, "{child} moved without need");
        }
    }
}
