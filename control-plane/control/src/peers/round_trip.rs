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

    pub(super) fn note(&self, node: NodeId, measured: Duration) {
        let mut smoothed = self.smoothed.lock();
        let before = smoothed.get(&node).copied().unwrap_or(measured);
        // The usual weight of RFC 6298: an eighth for the newest.
        smoothed.insert(node, (before * 7 + measured) / 8);
    }

    pub(super) fn forget(&self, node: NodeId) {
        self.smoothed.lock().remove(&node);
    }
}
