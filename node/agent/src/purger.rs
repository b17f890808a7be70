//! Carries out purges of pushed assets on this node: drops what it keeps in memory of the assets that match, so that the next request
//! reads their rows again, and their content from the disk.
//!
//! It is rung by the watcher when the table of purges has changed, and begins with what is purged after the start: a node that has
//! just started keeps nothing in memory. Slices go by the name of their content, so no other content is ever served in their place;
//! they are dropped because that is what was asked for. Another asset of the same content loses them too.

use std::sync::Arc;

use ncore_cache::content_coding::Coding;
use ncore_model::{AssetFilter, AssetGlob, Purge, Query};
use ncore_replica::Replica;
use ncore_store::BlobStore;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    blocking::blocking,
    catalog::EntryCache,
    error::AgentError,
    metrics::{AgentMetrics, add},
    variants,
};

/// Rows that are read at a time.
const PAGE: usize = 256;

/// Follows the table of purges.
pub(crate) struct Purger {
    replica: Arc<Replica>,
    entries: Arc<EntryCache>,
    store: BlobStore,
    bell: Arc<Notify>,
    metrics: Arc<AgentMetrics>,
    lineage: u32,
    /// Purges before this index are done.
    next: u64,
}

impl Purger {
    pub(crate) fn new(
        replica: Arc<Replica>,
        entries: Arc<EntryCache>,
        store: BlobStore,
        bell: Arc<Notify>,
        metrics: Arc<AgentMetrics>,
    ) -> Self {
        let start = replica.revision();
        Self { replica, entries, store, bell, metrics, lineage: start.lineage, next: start.index + 1 }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        let follow = async {
            loop {
                self.catch_up().await?;
                self.bell.notified().await;
            }
        };
        stop.run_until_cancelled(follow).await.unwrap_or(Ok(()))
    }

    async fn catch_up(&mut self) -> Result<(), AgentError> {
        let revision = self.replica.revision();
        if revision.lineage != self.lineage {
            // The state was replaced by that of another history, and all entries were dropped with it.
            (self.lineage, self.next) = (revision.lineage, revision.index + 1);
        }
        loop {
            let (replica, next) = (Arc::clone(&self.replica), self.next);
            let page = blocking(move || replica.purges_from(next, PAGE).map_err(AgentError::Row)).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.next = last + 1;
            for (index, purge) in page {
                self.carry_out(index, purge).await?;
            }
        }
    }

    async fn carry_out(&self, index: u64, purge: Purge) -> Result<(), AgentError> {
        let glob = match AssetGlob::parse(&purge.pattern) {
            Ok(glob) => Arc::new(glob),
            Err(error) => {
                tracing::warn!(index, pattern = purge.pattern, %error, "a purge cannot be understood");
                return Ok(());
            }
        };
        let mut after: Option<String> = None;
        let mut matched = 0;
        loop {
            let (replica, glob, client) = (Arc::clone(&self.replica), Arc::clone(&glob), purge.client.clone());
            let page = blocking(move || {
                let filter = AssetFilter { prefix: glob.literal_prefix(), mime: None };
                let page = replica.assets_of(&client, &filter, after.as_deref(), PAGE).map_err(AgentError::Row)?;
                let last = page.assets.last().filter(|_| page.has_more).map(|asset| asset.path.clone());
                let assets = page.assets.into_iter().filter(|asset| glob.matches(&asset.path));
                Ok((assets.collect::<Vec<_>>(), last))
            });
            let (assets, last) = page.await?;
            for asset in &assets {
                self.entries.invalidate(&asset.path);
                self.store.forget(asset.blob.into(), asset.size).await;
                self.forget_variants(asset.blob.into()).await;
            }
            matched += assets.len() as u64;
            if last.is_none() {
                break;
            }
            after = last;
        }
        add(&self.metrics.purged_assets, matched);
        add(&self.metrics.purges, 1);
        tracing::debug!(index, pattern = purge.pattern, matched, "carried out a purge");
        Ok(())
    }

    /// They are made anew when somebody asks for them.
    async fn forget_variants(&self, source: blake3::Hash) {
        for coding in Coding::ALL {
            if let Err(error) = self.store.remove_variant(variants::key(source, coding)).await {
                tracing::warn!(%source, error = &error as &dyn std::error::Error, "a variant of what was purged is kept");
            }
        }
    }
}
