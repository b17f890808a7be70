//! Versions of the replica, with what the store says of their content.

use std::sync::Arc;

use ncore_model::{Asset, NodeId, Query};
use ncore_replica::{Replica, View};
use ncore_store::{BlobStatus, BlobStore};

use super::ledger::{Presence, Version};
use crate::{blocking::blocking, error::AgentError, placement::must_hold};

/// Looks versions up. All reads run on the blocking pool, and each sees one moment of the replica.
#[derive(Clone)]
pub(crate) struct Survey {
    pub(crate) node: NodeId,
    pub(crate) replica: Arc<Replica>,
    pub(crate) store: BlobStore,
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
    pub(super) async fn versions(&self, from: u64, limit: usize) -> Result<Vec<Version>, AgentError> {
        let survey = self.clone();
        blocking(move || survey.replica.read(|view| survey.versions_in(view, from, limit))).await
    }

    fn standing_in(&self, view: &View<'_>) -> Result<Standing, AgentError> {
        let lineage = view.revision().lineage;
        let Some(report) = view.report(self.node).map_err(AgentError::Row)? else {
            return Ok(Standing { lineage, watermark: 0, faults: Vec::new() });
        };
        let mut faults = Vec::with_capacity(report.exceptions.len());
        for exception in &report.exceptions {
            let found = self.versions_in(view, exception.version, 1)?;
            faults.extend(found.into_iter().filter(|found| found.version == exception.version));
        }
        Ok(Standing { lineage, watermark: report.watermark, faults })
    }

    fn versions_in(&self, view: &View<'_>, from: u64, limit: usize) -> Result<Vec<Version>, AgentError> {
        let assets = view.versions_from(from, limit).map_err(AgentError::Row)?;
        Ok(assets.iter().map(|asset| self.version(asset)).collect())
    }

    fn version(&self, asset: &Asset) -> Version {
        Version { version: asset.version, blob: asset.blob, size: asset.size, presence: self.presence(asset) }
    }

    fn presence(&self, asset: &Asset) -> Presence {
        if !must_hold(asset) {
            return Presence::Held;
        }
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
