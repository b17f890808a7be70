//! Figures of what origins are asked, and of those who wait for them.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use ncore_origin::{ErrorKind, Origins};
use ncore_serving::ServingMetrics;
use ncore_telemetry::{Figures, Source};

/// What origins are asked.
pub(super) struct OriginFigures {
    pub(super) origins: Origins,
    pub(super) serving: Arc<ServingMetrics>,
}

impl Source for OriginFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let counts = self.origins.figures();
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        figures.counter("origin_requests", "Requests to origins", load(&counts.requests))?;
        let errors = ErrorKind::ALL.map(|kind| (kind.as_str(), counts.errors(kind)));
        figures.counters("origin_errors", "Requests to origins, or their responses, that ended with an error", "kind", &errors)?;
        figures.counter("origin_retries", "Requests to origins that were sent again", load(&counts.retries))?;
        figures.counter("origin_connects", "Connections made to origins", load(&counts.connects))?;
        figures.gauge("origin_connections", "Connections to origins that are open or being made", self.origins.connections() as u64)?;
        figures.gauge("origins_left_out", "Origins that are left out since they fail", self.origins.ejected() as u64)?;
        figures.gauge("zone_asks", "Requests of the cache to origins that are not over", load(&self.serving.zone_asks))?;
        figures.gauge("zone_waiting", "Viewers who wait for what another one has asked for", load(&self.serving.zone_waiting))
    }
}
