//! Three voters: real nodes, on the core of the servers, without proxies between them.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cluster_tests::{
    cluster::{Config, Ports, Reaper},
    operator::Operator,
    wait,
};

use crate::process::{pinned, stop};

/// How long a step of the beginning may take.
const READY: Duration = Duration::from_secs(60);
/// Where the nodes stand, and the load.
pub(crate) const REGION: &str = "here";
const COUNT: usize = 3;

/// Three nodes that vote. Ended when dropped.
pub(crate) struct Voters {
    nodes: Vec<Voter>,
    http: reqwest::Client,
    _ports: Ports,
    // Behind the nodes: kills what is left of them, however this process ends.
    _reaper: Reaper,
}

struct Voter {
    child: Child,
    operator: Operator,
    url: String,
}

impl Voters {
    /// Starts them in `dir`, and waits until all vote.
    pub(crate) async fn start(binary: &Path, dir: &Path) -> Result<Self> {
        let (mut ports, reaper) = (Ports::reserve()?, Reaper::start()?);
        let mut nodes: Vec<Voter> = Vec::new();
        let http = reqwest::Client::new();
        for at in 1..=COUNT {
            let (file, url) = configure(dir, at, &mut ports)?;
            let operator = Operator::new(binary.to_owned(), file.clone());
            let mut command = pinned(binary.to_str().context("a path that is text")?);
            let log = File::create(file.with_extension("log"))?;
            command.args(["server", "--config"]).arg(&file).stderr(log).process_group(reaper.group());
            match nodes.first() {
                None => operator.init().await?,
                Some(first) => drop(command.args(["--join-token", &token(&first.operator, true).await?])),
            }
            nodes.push(Voter { child: command.spawn().context("cannot start ncore under taskset")?, operator, url: url.clone() });
            let ready = || async { http.get(format!("{url}/readyz")).send().await?.error_for_status() };
            wait::until(READY, "a voter to be ready", ready).await?;
        }
        let voters = Self { nodes, http, _ports: ports, _reaper: reaper };
        wait::until(READY, "three voters", || async {
            let status = voters.first().status().await?;
            ensure!(status.voters() == COUNT && status.leader.is_some(), "{status:?}");
            Ok(())
        })
        .await?;
        Ok(voters)
    }

    /// The operator of the first node.
    pub(crate) fn first(&self) -> &Operator {
        &self.nodes[0].operator
    }

    /// A token with which an edge joins.
    pub(crate) async fn edge_token(&self) -> Result<String> {
        token(self.first(), false).await
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.child.id()).collect()
    }

    /// Syncs of logs and of states, of all nodes together.
    pub(crate) async fn syncs(&self) -> Result<u64> {
        let mut syncs = 0;
        for node in &self.nodes {
            let figures = self.http.get(format!("{}/metrics", node.url)).send().await?.error_for_status()?.text().await?;
            syncs += figure(&figures, "ncore_raft_log_syncs_total")? + figure(&figures, "ncore_state_syncs_total")?;
        }
        Ok(syncs)
    }
}

impl Drop for Voters {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            stop(&mut node.child);
        }
    }
}

async fn token(operator: &Operator, voter: bool) -> Result<String> {
    Ok(wait::until(READY, "a join token", || operator.join_token(voter)).await?)
}

/// The file, and the base of the node's URLs.
fn configure(dir: &Path, at: usize, ports: &mut Ports) -> Result<(PathBuf, String)> {
    let (http, cluster) = (format!("127.0.0.1:{}", ports.take()?), format!("127.0.0.1:{}", ports.take()?));
    let mut config = Config::default();
    config
        .set("node", "name", format!("voter-{at}"))
        .set("node", "region", REGION)
        .set("node", "data_dir", dir.join(format!("voter-{at}")).as_path())
        .set("listen", "http", http.as_str())
        .set("listen", "cluster", cluster)
        .set("log", "filter", "error");
    let file = dir.join(format!("voter-{at}.toml"));
    std::fs::write(&file, config.to_toml())?;
    Ok((file, format!("http://{http}")))
}

/// The value of a counter or gauge without labels.
pub(crate) fn figure(figures: &str, name: &str) -> Result<u64> {
    let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = line.with_context(|| format!("there is no figure {name}"))?.trim().parse()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    Ok(value as u64)
}
