//! How near the other nodes are.

use std::{collections::HashMap, time::Duration};

use ncore_model::NodeId;
use parking_lot::Mutex;

/// Round trips that are closer together than this count as equal, so that noise does not reorder nodes.
const STEP_MS: u64 = 5;

/// A smoothed round trip to each node.
#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    smoothed: Mutex<HashMap<NodeId, Duration>>,
}

impl RoundTrips {
    /// In steps of 5 ms; the greatest value if none was measured.
    pub(super) fn of(&self, node: NodeId) -> u64 {
        let millis = self.smoothed.lock().get(&node).map(Duration::as_millis);
        millis.and_then(|millis| u64::try_from(millis).ok()).map_or(u64::MAX, |millis| millis / STEP_MS)
    }

    /// `None` if none was measured.
    pub(super) fn measured(&self, node: NodeId) -> Option<Duration> {
        self.smoothed.lock().get(&node).copied()
    }

    pub(super) fn note(&self, node: NodeId, measured: Duration) {
        let mut smoothed = self.smoothed.lock();
        // The first answer over a connection that had to be made took several round trips: a much better one counts for itself.
        let before = smoothed.get(&node).copied().filter(|before| *before < measured * 2).unwrap_or(measured);
        // The usual weight of RFC 6298: an eighth for the newest.
        smoothed.insert(node, (before * 7 + measured) / 8);
    }

    pub(super) fn forget(&self, node: NodeId) {
        self.smoothed.lock().remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::RoundTrips;
    use ncore_model::NodeId;
    use std::time::Duration;

    #[test]
    fn noise_is_smoothed_and_a_handshake_is_forgotten() {
        let (round_trips, node) = (RoundTrips::default(), NodeId(2));
        let note = |millis| round_trips.note(node, Duration::from_millis(millis));
        assert_eq!((round_trips.of(node), round_trips.measured(node)), (u64::MAX, None));
        note(320);
        note(80);
        assert_eq!(round_trips.measured(node), Some(Duration::from_millis(80)));
        note(160);
        assert_eq!(round_trips.measured(node), Some(Duration::from_millis(90)));
        assert_eq!(round_trips.of(node), 18);
        round_trips.forget(node);
        assert_eq!(round_trips.measured(node), None);
    }
}
