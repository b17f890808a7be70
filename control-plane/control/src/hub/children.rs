//! Who follows this node.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ncore_model::NodeId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The streams of children. At most `followers` of them are fed; as many again and a few more may be kept warm.
pub(crate) struct Children {
    followers: usize,
    held: Mutex<HashMap<NodeId, Child>>,
    sessions: AtomicU64,
}

struct Child {
    session: u64,
    following: bool,
    /// Index up to which it has said that it has applied everything, exclusive.
    acknowledged: u64,
    end: CancellationToken,
}

/// A child's place. It is free again when this is dropped.
pub(crate) struct Place {
    children: Arc<Children>,
    node: NodeId,
    session: u64,
    /// Is cancelled when the same node comes again: only its newest stream counts.
    pub(crate) replaced: CancellationToken,
}

/// There is no place for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A child, for those who look from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildStatus {
    /// Which node.
    pub node: NodeId,
    /// Whether it is fed; if not it only stands by.
    pub following: bool,
    /// Index of the first entry that it has not acknowledged.
    pub next: u64,
}

impl Children {
    pub(crate) fn new(followers: usize) -> Self {
        Self { followers, held: Mutex::default(), sessions: AtomicU64::new(0) }
    }

    /// Takes a child in, in place of an earlier stream of the same node.
    pub(crate) fn admit(self: &Arc<Self>, node: NodeId) -> Result<Place, Full> {
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let end = CancellationToken::new();
        let mut held = self.held.lock();
        if !held.contains_key(&node) && held.len() >= 2 * self.followers + WARM_MORE {
            return Err(Full);
        }
        if let Some(before) = held.insert(node, Child { session, following: false, acknowledged: 0, end: end.clone() }) {
            before.end.cancel();
        }
        drop(held);
        Ok(Place { children: Arc::clone(self), node, session, replaced: end })
    }

    /// How many more could be fed.
    pub(crate) fn room(&self) -> usize {
        let held = self.held.lock();
        self.followers.saturating_sub(held.values().filter(|child| child.following).count())
    }

    /// All of them, by id.
    pub(crate) fn status(&self) -> Vec<ChildStatus> {
        let held = self.held.lock();
        let status = |(node, child): (&NodeId, &Child)| ChildStatus { node: *node, following: child.following, next: child.acknowledged };
        let mut all: Vec<_> = held.iter().map(status).collect();
        all.sort_by_key(|child| child.node);
        all
    }
}

impl Place {
    /// The child wants to be fed from `next` on.
    pub(crate) fn follow(&self, next: u64) -> Result<(), Full> {
        let mut held = self.children.held.lock();
        let following = held.values().filter(|child| child.following).count();
        match held.get_mut(&self.node).filter(|child| child.session == self.session) {
            Some(child) if child.following || following < self.children.followers => {
                child.following = true;
                child.acknowledged = next;
                Ok(())
            }
            _ => Err(Full),
        }
    }

    /// The child has everything before `next`.
    pub(crate) fn acknowledge(&self, next: u64) {
        let mut held = self.children.held.lock();
        if let Some(child) = held.get_mut(&self.node).filter(|child| child.session == self.session) {
            child.acknowledged = child.acknowledged.max(next);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.children.held.lock();
        if held.get(&self.node).is_some_and(|child| child.session == self.session) {
            held.remove(&self.node);
        }
    }
}

/// Streams that are kept warm beyond twice the number of those that are fed.
const WARM_MORE: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Children, Full, NodeId};

    #[test]
    fn no_more_are_fed_than_may_be_and_a_place_comes_free() {
        let children = Arc::new(Children::new(2));
        let places: Vec<_> = (1..=3).map(|id| children.admit(NodeId(id)).expect("is admitted")).collect();
        assert_eq!(places.iter().map(|place| place.follow(0)).collect::<Vec<_>>(), [Ok(()), Ok(()), Err(Full)]);
        assert_eq!(places[0].follow(5), Ok(()), "it has its place already");
        assert_eq!(children.room(), 0);
        let mut places = places.into_iter();
        drop(places.next());
        assert_eq!(children.room(), 1);
        let rest: Vec<_> = places.collect();
        assert_eq!(rest[1].follow(0), Ok(()));
    }

    #[test]
    fn the_newest_stream_of_a_node_counts() {
        let children = Arc::new(Children::new(1));
        let old = children.admit(NodeId(7)).expect("is admitted");
        assert_eq!(old.follow(0), Ok(()));
        let new = children.admit(NodeId(7)).expect("is admitted");
        assert!(old.replaced.is_cancelled() && !new.replaced.is_cancelled());
        assert_eq!(old.follow(0), Err(Full));
        drop(old);
        assert_eq!(new.follow(3), Ok(()));
        new.acknowledge(9);
        assert_eq!(children.status().first().map(|child| (child.node, child.next)), Some((NodeId(7), 9)));
    }
}
