//! What was acknowledged, and whether it is still there.

use super::Content;
use crate::client::{Api, Asset, Bytewise, Outcome};
use crate::cluster::Node;
use crate::wait;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The acknowledged uploads of a run; clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Entry>>>);

/// One acknowledged upload.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the node answered.
    pub asset: Asset,
    /// What was uploaded.
    pub content: Content,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an acknowledgement, after a look at whether it is about what was sent.
    ///
    /// # Errors
    /// When the asset described is another than the one uploaded.
    pub fn note(&self, asset: Asset, path: &str, content: Content) -> Result<()> {
        ensure!(asset.path == path, "uploaded to {path}, and told about {}", asset.path);
        ensure!(asset.size == content.size() as u64, "uploaded {} bytes, and told {asset:?}", content.size());
        if let Some(sha256) = &asset.sha256 {
            ensure!(*sha256 == content.sha256(), "the SHA-256 of {path} is wrong: {sha256}");
        }
        self.0.lock().push(Entry { asset, content });
        Ok(())
    }

    /// How many uploads were acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the entries.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().clone()
    }

    /// Checks that every acknowledged asset has the right bytes at every node.
    ///
    /// A node may still be fetching, so each read is repeated until `deadline`; but not a wrong byte, which is never
    /// right.
    ///
    /// # Errors
    /// The first loss, or the first wrong byte.
    pub async fn readable_at(&self, api: &Api, nodes: &[Node], deadline: Duration) -> Result<()> {
        let reads = nodes.iter().flat_map(|node| self.entries().into_iter().map(move |entry| (node, entry)));
        stream::iter(reads)
            .map(|(node, entry)| async move { entry.readable_at(api, node, deadline).await })
            .buffer_unordered(READERS)
            .try_collect::<()>()
            .await
    }

    /// Checks that each node lists exactly the acknowledged assets below `prefix`, each once.
    ///
    /// # Errors
    /// When one is missing, there twice, another than was acknowledged, or was never acknowledged.
    pub async fn listed_once_at(&self, api: &Api, nodes: &[Node], prefix: &str) -> Result<()> {
        let expected: BTreeMap<String, Entry> = self.entries().into_iter().map(|entry| (entry.asset.path.clone(), entry)).collect();
        for node in nodes {
            let there = api.at(node);
            let listed = there.list(prefix).await.done().with_context(|| format!("list the assets at {}", node.name()))?;
            let mut missing = expected.clone();
            for asset in listed {
                let Some(entry) = missing.remove(&asset.path) else {
                    let known = if expected.contains_key(&asset.path) { "a second time" } else { "never acknowledged" };
                    bail!("{} lists {known}: {asset:?}", node.name());
                };
                ensure!(asset.id == entry.asset.id, "{} lists {asset:?}, acknowledged was {:?}", node.name(), entry.asset);
            }
            ensure!(missing.is_empty(), "{} does not list {:?}", node.name(), missing.keys());
        }
        Ok(())
    }
}

impl Entry {
    /// Reads the asset at a node until it is complete and right.
    ///
    /// # Errors
    /// When it is not within `deadline`; at once when a byte is wrong.
    pub async fn readable_at(&self, api: &Api, node: &Node, deadline: Duration) -> Result<()> {
        let expected = self.content.bytes();
        let path = &self.asset.path;
        let what = format!("{path} ({} bytes) at {}", expected.len(), node.name());
        wait::until(deadline, &what, || async {
            let download = match api.at(node).get(path).await {
                Outcome::Ok(download) => download,
                other => return Err(anyhow!("{}", other.done().err().map_or_else(String::new, |not| not.to_string()))),
            };
            match download.judge(&expected) {
                Bytewise::Right => Ok(Ok(())),
                Bytewise::RightUntilBroken { length } => Err(anyhow!("broke after {length} bytes")),
                Bytewise::Wrong { offset } => Ok(Err(anyhow!("{what}: wrong at byte {offset}"))),
            }
        })
        .await?
    }
}

const READERS: usize = 6;
