//! Which node holds an asset, since when that is verified, and how far the others are.
//!
//! The states come from the reports in the replicated state, so every node gives the same answer. When a copy was last
//! verified changes too often to be replicated: the holders are asked for it, all at once, and one that does not answer in
//! time costs the answer nothing but that number.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use ncore_model::{Asset, AssetId, ClientId, CopyState, Node, NodeId, NodeReport, Placed, PlacementFit, Query, Revision};
use ncore_store::BlobStatus;
use tokio::time::timeout;

use super::{Assets, Holdings, read::owned};
use crate::{
    cluster::Seen,
    copies::{CopyError, HeldCopy},
    error::AssetError,
};

/// The state of an asset on every member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// Which asset.
    pub asset: AssetId,
    /// The revision at which its content was put.
    pub revision: Revision,
    /// Whether every member that must hold it does, verified.
    pub replicated: bool,
    /// How far the members that there are can meet what was decided about where it is held.
    pub placement: PlacementFit,
    /// The members, in the order of joining.
    pub nodes: Vec<NodeCopy>,
}

/// The state of an asset on one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCopy {
    /// Which node.
    pub node: NodeId,
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// Whether it must hold the asset, and what its last report says of it.
    pub state: CopyStatus,
    /// Bytes that it has now, by its own answer; `None` if it gave none.
    pub bytes: Option<u64>,
    /// The BLAKE3 hash of what it holds, if it holds the content, verified.
    pub digest: Option<blake3::Hash>,
    /// When it last read its copy and found it good, in milliseconds of the Unix epoch, by its own answer.
    pub verified_at_ms: Option<u64>,
    /// Up to where it holds everything that it must hold, by its last report.
    pub watermark: Option<Revision>,
}

/// The state of a copy, by the reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStatus {
    /// The node has reported, and this follows from it.
    Reported(CopyState),
    /// The node has not reported yet, in all its life.
    Unknown,
    /// The node need not hold it, whether or not it does.
    NotPlaced,
}

impl CopyStatus {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported(state) => state.as_str(),
            Self::Unknown => "unknown",
            Self::NotPlaced => "not_placed",
        }
    }
}

impl Assets {
    /// Which node holds an asset of `client`.
    ///
    /// # Errors
    /// [`AssetError`].
    pub async fn replication(&self, client: &ClientId, id: &AssetId) -> Result<Seen<Replication>, AssetError> {
        let (client, id) = (client.clone(), id.clone());
        let seen = self.cluster.read(move |view| {
            let asset = match owned(view.asset(&id)?, &client) {
                Ok(asset) => asset,
                Err(error) => return Ok(Err(error)),
            };
            let mut holdings = Holdings::read(view)?;
            let placed = holdings.placed(view, &asset)?;
            Ok(Ok((asset, holdings, placed)))
        });
        let Seen { revision, value } = seen.await.map_err(AssetError::State)?;
        let (asset, holdings, placed) = value?;
        let hash = blake3::Hash::from(asset.blob);
        let replicated = holdings.replicated(&placed, asset.version);
        let nodes = stream::iter(holdings.members)
            .map(|(node, report)| {
                let (asset, placed) = (&asset, &placed);
                async move {
                    let held = self.ask(node.id, hash).await;
                    node_copy(asset, placed, revision.lineage, node, report.as_ref(), held)
                }
            })
            .buffered(ASKED_AT_ONCE);
        let value = Replication {
            revision: Revision { lineage: revision.lineage, index: asset.version },
            replicated,
            placement: placed.fit,
            nodes: nodes.collect().await,
            asset: asset.id,
        };
        Ok(Seen { revision, value })
    }

    /// What a node says now that it holds. `None` if it does not answer.
    async fn ask(&self, node: NodeId, hash: blake3::Hash) -> Option<HeldCopy> {
        if node == self.cluster.node_id() {
            return self.store.status(hash).ok().map(held_here);
        }
        match timeout(ANSWER_DEADLINE, self.copies.stat(node, hash)).await {
            Ok(Ok(held)) => Some(held),
            Ok(Err(CopyError { .. })) | Err(_) => None,
        }
    }
}

fn held_here(status: BlobStatus) -> HeldCopy {
    match status {
        BlobStatus::Absent | BlobStatus::Quarantined { .. } => HeldCopy { bytes: 0, verified_at_ms: None },
        BlobStatus::Present { size, verified_at_ms, .. } => HeldCopy { bytes: size, verified_at_ms: Some(verified_at_ms) },
    }
}

fn node_copy(asset: &Asset, placed: &Placed, lineage: u32, node: Node, report: Option<&NodeReport>, held: Option<HeldCopy>) -> NodeCopy {
    let state = match report {
        _ if !placed.is_on(node.id) => CopyStatus::NotPlaced,
        Some(report) => CopyStatus::Reported(placed.state(Some(report), asset.version)),
        None => CopyStatus::Unknown,
    };
    let verified_at_ms = held.and_then(|held| held.verified_at_ms);
    let is_held = verified_at_ms.is_some() || state == CopyStatus::Reported(CopyState::Verified);
    NodeCopy {
        node: node.id,
        name: node.name,
        region: node.region,
        state,
        bytes: held.map(|held| held.bytes),
        digest: is_held.then(|| asset.blob.into()),
        verified_at_ms,
        watermark: report.map(|report| Revision { lineage, index: report.watermark }),
    }
}

/// How long a node may take to say what it holds.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// Nodes that are asked at a time: of a larger cluster, some wait for others.
const ASKED_AT_ONCE: usize = 32;
