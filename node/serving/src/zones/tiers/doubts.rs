//! Which nodes did not do as tiers lately. They are not asked for a while, and then by one request, which finds out for the others.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a node is not asked after it was passed by.
const DOUBTED_FOR: Duration = Duration::from_secs(5);

/// The nodes that are doubted, each until when. There are no more of them than there are nodes.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<HashMap<u64, Instant>>);

impl Doubts {
    /// Whether a node is doubted now.
    pub(super) fn has(&self, node: u64) -> bool {
        self.left(node).is_some()
    }

    /// For how much longer it is, unless somebody finds out otherwise.
    pub(super) fn left(&self, node: u64) -> Option<Duration> {
        let left = self.until().get(&node)?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// A node is asked. If it was doubted it still is, for everybody else, until it answers.
    pub(super) fn trying(&self, node: u64) {
        if let Some(until) = self.until().get_mut(&node) {
            *until = Instant::now() + DOUBTED_FOR;
        }
    }

    /// It was passed by.
    pub(super) fn failed(&self, node: u64) {
        self.until().insert(node, Instant::now() + DOUBTED_FOR);
    }

    /// It did as a tier does.
    pub(super) fn answered(&self, node: u64) {
        self.until().remove(&node);
    }

    fn until(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{DOUBTED_FOR, Doubts};

    #[tokio::test(start_paused = true)]
    async fn one_request_finds_out() {
        let doubts = Doubts::default();
        doubts.trying(1);
        assert!(!doubts.has(1));
        doubts.failed(1);
        assert!(doubts.has(1) && !doubts.has(2));
        advance(DOUBTED_FOR).await;
        assert!(!doubts.has(1));
        doubts.trying(1);
        assert!(doubts.has(1), "the others do not wait with the one that tries");
        doubts.answered(1);
        assert!(!doubts.has(1));
    }
}
