//! The catalog over the replica.

use std::sync::Arc;

use ncore_model::{Asset, Query, Revision};
use ncore_replica::Replica;
use ncore_serving::{AssetEntry, AssetFacts, BlobHash, Catalog, Lookup};

use super::cache::{Cached, EntryCache};
use crate::metrics::{AgentMetrics, add};

/// Assets by path: from memory, or else from the replica.
///
/// A lookup that misses memory reads one row on the thread of its caller. That is a few microseconds for a row in the block cache,
/// and one read of the disk for a cold one. Paths without an asset are not kept: bloom filters answer most of these, and nobody can
/// fill the memory with them.
pub struct AssetCatalog {
    replica: Arc<Replica>,
    entries: Arc<EntryCache>,
    metrics: Arc<AgentMetrics>,
}

impl AssetCatalog {
    pub(crate) fn new(replica: Arc<Replica>, entries: Arc<EntryCache>, metrics: Arc<AgentMetrics>) -> Self {
        Self { replica, entries, metrics }
    }
}

impl Catalog for AssetCatalog {
    fn lookup(&self, path: &str) -> Lookup {
        let ticket = match self.entries.get(path) {
            Cached::Entry(entry) => {
                add(&self.metrics.catalog_hits, 1);
                return Lookup::Found(entry);
            }
            Cached::Miss(ticket) => ticket,
        };
        add(&self.metrics.catalog_misses, 1);
        // Taken before the row is read: the row is of this revision, or of a later one.
        let revision = self.replica.revision();
        match self.replica.asset_at(path) {
            Ok(Some(asset)) => {
                let entry = Arc::new(AssetEntry::new(facts(asset, revision)));
                self.entries.insert(path, ticket, Arc::clone(&entry));
                Lookup::Found(entry)
            }
            // A replica that has nothing yet cannot say that there is nothing.
            Ok(None) if revision.index == 0 => Lookup::Unavailable,
            Ok(None) => Lookup::NotFound,
            Err(error) => {
                tracing::error!(path, error = &error as &dyn std::error::Error, "an asset cannot be looked up");
                Lookup::Unavailable
            }
        }
    }
}

fn facts(asset: Asset, revision: Revision) -> AssetFacts {
    AssetFacts {
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
