//! When each of the others last answered, and what it had measured.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use ncore_model::NodeId;
use ncore_proto::cluster::v1::RoundTrip;
use parking_lot::Mutex;

/// What a node measured is worth something for this long.
const CURRENT: Duration = Duration::from_secs(30);
/// The most round trips that are taken from one answer: there are fewer voters.
const ROUND_TRIPS_MAX: usize = 16;

/// The last answer of each node.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    last: Mutex<HashMap<NodeId, Sighting>>,
}

#[derive(Debug)]
struct Sighting {
    asked: Instant,
    round_trips: BTreeMap<NodeId, Duration>,
}

impl Sightings {
    /// How long ago the node was asked for what it answered last.
    pub(super) fn silence(&self, node: NodeId, now: Instant) -> Option<Duration> {
        self.last.lock().get(&node).map(|last| now.saturating_duration_since(last.asked))
    }

    pub(super) fn round_trips(&self, node: NodeId, now: Instant) -> BTreeMap<NodeId, Duration> {
        let last = self.last.lock();
        let current = last.get(&node).filter(|last| now.saturating_duration_since(last.asked) < CURRENT);
        current.map(|last| last.round_trips.clone()).unwrap_or_default()
    }

    pub(super) fn note(&self, node: NodeId, round_trips: &[RoundTrip], asked: Instant) {
        let round_trips = round_trips.iter().take(ROUND_TRIPS_MAX);
        let round_trips = round_trips.map(|trip| (NodeId(trip.node_id), Duration::from_micros(trip.micros))).collect();
        self.last.lock().insert(node, Sighting { asked, round_trips });
    }

    pub(super) fn forget(&self, node: NodeId) {
        self.last.lock().remove(&node);
    }
}
