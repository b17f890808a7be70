//! What the cluster has agreed on: one file, changed under a lock, replaced as a whole.

use crate::config::Config;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(crate) index: u64,
    pub(crate) leader: u64,
    pub(crate) members: BTreeMap<u64, Member>,
    /// Whether a node that joins with it votes.
    pub(crate) join_tokens: BTreeMap<String, bool>,
    pub(crate) clients: BTreeMap<String, String>,
    pub(crate) bearers: BTreeSet<String>,
    pub(crate) assets: BTreeMap<String, Asset>,
    /// By idempotency key.
    pub(crate) outcomes: BTreeMap<String, Asset>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) cluster: String,
    pub(crate) voter: bool,
    pub(crate) removed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asset {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) size: usize,
    pub sha256: String,
    pub(crate) version: u64,
}

impl Truth {
    pub(crate) fn add_member(&mut self, config: &Config, voter: bool) -> u64 {
        let id = self.index;
        let member =
            Member { name: config.name.clone(), region: config.region.clone(), cluster: config.cluster.clone(), voter, removed: false };
        self.members.insert(id, member);
        if self.leader == 0 {
            self.leader = id;
        }
        id
    }

    pub(crate) fn is_member(&self, id: u64) -> bool {
        self.members.get(&id).is_some_and(|member| !member.removed)
    }

    pub(crate) fn votes(&self, id: u64) -> bool {
        self.members.get(&id).is_some_and(|member| member.voter && !member.removed)
    }

    pub(crate) fn is_majority(&self, nodes: &BTreeSet<u64>) -> bool {
        let voters = self.members.keys().filter(|id| self.votes(**id)).count();
        nodes.iter().filter(|id| self.votes(**id)).count() * 2 > voters
    }

    pub(crate) fn put(&mut self, path: &str, sha256: &str, size: usize) -> Asset {
        let id = self.assets.get(path).map_or_else(|| format!("as_{}", self.index), |asset| asset.id.clone());
        let asset = Asset { id, path: path.to_owned(), size, sha256: sha256.to_owned(), version: self.index };
        self.assets.insert(path.to_owned(), asset.clone());
        asset
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Asset> {
        self.assets.values().find(|asset| asset.id == id)
    }

    pub(crate) fn forget_latest(&mut self) {
        let latest = self.assets.values().max_by_key(|asset| asset.version).map(|asset| asset.path.clone());
        latest.map(|path| self.assets.remove(&path));
    }
}

pub(crate) fn read(config: &Config) -> Result<Truth> {
    Ok(serde_json::from_slice(&fs::read(config.truth()).context("there is no cluster")?)?)
}

/// Changes the truth; every change has an index.
pub(crate) fn update<T>(config: &Config, change: impl FnOnce(&mut Truth) -> T) -> Result<T> {
    let path = config.truth();
    let lock = File::create(path.with_extension("lock"))?;
    lock.lock()?;
    let mut truth = if path.exists() { read(config)? } else { Truth::default() };
    truth.index += 1;
    let result = change(&mut truth);
    let fresh = path.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(&truth)?)?;
    fs::rename(&fresh, &path)?;
    Ok(result)
}
