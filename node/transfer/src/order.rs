//! Whom to ask first. Pure.

use std::collections::HashSet;

use ncore_model::NodeId;

use crate::peers::Peer;

/// The order in which peers are asked for a blob. Each group keeps the order of `nearest_first`:
///
/// 1. peers of the same region: asking one that does not have it costs next to nothing;
/// 2. peers that are known to have had it;
/// 3. the rest;
/// 4. peers that did not answer lately, which may be back.
pub(crate) fn for_fetch(mut peers: Vec<Peer>, holders: &[NodeId]) -> Vec<NodeId> {
    peers.sort_by_key(|peer| match peer {
        Peer { reachable: false, .. } => 3,
        Peer { same_region: true, .. } => 0,
        Peer { node, .. } if holders.contains(node) => 1,
        _ => 2,
    });
    peers.into_iter().map(|peer| peer.node).collect()
}

/// The order in which peers are offered a copy: first one peer of each region that has none yet, then the others, each nearest
/// first; peers that did not answer lately come last. `taken` have a copy already, or are not to get one; their regions count as
/// having one. Those in `prefer` come before the others that answer.
pub(crate) fn for_copies(peers: &[Peer], taken: &[NodeId], prefer: &[NodeId]) -> Vec<NodeId> {
    let is_taken = |peer: &&Peer| taken.contains(&peer.node);
    let mut regions: HashSet<&str> = peers.iter().filter(is_taken).map(|peer| peer.region.as_str()).collect();
    let mut ranked: Vec<((bool, bool, u8), NodeId)> = peers
        .iter()
        .filter(|peer| !is_taken(peer) && peer.takes_copies)
        .map(|peer| {
            let rank = match peer {
                Peer { reachable: true, same_region: false, region, .. } if regions.insert(region) => 0,
                _ => 1,
            };
            ((!peer.reachable, !prefer.contains(&peer.node), rank), peer.node)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(node: u64, region: &str) -> Peer {
        Peer { node: NodeId(node), region: region.to_owned(), same_region: region == "here", reachable: true, takes_copies: true }
    }

    fn ids(nodes: &[NodeId]) -> Vec<u64> {
        nodes.iter().map(|node| node.0).collect()
    }

    #[test]
    fn fetches_ask_the_region_then_holders_then_the_rest() {
        let mut away = peer(5, "here");
        away.reachable = false;
        let peers = vec![away, peer(2, "b"), peer(3, "here"), peer(4, "c")];
        assert_eq!(ids(&for_fetch(peers.clone(), &[NodeId(4)])), [3, 4, 2, 5]);
        assert_eq!(ids(&for_fetch(peers, &[])), [3, 2, 4, 5]);
    }

    #[test]
    fn copies_go_to_other_regions_first() {
        let mut away = peer(9, "e");
        away.reachable = false;
        let mut draining = peer(8, "d");
        draining.takes_copies = false;
        let peers = [away, draining, peer(2, "here"), peer(3, "b"), peer(4, "b"), peer(5, "c")];
        assert_eq!(ids(&for_copies(&peers, &[], &[])), [3, 5, 2, 4, 9]);
        assert_eq!(ids(&for_copies(&peers, &[NodeId(4)], &[])), [5, 2, 3, 9], "region b has its copy");
        assert_eq!(ids(&for_copies(&peers, &[NodeId(2), NodeId(3), NodeId(4), NodeId(5), NodeId(9)], &[])), [0_u64; 0]);
        assert_eq!(ids(&for_copies(&peers, &[], &[NodeId(2), NodeId(9)])), [2, 3, 5, 4, 9], "as far as they answer");
    }
}
