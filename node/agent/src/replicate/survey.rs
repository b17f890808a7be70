//! Versions of the replica, with what the store says of their content.

use std::sync::Arc;

use ncore_model::{Asset, NodeId, Placements, Query};
use ncore_replica::{Replica, View};
use ncore_store::{BlobStatus, BlobStore};

use super::ledger::{Presence, Version};
use crate::{blocking::blocking, error::AgentError, removals::Removals};

/// Looks versions up. All reads run on the blocking pool, and each sees one moment of the replica.
#[derive(Clone)]
pub(crate) struct Survey {
    pub(crate) node: NodeId,
    pub(crate) replica: Arc<Replica>,
    pub(crate) store: BlobStore,
    pub(crate) removals: Removals,
}

/// Versions of one state.
pub(super) struct Stretch {
    /// The index of the last change of placement in that state.
    pub(super) placement: u64,
    /// Ascending.
    pub(super) versions: Vec<Version>,
}

/// Where this node stood when it reported last.
pub(super) struct Standing {
    pub(super) lineage: u32,
    pub(super) watermark: u64,
    /// The versions that were excepted and are still there.
    pub(super) faults: Vec<Version>,
}

impl Survey {
    /// What the last report of this node says, in this life or an earlier one.
    pub(super) async fn standing(&self) -> Result<Standing, AgentError> {
        let survey = self.clone();
        blocking(move || survey.replica.read(|view| survey.standing_in(view))).await
    }

    /// Up to `limit` versions from `from` on, ascending.
    pub(super) async fn versions(&self, from: u64, limit: usize) -> Result<Stretch, AgentError> {
        let survey = self.clone();
        let look = move |view: &View<'_>| {
            let mut placements = Placements::read(view).map_err(AgentError::Row)?;
            let versions = survey.versions_in(view, &mut placements, from, limit)?;
            Ok(Stretch { placement: placements.changed_at(), versions })
        };
        let replica = Arc::clone(&self.replica);
        blocking(move || replica.read(look)).await
    }

    fn standing_in(&self, view: &View<'_>) -> Result<Standing, AgentError> {
        let lineage = view.revision().lineage;
        let Some(report) = view.report(self.node).map_err(AgentError::Row)? else {
            return Ok(Standing { lineage, watermark: 0, faults: Vec::new() });
        };
        let mut placements = Placements::read(view).map_err(AgentError::Row)?;
        let mut faults = Vec::with_capacity(report.exceptions.len());
        for exception in &report.exceptions {
            let found = self.versions_in(view, &mut placements, exception.version, 1)?;
            faults.extend(found.into_iter().filter(|found| found.version == exception.version));
        }
        Ok(Standing { lineage, watermark: report.watermark, faults })
    }

    fn versions_in(&self, view: &View<'_>, placements: &mut Placements, from: u64, limit: usize) -> Result<Vec<Version>, AgentError> {
        let mut found = Vec::with_capacity(limit);
        for asset in view.versions_from(from, limit).map_err(AgentError::Row)? {
            let is_wanted = placements.of(view, &asset).map_err(AgentError::Row)?.is_on(self.node);
            found.push((asset, is_wanted));
        }
        // Whatever was removed because an earlier state did not need it here is gone from now on, and nothing that this one needs goes.
        self.removals.settle();
        Ok(found.iter().map(|(asset, is_wanted)| self.version(asset, *is_wanted)).collect())
    }

    fn version(&self, asset: &Asset, is_wanted: bool) -> Version {
        let presence = if is_wanted { self.presence(asset) } else { Presence::Held };
        Version { version: asset.version, blob: asset.blob, size: asset.size, presence }
    }

    fn presence(&self, asset: &Asset) -> Presence {
        match self.store.status(asset.blob.into()) {
            Ok(BlobStatus::Present { size, .. }) if size == asset.size => Presence::Held,
            Ok(BlobStatus::Present { .. } | BlobStatus::Quarantined { .. }) => Presence::Damaged,
            Ok(BlobStatus::Absent) => Presence::Absent,
            Err(error) => {
                // One damaged record must not stop the node: the blob counts as not here, and is fetched again.
                tracing::error!(blob = %asset.blob, error = &error as &dyn std::error::Error, "the store cannot say whether it has a blob");
                Presence::Absent
            }
        }
    }
}
