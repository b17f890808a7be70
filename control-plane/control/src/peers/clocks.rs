//! What the clocks of the other nodes show.
//!
//! A node says what its clock shows when it is asked. It said so after the question was sent, so at any later moment its clock shows at
//! most what it said and the time that has passed since the question. That bound is off by a round trip at most, and a jump of this
//! node's own clock does not move it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ncore_model::NodeId;
use parking_lot::Mutex;

/// What each node said last.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    said: Mutex<HashMap<NodeId, Said>>,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    clock_ms: u64,
    asked: Instant,
}

impl Clocks {
    /// The latest that the node's clock can show at `now`, in Unix milliseconds; `None` if that is not known.
    pub(super) fn latest_ms(&self, node: NodeId, now: Instant) -> Option<u64> {
        let said = *self.said.lock().get(&node)?;
        Some(said.clock_ms.saturating_add(millis(now.saturating_duration_since(said.asked))))
    }

    /// Notes what the node said. A node of an older version says nothing, which is 0.
    pub(super) fn note(&self, node: NodeId, clock_ms: u64, asked: Instant) {
        match clock_ms {
            0 => self.forget(node),
            clock_ms => drop(self.said.lock().insert(node, Said { clock_ms, asked })),
        }
    }

    pub(super) fn forget(&self, node: NodeId) {
        self.said.lock().remove(&node);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clocks;
    use ncore_model::NodeId;
    use std::time::{Duration, Instant};

    #[test]
    fn a_clock_goes_on_since_the_question() {
        let (clocks, asked) = (Clocks::default(), Instant::now());
        assert_eq!(clocks.latest_ms(NodeId(2), asked), None);
        clocks.note(NodeId(2), 1_000_000, asked);
        assert_eq!(clocks.latest_ms(NodeId(2), asked), Some(1_000_000));
        assert_eq!(clocks.latest_ms(NodeId(2), asked + Duration::from_millis(1_500)), Some(1_001_500));
        clocks.note(NodeId(2), 0, asked);
        assert_eq!(clocks.latest_ms(NodeId(2), asked), None, "it does not say");
    }
}
