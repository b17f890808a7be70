//! One real node: its configuration, its process on one of the cores, and its figures.

use std::{fs::File, os::unix::process::CommandExt, path::Path, process::Child};

use anyhow::{Context, Result};
use cluster_tests::{
    cluster::{Config, Ports, Reaper},
    operator::Operator,
};

use crate::process::{pinned_to, stop};

/// A node. Ended when dropped.
pub(crate) struct Node {
    pub(crate) operator: Operator,
    url: String,
    child: Child,
}

/// Where a node stands, and how it comes to the others.
pub(crate) struct Plan<'a> {
    pub(crate) name: String,
    pub(crate) region: &'a str,
    pub(crate) core: &'static str,
    /// With which it joins; without one it founds a cluster.
    pub(crate) join_token: Option<String>,
}

impl Node {
    /// Starts it in `dir`.
    pub(crate) async fn start(plan: Plan<'_>, binary: &Path, dir: &Path, ports: &mut Ports, reaper: &Reaper) -> Result<Self> {
        let (http, cluster) = (format!("127.0.0.1:{}", ports.take()?), format!("127.0.0.1:{}", ports.take()?));
        let mut config = Config::default();
        config
            .set("node", "name", plan.name.as_str())
            .set("node", "region", plan.region)
            .set("node", "data_dir", dir.join(&plan.name).as_path())
            .set("listen", "http", http.as_str())
            .set("listen", "cluster", cluster)
            .set("log", "filter", "error");
        let file = dir.join(&plan.name).with_extension("toml");
        std::fs::write(&file, config.to_toml())?;
        let operator = Operator::new(binary.to_owned(), file.clone());
        let mut program = pinned_to(plan.core, binary.to_str().context("a path that is text")?);
        program.args(["server", "--config"]).arg(&file).stderr(File::create(file.with_extension("log"))?).process_group(reaper.group());
        match plan.join_token {
            None => operator.init().await?,
            Some(token) => drop(program.args(["--join-token", &token])),
        }
        let child = program.spawn().context("cannot start ncore under taskset")?;
        Ok(Self { operator, url: format!("http://{http}"), child })
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has a state of the cluster.
    pub(crate) async fn is_ready(&self, http: &reqwest::Client) -> Result<()> {
        http.get(format!("{}/readyz", self.url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// The values of counters or gauges without labels.
    pub(crate) async fn figures<const N: usize>(&self, http: &reqwest::Client, names: [&str; N]) -> Result<[u64; N]> {
        let figures = http.get(format!("{}/metrics", self.url)).send().await?.error_for_status()?.text().await?;
        let mut values = [0; N];
        for (value, name) in values.iter_mut().zip(names) {
            *value = figure(&figures, name)?;
        }
        Ok(values)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// The value of a counter or gauge without labels.
pub(crate) fn figure(figures: &str, name: &str) -> Result<u64> {
    let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = line.with_context(|| format!("there is no figure {name}"))?.trim().parse()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    Ok(value as u64)
}
