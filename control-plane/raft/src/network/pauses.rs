//! Pauses between heartbeats to a peer that takes no connection.
//!
//! openraft sends a heartbeat to every voter for each read index, without regard to those that failed before. Under reads, a peer that is
//! down would be dialled hundreds of times a second. A peer that is merely slow gets all of its heartbeats: they keep it from standing
//! for election.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The peers that took no connection when one was last tried.
#[derive(Debug)]
pub(crate) struct Pauses {
    longest: Duration,
    refused: Mutex<HashMap<u64, Pause>>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    length: Duration,
    end: Instant,
}

impl Pauses {
    /// From 50 ms up to `longest`, each twice as long as the one before.
    pub(crate) fn new(longest: Duration) -> Self {
        Self { longest, refused: Mutex::default() }
    }

    /// Whether the peer may be tried.
    pub(crate) fn are_over(&self, node: u64) -> bool {
        self.are_over_at(node, Instant::now())
    }

    pub(crate) fn refused(&self, node: u64) {
        self.refused_at(node, Instant::now());
    }

    pub(crate) fn answered(&self, node: u64) {
        self.refused.lock().remove(&node);
    }

    fn are_over_at(&self, node: u64, now: Instant) -> bool {
        self.refused.lock().get(&node).is_none_or(|pause| pause.end <= now)
    }

    fn refused_at(&self, node: u64, now: Instant) {
        let mut refused = self.refused.lock();
        let length = match refused.get(&node) {
            // Others than heartbeats do not wait for the end, and do not make the pause longer.
            Some(pause) if now < pause.end => return,
            Some(pause) => (pause.length * 2).min(self.longest),
            None => SHORTEST.min(self.longest),
        };
        refused.insert(node, Pause { length, end: now + length });
    }
}

const SHORTEST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::Pauses;
    use std::time::Duration;
    use tokio::time::Instant;

    /// When a peer that always refuses is tried, by somebody who wants to every millisecond.
    #[test]
    fn they_grow_up_to_the_longest_and_end_with_an_answer() {
        let (pauses, start) = (Pauses::new(Duration::from_millis(300)), Instant::now());
        let tries = |from: u64, to: u64| -> Vec<u64> {
            let tried = |at: &u64| {
                let now = start + Duration::from_millis(*at);
                let over = pauses.are_over_at(2, now);
                pauses.refused_at(2, now);
                over
            };
            (from..to).filter(tried).collect()
        };
        assert_eq!(tries(0, 1_000), [0, 50, 150, 350, 650, 950]);
        assert!(pauses.are_over_at(3, start), "another peer");
        pauses.answered(2);
        assert_eq!(tries(1_000, 1_200), [1_000, 1_050, 1_150]);
    }
}
