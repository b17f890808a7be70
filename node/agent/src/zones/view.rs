//! What serving asks of this node's view of the cluster.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ncore_cache::purges::PurgeIndex;
use ncore_control::ControlPlane;
use ncore_freshness::{FenceAction, Fences, Guarded};
use ncore_serving::{
    ViewAge,
    zones::{View, Zones},
};

use super::ZonePublisher;

/// The zones, their purges, and how far this node is.
pub struct ZoneView {
    control: Arc<dyn ControlPlane>,
    fences: Arc<Fences>,
    zones: Zones,
    purges: Arc<ArcSwap<PurgeIndex>>,
}

impl ZoneView {
    pub(crate) fn new(control: Arc<dyn ControlPlane>, fences: Arc<Fences>, publisher: &ZonePublisher) -> Self {
        Self { control, fences, zones: publisher.zones(), purges: publisher.purges() }
    }

    /// The zones by host, as they are now at any time.
    #[must_use]
    pub fn zones(&self) -> Zones {
        Arc::clone(&self.zones)
    }

    /// The purges as they are now.
    #[must_use]
    pub fn purges(&self) -> Arc<PurgeIndex> {
        self.purges.load_full()
    }
}

impl View for ZoneView {
    /// What this node says of purges includes that change, and may include more.
    fn revision(&self) -> u64 {
        self.control.replica().revision().index
    }

    fn age(&self) -> ViewAge {
        // What is done then is for each zone to say.
        match self.fences.decide(Guarded::Zone, &self.control.fresh_state()) {
            FenceAction::Proceed => ViewAge::Current,
            _ => ViewAge::Stale,
        }
    }

    fn newest_purge(&self, zone: u64, path_and_query: &str) -> u64 {
        self.purges.load().newest_for(zone, path_and_query)
    }
}
