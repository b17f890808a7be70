//! What serving asks of this node's view of the cluster.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ncore_cache::purges::PurgeIndex;
use ncore_control::ControlPlane;
use ncore_serving::zones::Zones;

use super::ZonePublisher;

/// The zones, their purges, and how far this node is.
pub struct ZoneView {
    control: Arc<dyn ControlPlane>,
    zones: Zones,
    purges: Arc<ArcSwap<PurgeIndex>>,
}

impl ZoneView {
    pub(crate) fn new(control: Arc<dyn ControlPlane>, publisher: &ZonePublisher) -> Self {
        Self { control, zones: publisher.zones(), purges: publisher.purges() }
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

    /// The last change that this node has applied. What it says of purges includes that, and may include more.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.control.replica().revision().index
    }

    /// The newest purge that a URL of a zone falls under. Zero if there was none.
    #[must_use]
    pub fn newest_purge(&self, zone: u64, path_and_query: &str) -> u64 {
        self.purges.load().newest_for(zone, path_and_query)
    }
}
