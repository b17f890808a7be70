//! `ncore init`: the first node of a new cluster.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::Args;
use ncore_identity::{IdentityStore, NodeIdentity};

use super::output;
use crate::{
    config::{self, Config, Overrides},
    node::{FIRST_NODE, mark_founding},
};

#[derive(Args)]
pub(crate) struct Init {
    /// The configuration of the node
    #[arg(long, env = "NCORE_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

impl Init {
    pub(crate) fn run(self) -> Result<()> {
        let config = config::load(&self.config, &Overrides::of_process(&[]))?;
        let cluster = found(&config)?;
        output::say!("made cluster {cluster} with {} as its first node", config.node.name);
        output::say!("start it: ncore server --config {}", self.config.display());
        Ok(())
    }
}

/// Makes the authority of a new cluster, and this node's identity. Refused where there is an identity already.
pub(crate) fn found(config: &Config) -> Result<String> {
    let dir = &config.node.data_dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let identity = NodeIdentity::found(FIRST_NODE, now)?;
    IdentityStore::at(dir).create(&identity)?;
    mark_founding(dir)?;
    Ok(identity.cluster_id().to_string())
}
