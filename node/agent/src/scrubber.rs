//! Re-reads what is held, at a low rate, and reports what is damaged.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_store::{BlobEntry, BlobStatus, BlobStore, Verification};
use ncore_transfer::Repairs;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    error::AgentError,
    metrics::{AgentMetrics, add},
    settings::ScrubSettings,
};

/// Blobs that are looked up at a time.
const PAGE: usize = 256;

/// Reads blobs in full that were not found good for long.
pub(crate) struct Scrubber {
    store: BlobStore,
    repairs: Repairs,
    settings: ScrubSettings,
    metrics: Arc<AgentMetrics>,
}

impl Scrubber {
    pub(crate) fn new(store: BlobStore, repairs: Repairs, settings: ScrubSettings, metrics: Arc<AgentMetrics>) -> Self {
        Self { store, repairs, settings, metrics }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        stop.run_until_cancelled(async {
            loop {
                if self.settings.bytes_s > 0 {
                    self.pass().await;
                }
                sleep(self.settings.every).await;
            }
        })
        .await;
        Ok(())
    }

    async fn pass(&self) {
        let mut after = None;
        loop {
            let page = match self.store.iter_blobs(after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the blobs cannot be listed to be read again");
                    return;
                }
            };
            for entry in &page {
                self.look_at(entry).await;
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return };
            after = Some(last.hash);
        }
    }

    async fn look_at(&self, entry: &BlobEntry) {
        let BlobStatus::Present { size, verified_at_ms, .. } = entry.status else { return };
        let age = Duration::from_millis(now_ms().saturating_sub(verified_at_ms));
        if age < self.settings.age {
            return;
        }
        let hash = entry.hash;
        match self.store.verify(hash).await {
            Ok(Verification::Good { .. } | Verification::OutboardRebuilt { .. } | Verification::Absent) => {}
            Ok(Verification::Corrupt { what }) => {
                add(&self.metrics.scrub_damaged, 1);
                tracing::warn!(%hash, what = what.as_str(), "reading a blob again found it damaged");
                self.repairs.report(hash, size);
            }
            Err(error) => tracing::error!(%hash, error = &error as &dyn std::error::Error, "a blob cannot be read again"),
        }
        add(&self.metrics.scrubbed, 1);
        sleep(Duration::from_secs_f64(self.pause_s(size))).await;
    }

    /// How long reading `size` bytes may take at the rate.
    #[expect(clippy::cast_precision_loss, reason = "a pause need not be exact")]
    fn pause_s(&self, size: u64) -> f64 {
        size as f64 / self.settings.bytes_s as f64
    }
}

/// Milliseconds of the Unix epoch. Only ages are computed from it; a clock that jumps reads a blob sooner or later.
fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
