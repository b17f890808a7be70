//! Which nodes are asked for a key: pure, and the same at every node that knows the same nodes.
//!
//! The rank of a node for a key is a hash of both (rendezvous hashing), so that of all keys only those of a node that goes get another owner.
//! A node takes itself for one that answers whatever else it believes. So who is asked ranks above who asks, by the ranking of who asks. While nodes
//! do not know the same of the zone or of regions that may be another one than that of who is asked: that requests which wait for each other form
//! no ring then either is seen to by their [depth](super::Way).

use ncore_model::NodeId;
use ncore_store::cached::EntryKey;

use super::{Tier, TierNode};
use crate::zones::zone::Zone;

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

/// By what nodes are ranked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranking<'a> {
    key: &'a EntryKey,
    /// Where the shield is to be, if the zone says it. Nodes there rank above all others.
    shield_region: Option<&'a str>,
}

impl<'a> Ranking<'a> {
    /// For a key of this zone.
    pub(crate) fn of(zone: &'a Zone, key: &'a EntryKey) -> Self {
        Self { key, shield_region: zone.shield_region.as_deref() }
    }

    /// Whether a node is where the shield is to be.
    pub(crate) fn is_wanted(&self, node: &TierNode) -> bool {
        self.shield_region == Some(&*node.region)
    }

    /// The nodes that `own` asks, in order: the next one if the one before is passed by. At most one of each tier.
    pub(crate) fn hops(&self, nodes: &[TierNode], own: &TierNode, asked_as: AskedAs, answers: impl Fn(u64) -> bool) -> Vec<Hop> {
        let others = || nodes.iter().filter(|node| node.id != own.id && answers(node.id));
        let in_region = self.first(own, others().filter(|node| node.region == own.region)).id;
        let shield = self.first(own, others()).id;
        let mut hops = Vec::with_capacity(2);
        if asked_as == AskedAs::Node && in_region != own.id {
            hops.push(Hop { node: in_region, tier: Tier::Region });
        }
        if asked_as != AskedAs::Shield && shield != own.id && shield != in_region {
            hops.push(Hop { node: shield, tier: Tier::Shield });
        }
        hops
    }

    /// The owner of the key in the region of `own`, and the shield.
    pub(crate) fn owners(&self, nodes: &[TierNode], own: &TierNode) -> [TierNode; 2] {
        [self.first(own, nodes.iter().filter(|node| node.region == own.region)).clone(), self.first(own, nodes.iter()).clone()]
    }

    fn first<'n>(&self, own: &'n TierNode, others: impl Iterator<Item = &'n TierNode>) -> &'n TierNode {
        others.chain([own]).max_by_key(|node| self.rank(node)).unwrap_or(own)
    }

    /// The rank of a node for the key. No two nodes have the same.
    fn rank(&self, node: &TierNode) -> (bool, (u64, NodeId)) {
        (self.is_wanted(node), ncore_model::rank(self.key.as_bytes(), NodeId(node.id)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ncore_store::cached::EntryKey;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{AskedAs, Hop, Ranking};
    use crate::zones::tiers::{Tier, TierNode};

    fn node(id: u64, region: &str) -> TierNode {
        TierNode { id, region: region.into() }
    }

    fn key(number: u32) -> EntryKey {
        EntryKey::of(&[&number.to_le_bytes()])
    }

    fn by<'a>(key: &'a EntryKey, shield_region: Option<&'a str>) -> Ranking<'a> {
        Ranking { key, shield_region }
    }

    /// A key that these nodes rank for in this order, the first of them highest.
    fn key_for(order: &[u64]) -> EntryKey {
        let fits = |key: &EntryKey| order.is_sorted_by(|a, b| by(key, None).rank(&node(*a, "")) > by(key, None).rank(&node(*b, "")));
        (0..).map(key).find(fits).expect("a key")
    }

    #[test]
    fn who_is_asked() {
        let nodes = [node(1, "eu"), node(2, "eu"), node(3, "us"), node(4, "us")];
        let key = key_for(&[3, 1, 4, 2]);
        let (region, shield) = (|node| Hop { node, tier: Tier::Region }, |node| Hop { node, tier: Tier::Shield });
        type Row = (usize, AskedAs, Option<&'static str>, &'static [u64], Vec<Hop>);
        let cases: [Row; 16] = [
            (1, AskedAs::Node, None, &[], vec![region(1), shield(3)]),
            (0, AskedAs::Node, None, &[], vec![shield(3)]),
            (0, AskedAs::Region, None, &[], vec![shield(3)]),
            (0, AskedAs::Shield, None, &[], vec![]),
            (2, AskedAs::Node, None, &[], vec![]),
            (3, AskedAs::Node, None, &[], vec![region(3)]),
            (1, AskedAs::Node, None, &[1], vec![shield(3)]),
            (1, AskedAs::Node, None, &[3], vec![region(1)]),
            (3, AskedAs::Node, None, &[3], vec![shield(1)]),
            (1, AskedAs::Node, None, &[1, 3], vec![shield(4)]),
            (1, AskedAs::Node, Some("eu"), &[], vec![region(1)]),
            (0, AskedAs::Node, Some("eu"), &[], vec![]),
            (3, AskedAs::Node, Some("eu"), &[], vec![region(3), shield(1)]),
            (2, AskedAs::Region, Some("eu"), &[1], vec![shield(2)]),
            (3, AskedAs::Node, Some("eu"), &[1, 2], vec![region(3)]),
            (1, AskedAs::Node, Some("ap"), &[], vec![region(1), shield(3)]),
        ];
        for (own, asked_as, shield_region, silent, expected) in cases {
            let found = by(&key, shield_region).hops(&nodes, &nodes[own], asked_as, |node| !silent.contains(&node));
            assert_eq!(found, expected, "{own} {asked_as:?} {shield_region:?} {silent:?}");
        }
        assert_eq!(by(&key, None).hops(&[], &nodes[0], AskedAs::Node, |_| true), [], "nothing is known of the cluster yet");
    }

    #[test]
    fn keys_are_spread() {
        let nodes: Vec<TierNode> = [1, 7, 19, 40, 41].map(|id| node(id, "eu")).to_vec();
        let mut owned: BTreeMap<u64, u32> = BTreeMap::new();
        for number in 0..5_000 {
            *owned.entry(by(&key(number), None).owners(&nodes, &nodes[0])[0].id).or_default() += 1;
        }
        assert!(owned.len() == 5 && owned.values().all(|count| (850..1_150).contains(count)), "{owned:?}");
    }

    fn clusters() -> impl Strategy<Value = Vec<TierNode>> {
        prop::collection::btree_map(1_u64..200, 0_usize..3, 1..12).prop_map(|nodes| {
            let node = |(id, region)| node(id, ["eu", "us", "ap"][region]);
            nodes.into_iter().map(node).collect()
        })
    }

    fn shield_regions() -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of(prop::sample::select(vec!["eu", "us", "nowhere"]))
    }

    proptest! {
        #[test]
        fn every_node_of_a_region_finds_the_same(nodes in clusters(), number in any::<u32>(), wanted in shield_regions()) {
            let key = key(number);
            let by = by(&key, wanted);
            for one in &nodes {
                for other in nodes.iter().filter(|other| other.region == one.region) {
                    prop_assert_eq!(by.owners(&nodes, one), by.owners(&nodes, other));
                }
                prop_assert_eq!(&by.owners(&nodes, one)[1], &by.owners(&nodes, &nodes[0])[1]);
            }
        }

        #[test]
        fn the_shield_is_where_it_is_wanted_if_anybody_is(nodes in clusters(), number in any::<u32>(), wanted in shield_regions()) {
            let key = key(number);
            let shield = &by(&key, wanted).owners(&nodes, &nodes[0])[1];
            let is_there = wanted.is_some_and(|wanted| nodes.iter().any(|node| &*node.region == wanted));
            prop_assert!(!is_there || Some(&*shield.region) == wanted);
            // And if nobody is, it is as if nothing were wanted.
            prop_assert!(is_there || *shield == by(&key, None).owners(&nodes, &nodes[0])[1]);
        }

        #[test]
        fn only_the_keys_of_a_node_that_goes_move(
            nodes in clusters(), number in any::<u32>(), gone in any::<prop::sample::Index>(), wanted in shield_regions(),
        ) {
            let (key, gone) = (key(number), gone.get(&nodes).id);
            for own in nodes.iter().filter(|node| node.id != gone) {
                let left: Vec<TierNode> = nodes.iter().filter(|node| node.id != gone).cloned().collect();
                let (before, after) = (by(&key, wanted).owners(&nodes, own), by(&key, wanted).owners(&left, own));
                for (before, after) in before.into_iter().zip(after) {
                    prop_assert!(before == after || before.id == gone);
                }
            }
        }

        #[test]
        fn each_step_goes_up(
            nodes in clusters(), number in any::<u32>(), seen in prop::collection::vec(any::<bool>(), 12), wanted in shield_regions(),
        ) {
            let key = key(number);
            let by = by(&key, wanted);
            let rank = |id: u64| nodes.iter().find(|node| node.id == id).map(|node| by.rank(node));
            // Each node believes what it will of the others.
            let answers = |asker: u64, node: u64| seen[usize::try_from((asker * 7 + node) % 12).expect("small")];
            for own in &nodes {
                for asked_as in [AskedAs::Node, AskedAs::Region, AskedAs::Shield] {
                    let found = by.hops(&nodes, own, asked_as, |node| answers(own.id, node));
                    prop_assert!(found.len() <= 2);
                    prop_assert!(found.iter().all(|hop| rank(hop.node) > rank(own.id)));
                    prop_assert!(asked_as == AskedAs::Node || found.iter().all(|hop| hop.tier == Tier::Shield));
                }
            }
        }
    }
}
