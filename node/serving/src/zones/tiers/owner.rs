//! Which nodes are asked for a key: pure, and the same at every node that knows the same nodes.
//!
//! The rank of a node for a key is a hash of both (rendezvous hashing), so that of all keys only those of a node that goes get another owner.
//! A node takes itself for one that answers whatever else it believes. So who is asked always ranks above who asks, and requests that wait for
//! each other cannot form a ring.

use ncore_model::NodeId;
use ncore_store::cached::EntryKey;

use super::{Tier, TierNode};

/// On whose behalf a node looks for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedAs {
    /// A viewer's.
    Node,
    /// That of a node of its region.
    Region,
    /// That of any node.
    Shield,
}

/// A node to ask, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) node: u64,
    pub(crate) tier: Tier,
}

/// The nodes that `own` asks for a key, in order: the next one if the one before is passed by. At most one of each tier.
pub(crate) fn hops(key: &EntryKey, nodes: &[TierNode], own: &TierNode, asked_as: AskedAs, answers: impl Fn(u64) -> bool) -> Vec<Hop> {
    let others = || nodes.iter().filter(|node| node.id != own.id && answers(node.id));
    let in_region = first(key, own.id, others().filter(|node| node.region == own.region));
    let shield = first(key, own.id, others());
    let mut hops = Vec::with_capacity(2);
    if asked_as == AskedAs::Node && in_region != own.id {
        hops.push(Hop { node: in_region, tier: Tier::Region });
    }
    if asked_as != AskedAs::Shield && shield != own.id && shield != in_region {
        hops.push(Hop { node: shield, tier: Tier::Shield });
    }
    hops
}

/// The owner of a key in the region of `own`, and the shield.
pub(crate) fn owners(key: &EntryKey, nodes: &[TierNode], own: &TierNode) -> [u64; 2] {
    [first(key, own.id, nodes.iter().filter(|node| node.region == own.region)), first(key, own.id, nodes.iter())]
}

fn first<'a>(key: &EntryKey, own: u64, others: impl Iterator<Item = &'a TierNode>) -> u64 {
    others.map(|node| node.id).chain([own]).max_by_key(|node| rank(key, *node)).unwrap_or(own)
}

/// The rank of a node for a key. No two nodes have the same.
fn rank(key: &EntryKey, node: u64) -> (u64, NodeId) {
    ncore_model::rank(key.as_bytes(), NodeId(node))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ncore_store::cached::EntryKey;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{AskedAs, Hop, hops, owners, rank};
    use crate::zones::tiers::{Tier, TierNode};

    fn node(id: u64, region: &str) -> TierNode {
        TierNode { id, region: region.into() }
    }

    fn key(number: u32) -> EntryKey {
        EntryKey::of(&[&number.to_le_bytes()])
    }

    /// A key that these nodes rank for in this order, the first of them highest.
    fn key_for(order: &[u64]) -> EntryKey {
        let fits = |key: &EntryKey| order.is_sorted_by(|a, b| rank(key, *a) > rank(key, *b));
        (0..).map(key).find(fits).expect("a key")
    }

    #[test]
    fn who_is_asked() {
        let nodes = [node(1, "eu"), node(2, "eu"), node(3, "us"), node(4, "us")];
        let key = key_for(&[3, 1, 4, 2]);
        let (region, shield) = (|node| Hop { node, tier: Tier::Region }, |node| Hop { node, tier: Tier::Shield });
        let cases: [(usize, AskedAs, &[u64], Vec<Hop>); 10] = [
            (1, AskedAs::Node, &[], vec![region(1), shield(3)]),
            (0, AskedAs::Node, &[], vec![shield(3)]),
            (0, AskedAs::Region, &[], vec![shield(3)]),
            (0, AskedAs::Shield, &[], vec![]),
            (2, AskedAs::Node, &[], vec![]),
            (3, AskedAs::Node, &[], vec![region(3)]),
            (1, AskedAs::Node, &[1], vec![shield(3)]),
            (1, AskedAs::Node, &[3], vec![region(1)]),
            (3, AskedAs::Node, &[3], vec![shield(1)]),
            (1, AskedAs::Node, &[1, 3], vec![shield(4)]),
        ];
        for (own, asked_as, silent, expected) in cases {
            let found = hops(&key, &nodes, &nodes[own], asked_as, |node| !silent.contains(&node));
            assert_eq!(found, expected, "{own} {asked_as:?} {silent:?}");
        }
        assert_eq!(hops(&key, &[], &nodes[0], AskedAs::Node, |_| true), [], "nothing is known of the cluster yet");
    }

    #[test]
    fn keys_are_spread() {
        let nodes: Vec<TierNode> = [1, 7, 19, 40, 41].map(|id| node(id, "eu")).to_vec();
        let mut owned: BTreeMap<u64, u32> = BTreeMap::new();
        for number in 0..5_000 {
            *owned.entry(owners(&key(number), &nodes, &nodes[0])[0]).or_default() += 1;
        }
        assert!(owned.len() == 5 && owned.values().all(|count| (850..1_150).contains(count)), "{owned:?}");
    }

    fn clusters() -> impl Strategy<Value = Vec<TierNode>> {
        prop::collection::btree_map(1_u64..200, 0_usize..3, 1..12).prop_map(|nodes| {
            let node = |(id, region)| node(id, ["eu", "us", "ap"][region]);
            nodes.into_iter().map(node).collect()
        })
    }

    proptest! {
        #[test]
        fn every_node_of_a_region_finds_the_same(nodes in clusters(), number in any::<u32>()) {
            let key = key(number);
            for one in &nodes {
                for other in nodes.iter().filter(|other| other.region == one.region) {
                    prop_assert_eq!(owners(&key, &nodes, one), owners(&key, &nodes, other));
                }
                prop_assert_eq!(owners(&key, &nodes, one)[1], owners(&key, &nodes, &nodes[0])[1]);
            }
        }

        #[test]
        fn only_the_keys_of_a_node_that_goes_move(nodes in clusters(), number in any::<u32>(), gone in any::<prop::sample::Index>()) {
            let (key, gone) = (key(number), gone.get(&nodes).id);
            for own in nodes.iter().filter(|node| node.id != gone) {
                let left: Vec<TierNode> = nodes.iter().filter(|node| node.id != gone).cloned().collect();
                let (before, after) = (owners(&key, &nodes, own), owners(&key, &left, own));
                for (before, after) in before.into_iter().zip(after) {
                    prop_assert!(before == after || before == gone);
                }
            }
        }

        #[test]
        fn each_step_goes_up(nodes in clusters(), number in any::<u32>(), seen in prop::collection::vec(any::<bool>(), 12)) {
            let key = key(number);
            // Each node believes what it will of the others.
            let answers = |asker: u64, node: u64| seen[usize::try_from((asker * 7 + node) % 12).expect("small")];
            for own in &nodes {
                for asked_as in [AskedAs::Node, AskedAs::Region, AskedAs::Shield] {
                    let found = hops(&key, &nodes, own, asked_as, |node| answers(own.id, node));
                    prop_assert!(found.len() <= 2);
                    prop_assert!(found.iter().all(|hop| rank(&key, hop.node) > rank(&key, own.id)));
                    prop_assert!(asked_as == AskedAs::Node || found.iter().all(|hop| hop.tier == Tier::Shield));
                }
            }
        }
    }
}
