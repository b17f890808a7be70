//! Which node is the home of a subject: the first that answers, in an order that is the same at every node.

use ncore_model::{NodeId, rank};

use crate::ask::Key;

/// The node of `members` that ranks first for this key, of those that `answers` says yes to (rendezvous hashing: when a node comes or goes, only
/// the subjects whose home it is, or was, move).
pub(crate) fn first(key: &Key, members: &[NodeId], mut answers: impl FnMut(NodeId) -> bool) -> Option<NodeId> {
    // By the subject alone: the classes of one token share a home.
    members.iter().copied().filter(|node| answers(*node)).max_by_key(|node| rank(&key.subject, *node))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ncore_model::NodeId;

    use super::first;
    use crate::{ask::Key, policy::Class};

    #[test]
    fn homes_are_spread_and_only_those_of_a_node_that_goes_move() {
        let members: Vec<NodeId> = [1, 7, 19, 40, 41].map(NodeId).to_vec();
        let mut homes: BTreeMap<NodeId, u32> = BTreeMap::new();
        for token in 0..5_000 {
            let key = Key::of_token(Class::Default, "cl_1", &token.to_string());
            let home = first(&key, &members, |_| true).expect("a home");
            *homes.entry(home).or_default() += 1;
            let without = first(&key, &members, |node| node != NodeId(19)).expect("a home");
            assert!(home == without || home == NodeId(19));
            let purge = Key { class: Class::Purge, ..key };
            assert_eq!(first(&purge, &members, |_| true), Some(home));
        }
        assert!(homes.len() == 5 && homes.values().all(|count| (850..1_150).contains(count)), "{homes:?}");
        assert_eq!(first(&Key::of_token(Class::Default, "a", "b"), &[], |_| true), None);
    }
}
