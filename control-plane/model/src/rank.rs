//! Rendezvous hashing: each node has a rank for each key, and whoever knows the same nodes finds the same order of them.
//!
//! A node that comes or goes moves only the keys that are, or were, its own. The rank follows from key and node alone, so nothing has to be
//! agreed on; and nothing may ever change in how it follows, since nodes of two releases would find two orders.

use crate::id::NodeId;

/// The rank of a node for a key, which is even already, as a hash is. The greatest is the first. No two nodes have the same.
#[must_use]
pub fn rank(key: &[u8; 16], node: NodeId) -> (u64, NodeId) {
    let key = u128::from_le_bytes(*key);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (low, high) = (key as u64, (key >> 64) as u64);
    (mixed(low ^ high.rotate_left(32) ^ mixed(node.0)), node)
}

/// The weight of one node for another, of which there are few: cheap, and even enough to spread them. It is not the same the other way round.
#[must_use]
pub const fn weight(of: NodeId, with: NodeId) -> u64 {
    mixed(mixed(of.0).wrapping_add(with.0))
}

/// The finalizer of SplitMix64: every bit of the input changes half of the bits of the output.
const fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{mixed, rank, weight};
    use crate::id::NodeId;

    /// Of the releases before: a node of one and a node of another have to find the same.
    #[test]
    fn ranks_are_what_they_were() {
        assert_eq!([0, 1, u64::MAX].map(mixed), [0xe220_a839_7b1d_cdaf, 0x910a_2dec_8902_5cc1, 0xe4d9_7177_1b65_2c20]);
        let key = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        let ranks = [1, 2, 41].map(|node| rank(&key, NodeId(node)).0);
        assert_eq!(ranks, [0x8a9e_2af4_d40a_8594, 0x9724_bf14_606e_4ddc, 0x5d36_adbf_94f6_20ed]);
        assert_eq!(weight(NodeId(1), NodeId(2)), 0xbcd9_dbb4_9673_066b);
    }

    #[test]
    fn keys_are_spread_and_only_those_of_a_node_that_goes_move() {
        let nodes = [1, 7, 19, 40, 41].map(NodeId);
        let first = |key: &[u8; 16], nodes: &[NodeId]| *nodes.iter().max_by_key(|node| rank(key, **node)).expect("a node");
        let mut owned: BTreeMap<NodeId, u32> = BTreeMap::new();
        for number in 0..5_000_u64 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&mixed(number).to_le_bytes());
            key[8..].copy_from_slice(&mixed(!number).to_le_bytes());
            let (owner, left) = (first(&key, &nodes), first(&key, &nodes[..4]));
            assert!(owner == left || owner == NodeId(41), "a key moved without need");
            *owned.entry(owner).or_default() += 1;
        }
        assert!(owned.len() == 5 && owned.values().all(|count| (850..1_150).contains(count)), "{owned:?}");
    }
}
