//! Which nodes a policy names, for any nodes, any policy and any content.

use std::collections::{BTreeMap, BTreeSet};

use ncore_model::{BlobHash, Node, NodeId, NodeState, PlacementFit, PlacementPolicy, SchemaRange};
use proptest::prelude::*;

const REGIONS: [&str; 5] = ["eu", "us", "asia", "africa", "nowhere"];

fn node(id: u64, region: usize, state: NodeState) -> Node {
    Node {
        id: NodeId(id),
        name: format!("node-{id}"),
        region: REGIONS[region].into(),
        cluster_address: String::new(),
        http_address: String::new(),
        voter: true,
        state,
        schema: SchemaRange::BUILD,
        software: String::new(),
        incarnation: 1,
        added_at_ms: 0,
    }
}

fn states() -> impl Strategy<Value = NodeState> {
    prop_oneof![6 => Just(NodeState::Active), 1 => Just(NodeState::Draining), 1 => Just(NodeState::Removed)]
}

/// Up to twelve nodes, of four regions, with ids that have gaps.
fn nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::btree_map(0u64..1_000, (0usize..4, states()), 1..12)
        .prop_map(|nodes| nodes.into_iter().map(|(id, (region, state))| node(id, region, state)).collect())
}

fn policies() -> impl Strategy<Value = PlacementPolicy> {
    (prop::collection::btree_set(0usize..5, 0..4), prop::option::of(0u32..6)).prop_map(|(regions, copies)| PlacementPolicy {
        regions: regions.into_iter().map(|region| REGIONS[region].to_owned()).collect(),
        copies,
    })
}

fn blobs() -> impl Strategy<Value = BlobHash> {
    any::<[u8; 32]>().prop_map(BlobHash)
}

fn placed(policy: &PlacementPolicy, blob: BlobHash, nodes: &[Node]) -> BTreeSet<NodeId> {
    policy.place(blob, nodes).0.into_iter().collect()
}

proptest! {
    /// As many nodes as the policy asks for, of its regions, that take part; and where that cannot be, as many as can, and it says so.
    #[test]
    fn a_policy_is_met_as_far_as_can_be(nodes in nodes(), policy in policies(), blob in blobs()) {
        let members: Vec<&Node> = nodes.iter().filter(|node| node.state != NodeState::Removed).collect();
        let allowed: Vec<&&Node> =
            members.iter().filter(|node| policy.regions.is_empty() || policy.regions.contains(&node.region)).collect();
        let (found, fit) = policy.place(blob, &nodes);
        let chosen: BTreeSet<NodeId> = found.iter().copied().collect();
        prop_assert_eq!(chosen.len(), found.len(), "a node is named twice");
        prop_assert!(found.iter().all(|id| members.iter().any(|node| node.id == *id)));
        let pool = if allowed.is_empty() { members.iter().collect() } else { allowed.clone() };
        let active = pool.iter().filter(|node| node.state == NodeState::Active).count();
        let wanted = match policy.copies {
            Some(copies) => (copies.max(1) as usize).min(pool.len()),
            None if active > 0 => active,
            None => pool.len(),
        };
        prop_assert_eq!(found.len(), wanted);
        prop_assert!(found.iter().all(|id| pool.iter().any(|node| node.id == *id)));
        let draining = pool.iter().filter(|node| node.state == NodeState::Draining && chosen.contains(&node.id)).count();
        prop_assert!(draining == 0 || active == found.len() - draining, "a node is drained and gets what another could hold");
        let expected = if allowed.is_empty() && !members.is_empty() {
            PlacementFit::NoNodeInRegions
        } else if members.is_empty() || policy.copies.is_some_and(|copies| copies as usize > pool.len()) {
            if allowed.is_empty() { PlacementFit::NoNodeInRegions } else { PlacementFit::TooFewNodes }
        } else {
            PlacementFit::Met
        };
        prop_assert_eq!(fit, expected);
    }

    /// No region has two more than another that could have taken one.
    #[test]
    fn copies_are_spread_over_regions(nodes in nodes(), copies in 1u32..8, blob in blobs()) {
        let active: Vec<Node> = nodes.into_iter().filter(|node| node.state == NodeState::Active).collect();
        let chosen = placed(&PlacementPolicy { regions: Vec::new(), copies: Some(copies) }, blob, &active);
        let mut regions: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for node in &active {
            let (taken, left) = regions.entry(&node.region).or_default();
            *(if chosen.contains(&node.id) { taken } else { left }) += 1;
        }
        for (taken, _) in regions.values() {
            for (other, left) in regions.values() {
                prop_assert!(*left == 0 || *other + 1 >= *taken, "{regions:?}");
            }
        }
    }

    /// A node that comes takes at most one copy, from one node, and nothing else moves; a node that goes gives it back.
    #[test]
    fn one_node_more_moves_at_most_one_copy(nodes in nodes(), policy in policies(), blob in blobs(), region in 0usize..4) {
        let active: Vec<Node> = nodes.into_iter().filter(|node| node.state == NodeState::Active).collect();
        prop_assume!(active.iter().any(|node| policy.regions.is_empty() || policy.regions.contains(&node.region)));
        let mut more = active.clone();
        more.push(node(5_000, region, NodeState::Active));
        let (before, after) = (placed(&policy, blob, &active), placed(&policy, blob, &more));
        prop_assert!(after.difference(&before).all(|id| *id == NodeId(5_000)));
        prop_assert!(before.difference(&after).count() <= 1);
        prop_assert!(after.contains(&NodeId(5_000)) || before == after);
    }

    /// The order in which the nodes are listed does not matter.
    #[test]
    fn every_node_finds_the_same(nodes in nodes(), policy in policies(), blob in blobs()) {
        let mut reversed = nodes.clone();
        reversed.reverse();
        prop_assert_eq!(policy.place(blob, &nodes), policy.place(blob, &reversed));
    }
}

/// Each node gets its share, and a node more takes about one part in n of the copies.
#[test]
fn shares_are_even() {
    let policy = PlacementPolicy { regions: Vec::new(), copies: Some(2) };
    let nodes: Vec<Node> = (1..=9).map(|id| node(id, usize::try_from(id % 3).expect("small"), NodeState::Active)).collect();
    let mut more = nodes.clone();
    more.push(node(100, 0, NodeState::Active));
    let mut shares: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut moved = 0;
    for number in 0u64..9_000 {
        let blob = BlobHash(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let before = placed(&policy, blob, &nodes);
        moved += placed(&policy, blob, &more).difference(&before).count();
        for id in before {
            *shares.entry(id).or_default() += 1;
        }
    }
    // 18,000 copies on nine nodes: 2,000 each; and the tenth, one of four in its region, gets about a fourth of 6,000 or less.
    assert!(shares.len() == 9 && shares.values().all(|share| (1_700..2_300).contains(share)), "{shares:?}");
    assert!((1_200..2_000).contains(&moved), "{moved}");
}
