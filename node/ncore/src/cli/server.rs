//! `ncore server`: a node, until it is told to stop.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    config::{self, Overrides},
    node,
};

#[derive(Args)]
pub(crate) struct Server {
    /// The configuration of the node
    #[arg(long, env = "NCORE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// A token to join a cluster with, for a machine that is no node yet; ignored by one that is
    #[arg(long, env = "NCORE_JOIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    join_token: Option<String>,
    /// Override a setting, for example --set log.filter=debug
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Server {
    pub(crate) fn run(self) -> Result<()> {
        let config = config::load(&self.config, &Overrides::of_process(&self.set))?;
        node::run(&config, self.join_token)
    }
}
