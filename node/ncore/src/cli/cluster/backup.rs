//! `ncore cluster backup`: the state of the cluster, put away.
//!
//! The node makes a checkpoint and streams it; this process hashes it on the way and writes it where backups are kept. The manifest
//! comes last, so what broke off is never taken for a backup.

mod manifest;
mod vault;

pub(crate) use manifest::Manifest;
pub(crate) use vault::Vault;

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{BackupHeader, BackupPiece, BackupRequest, backup_piece::Piece};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tonic::Streaming;

use super::super::{
    operator::{Operator, said},
    output,
};
use manifest::{ManifestFile, age_of};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    #[command(flatten)]
    make: Make,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// List the backups, oldest first
    List(List),
}

#[derive(Args)]
struct Make {
    /// Where to keep it: a directory, or s3://BUCKET/PREFIX with AWS_... in the environment
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Remove older backups there until so many are left
    #[arg(long, value_name = "NUMBER")]
    keep: Option<NonZeroUsize>,
    /// The URL of a store that speaks S3 and is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
struct List {
    /// Where backups are kept: a directory, or s3://BUCKET/PREFIX with AWS_... in the environment
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The URL of a store that speaks S3 and is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            Some(BackupCommand::List(list)) => list.run().await,
            None => self.make.run().await,
        }
    }
}

impl Make {
    async fn run(self) -> Result<()> {
        let to = self.to.context("where to? give --to DIRECTORY or --to s3://BUCKET/PREFIX")?;
        let vault = Vault::create(&to, self.endpoint.as_deref())?;
        let pieces = self.operator.connect().await?.backup(BackupRequest {}).await.map_err(said)?.into_inner();
        let manifest = put_away(&vault, pieces).await?;
        let removed = match self.keep {
            Some(keep) => remove_older(&vault, &manifest, keep).await?,
            None => Vec::new(),
        };
        if self.operator.json {
            return output::json(&json!({ "name": manifest.name(), "manifest": manifest, "removed": removed }));
        }
        output::say!("{}: {} files, {} bytes", manifest.name(), manifest.files.len(), manifest.bytes());
        output::say!("the state at revision {}.{}, without the content of assets", manifest.lineage, manifest.index);
        if !manifest.confirmed {
            output::say!("no leader confirmed it: it is what {} had, which may lack what was acknowledged last", manifest.node);
        }
        removed.iter().for_each(|name| output::say!("removed {name}"));
        Ok(())
    }
}

impl List {
    async fn run(self) -> Result<()> {
        let found = Vault::open(&self.from, self.endpoint.as_deref())?.list().await?;
        if self.json {
            let document =
                |found: &vault::Found| json!({ "name": found.name, "complete": found.manifest.is_some(), "manifest": found.manifest });
            return output::json(&found.iter().map(document).collect::<Vec<_>>());
        }
        let rows = found.into_iter().map(|found| match found.manifest {
            Some(manifest) => vec![
                found.name,
                format!("{}.{}", manifest.lineage, manifest.index),
                super::recover::time(manifest.log_time_ms),
                manifest.bytes().to_string(),
                if manifest.confirmed { "yes" } else { "no" }.to_owned(),
                manifest.cluster_id,
            ],
            None => vec![found.name, "incomplete".to_owned(), String::new(), String::new(), String::new(), String::new()],
        });
        output::table(&["NAME", "REVISION", "LOG TIME", "BYTES", "CONFIRMED", "CLUSTER"], rows);
        Ok(())
    }
}

/// Writes what a node sends. Only when all of it has come does it become a backup.
async fn put_away(vault: &Vault, mut pieces: Streaming<BackupPiece>) -> Result<Manifest> {
    let header = match next(&mut pieces).await? {
        Some(Piece::Header(header)) => header,
        _ => bail!("the node did not begin with a header"),
    };
    let mut manifest = Manifest::of(&header);
    let name = manifest.name();
    manifest.files = files(vault, &name, &header, pieces).await.with_context(|| format!("{name} is not complete, and not a backup"))?;
    vault.complete(&name, &manifest).await?;
    Ok(manifest)
}

async fn files(vault: &Vault, name: &str, header: &BackupHeader, mut pieces: Streaming<BackupPiece>) -> Result<Vec<ManifestFile>> {
    let mut files = Vec::new();
    let mut rest = Bytes::new();
    for file in &header.files {
        let mut writer = vault.writer(name, &file.name);
        let mut hasher = blake3::Hasher::new();
        let mut left = file.size;
        while left > 0 {
            if rest.is_empty() {
                rest = match next(&mut pieces).await? {
                    Some(Piece::Data(data)) => data,
                    _ => bail!("the node broke off"),
                };
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let data = rest.split_to(take);
            hasher.update(&data);
            writer.put(data).await.map_err(vault::told).with_context(|| format!("cannot write {}", file.name))?;
            left -= take as u64;
        }
        writer.shutdown().await.with_context(|| format!("cannot write {}", file.name))?;
        files.push(ManifestFile { name: file.name.clone(), size: file.size, blake3: hasher.finalize().to_hex().to_string() });
    }
    ensure!(rest.is_empty() && next(&mut pieces).await?.is_none(), "the node sent more than it had announced");
    Ok(files)
}

async fn next(pieces: &mut Streaming<BackupPiece>) -> Result<Option<Piece>> {
    match pieces.message().await.map_err(said)? {
        Some(BackupPiece { piece: Some(piece) }) => Ok(Some(piece)),
        Some(BackupPiece { piece: None }) => bail!("the node sent something that this build does not know"),
        None => Ok(None),
    }
}

/// Removes all but the newest `keep` backups of the cluster of `newest`, and what was left incomplete before the oldest of those.
/// Backups of other clusters in the same place are none of its business.
async fn remove_older(vault: &Vault, newest: &Manifest, keep: NonZeroUsize) -> Result<Vec<String>> {
    let mut found = vault.list().await?;
    found.retain(|found| found.manifest.as_ref().is_none_or(|manifest| manifest.cluster_id == newest.cluster_id));
    let complete: Vec<String> = found.iter().filter(|found| found.manifest.is_some()).map(|found| found.name.clone()).collect();
    let Some(oldest) = complete.len().checked_sub(keep.get()).and_then(|first| complete.get(first)) else {
        return Ok(Vec::new());
    };
    let old: Vec<String> = found.into_iter().map(|found| found.name).filter(|name| age_of(name) < age_of(oldest)).collect();
    for name in &old {
        vault.remove(name).await?;
    }
    Ok(old)
}
