//! The catalog over the replica.

use std::sync::Arc;

use ncore_control::ControlPlane;
use ncore_freshness::{FenceAction, Fences, Guarded};
use ncore_model::{Asset, Query, Revision, TableError, Visibility};
use ncore_replica::{Replica, ReplicaError};
use ncore_serving::{AssetEntry, AssetFacts, BlobHash, Catalog, Lookup, Readers, ViewAge};
use ncore_telemetry::Usage;

use super::{
    cache::{Cached, EntryCache},
    hosts::Hosts,
};
use crate::metrics::{AgentMetrics, add};

/// Assets by path: from memory, or else from the replica.
///
/// A lookup that misses memory reads one row on the thread of its caller. That is a few microseconds for a row in the block cache,
/// and one read of the disk for a cold one. Paths without an asset are not kept: bloom filters answer most of these, and nobody can
/// fill the memory with them.
///
/// Whether the view is fresh is asked first and read second, so what is found is at least as new as the answer says.
pub struct AssetCatalog {
    control: Arc<dyn ControlPlane>,
    fences: Arc<Fences>,
    entries: Arc<EntryCache>,
    hosts: Arc<Hosts>,
    metrics: Arc<AgentMetrics>,
    usage: Arc<Usage>,
}

impl AssetCatalog {
    pub(crate) fn new(
        control: Arc<dyn ControlPlane>,
        fences: Arc<Fences>,
        entries: Arc<EntryCache>,
        hosts: Arc<Hosts>,
        metrics: Arc<AgentMetrics>,
        usage: Arc<Usage>,
    ) -> Self {
        Self { control, fences, entries, hosts, metrics, usage }
    }
}

impl AssetCatalog {
    /// Of a client that is suspended there is nothing.
    fn unless_suspended(&self, entry: Arc<AssetEntry>, age: ViewAge) -> Lookup {
        if self.hosts.is_suspended(&entry.facts().client, self.control.replica()) {
            Lookup::NotFound(age)
        } else {
            Lookup::Found(entry, age)
        }
    }
}

impl Catalog for AssetCatalog {
    fn lookup(&self, path: &str) -> Lookup {
        let age = match self.fences.decide(Guarded::PublicAsset, &self.control.fresh_state()) {
            FenceAction::Proceed => ViewAge::Current,
            FenceAction::ServeStale => ViewAge::Stale,
            // Of an asset there is no origin to ask: the cluster's state is the truth, and this node is cut off from it.
            FenceAction::Refuse | FenceAction::Revalidate => return Lookup::Fenced,
        };
        let replica = self.control.replica();
        let ticket = match self.entries.get(path) {
            Cached::Entry(entry) => {
                add(&self.metrics.catalog_hits, 1);
                return self.unless_suspended(entry, age);
            }
            Cached::Miss(ticket) => ticket,
        };
        add(&self.metrics.catalog_misses, 1);
        match found(replica, path) {
            Ok(Found::Asset(facts)) => {
                let meter = self.usage.meter(&facts.client);
                let entry = Arc::new(AssetEntry::new(*facts).metered(meter));
                self.entries.insert(path, ticket, Arc::clone(&entry));
                self.unless_suspended(entry, age)
            }
            // A replica that has nothing yet cannot say that there is nothing.
            Ok(Found::Nothing(revision)) if revision.index == 0 => Lookup::Unavailable,
            Ok(Found::Nothing(_)) => Lookup::NotFound(age),
            Err(error) => {
                tracing::error!(path, error = &error as &dyn std::error::Error, "an asset cannot be looked up");
                Lookup::Unavailable
            }
        }
    }

    fn host_owner(&self, host: &str) -> Option<Arc<str>> {
        self.hosts.owner(host, self.control.replica())
    }
}

/// What a view has at a path.
enum Found {
    Asset(Box<AssetFacts>),
    Nothing(Revision),
}

/// Why a path cannot be looked up.
#[derive(Debug, thiserror::Error)]
enum FindError {
    #[error("the replica cannot be read")]
    Replica(#[from] ReplicaError),
    #[error("a table cannot be read")]
    Table(#[source] TableError),
}

/// Content and visibility are of one view: the content that was restricted is never found as the public asset that replaced it.
fn found(replica: &Replica, path: &str) -> Result<Found, FindError> {
    replica.read(|view| {
        let revision = view.revision();
        let Some(asset) = view.asset_at(path).map_err(FindError::Table)? else {
            return Ok(Found::Nothing(revision));
        };
        let visibility = view.visibility(&asset).map_err(FindError::Table)?;
        Ok(Found::Asset(Box::new(facts(asset, visibility, revision))))
    })
}

fn facts(asset: Asset, visibility: Visibility, revision: Revision) -> AssetFacts {
    AssetFacts {
        client: asset.client.as_str().to_owned(),
        readers: match visibility {
            Visibility::Public => Readers::All,
            Visibility::Restricted => Readers::Admitted,
        },
        id: asset.id.as_str().to_owned(),
        path: asset.path,
        blob: BlobHash(asset.blob.0),
        size: asset.size,
        sha256: asset.sha256,
        mime: asset.mime,
        cache_ttl_s: asset.cache_ttl_s,
        modified_at_s: asset.modified_at_ms / 1_000,
        revision: (revision.lineage, revision.index),
    }
}
