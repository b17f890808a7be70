//! What can be done with the assets of a client once they are there.
//!
//! Reads are of this node's own view. Changes go to the log without a look at the view first: it may be behind, and the log
//! alone knows whether an asset exists, whose it is, and whether the caller has asked before.

pub(crate) mod address;
mod change;
mod details;
mod holdings;
mod purge;
mod read;
mod replication;

use std::sync::Arc;

use ncore_freshness::{FencePolicy, Fences, Guarded};
use ncore_store::BlobStore;

use crate::{cluster::Cluster, copies::Copies};

pub(crate) use address::of_asset;
pub(crate) use details::describe;
pub(crate) use holdings::Holdings;

pub use change::{AssetChanges, DeletedAssets, Purged};
pub use details::AssetDetails;
pub use read::{AssetList, ListRequest};
pub use replication::{CopyStatus, NodeCopy, Replication};

/// The assets of clients.
pub struct Assets {
    cluster: Cluster,
    fences: Arc<Fences>,
    store: BlobStore,
    copies: Arc<dyn Copies>,
    public_url: Arc<str>,
}

impl Assets {
    pub(crate) fn new(cluster: Cluster, fences: Arc<Fences>, store: BlobStore, copies: Arc<dyn Copies>, public_url: Arc<str>) -> Self {
        Self { cluster, fences, store, copies, public_url }
    }

    /// What nodes do with assets while they are fenced: the settings are the same on every node.
    fn fence_policy(&self) -> FencePolicy {
        self.fences.policies().of(Guarded::PublicAsset)
    }
}
