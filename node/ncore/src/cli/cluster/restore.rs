//! `ncore cluster restore`: a new cluster of one, from a backup.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::TryStreamExt;
use serde_json::json;
use tokio::{fs::File, io::AsyncWriteExt};

use super::{
    super::output,
    backup::{Manifest, Vault},
    recover::time,
};
use crate::{
    config::{self, Overrides},
    node::{EmptyNode, Expected},
};

#[derive(Args)]
pub(crate) struct Restore {
    /// Where backups are kept: a directory, or s3://BUCKET/PREFIX with AWS_... in the environment
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Which backup, by the name that `backup list` shows; by default the newest
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The URL of a store that speaks S3 and is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The configuration of the new cluster's first node, on this machine
    #[arg(long, env = "NCORE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The number of the new lineage, if a cluster made from the same backup had the next one already
    #[arg(long, value_name = "NUMBER")]
    lineage: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(crate) async fn run(self) -> Result<()> {
        let config = config::load(&self.config, &Overrides::of_process(&[]))?;
        let vault = Vault::open(&self.from, self.endpoint.as_deref())?;
        let (name, manifest) = self.chosen(&vault).await?;
        let empty = EmptyNode::claim(&config)?;
        fetch(&vault, &name, &manifest, &empty.checkpoint_dir()).await?;
        let hash = hex::decode(&manifest.state_hash).ok().and_then(|hash| hash.try_into().ok());
        let expected = Expected {
            lineage: manifest.lineage,
            index: manifest.index,
            state_hash: hash.context("the manifest has no hash of the state")?,
        };
        let (cluster, rebuilt) = empty.restore(&config, &expected, self.lineage)?;
        if self.json {
            return output::json(&json!({
                "name": name, "cluster_id": cluster, "node": rebuilt.begun.lineage.node.0, "base": rebuilt.base.to_string(),
                "log_time": time(rebuilt.log_time_ms), "unverified": rebuilt.unverified, "lineage": rebuilt.begun.lineage.number,
                "index": rebuilt.index, "confirmed": manifest.confirmed,
            }));
        }
        output::say!("restored {name}: the state at revision {}, {} by the time of the log", rebuilt.base, time(rebuilt.log_time_ms));
        output::say!(
            "it is a new cluster, {cluster}, of lineage {}, with {} as its first node",
            rebuilt.begun.lineage.number,
            config.node.name
        );
        output::say!("its {} assets have no content here until machines that hold it join, or it is uploaded again", rebuilt.unverified);
        output::say!("clients keep their ids and secrets, and have to ask for new access tokens");
        output::say!("start it: ncore server --config {}", self.config.display());
        Ok(())
    }

    async fn chosen(&self, vault: &Vault) -> Result<(String, Manifest)> {
        let mut found = vault.list().await?;
        found.retain(|found| self.name.as_ref().is_none_or(|name| found.name == *name));
        let incomplete = found.iter().any(|found| found.manifest.is_none());
        let complete = found.into_iter().rev().find_map(|found| Some((found.name, found.manifest?)));
        match (complete, &self.name) {
            (Some(chosen), _) => Ok(chosen),
            (None, Some(name)) if incomplete => bail!("{name} was never completed, and is no backup"),
            (None, Some(name)) => bail!("there is no backup {name} in {}", self.from),
            (None, None) => bail!("there is no backup in {}", self.from),
        }
    }
}

/// Brings the files here, and checks each against the manifest.
async fn fetch(vault: &Vault, name: &str, manifest: &Manifest, dir: &Path) -> Result<()> {
    tokio::fs::create_dir(dir).await.with_context(|| format!("cannot create {}", dir.display()))?;
    for file in &manifest.files {
        let mut content = vault.read(name, &file.name).await?;
        let mut written = File::create_new(dir.join(&file.name)).await.with_context(|| format!("cannot write {}", file.name))?;
        let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
        while let Some(data) = content.try_next().await.with_context(|| format!("cannot read {} of {name}", file.name))? {
            hasher.update(&data);
            size += data.len() as u64;
            ensure!(size <= file.size, "{} of {name} is longer than it was", file.name);
            written.write_all(&data).await.with_context(|| format!("cannot write {}", file.name))?;
        }
        ensure!(size == file.size, "{} of {name} is shorter than it was", file.name);
        ensure!(hasher.finalize().to_hex().as_str() == file.blake3, "{} of {name} is damaged: it has another hash than it had", file.name);
        written.sync_all().await.with_context(|| format!("cannot sync {}", file.name))?;
    }
    Ok(())
}
