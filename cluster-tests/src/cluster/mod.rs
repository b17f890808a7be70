//! Clusters of real `ncore` processes on this machine.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use cluster_tests::{Cluster, Seed};
//!
//! let cluster = Cluster::builder().seed(Seed::new(7)).start().await?;
//! let api = cluster.api("tester").await?;
//! cluster.leader().await?.kill_9().await?;
//! // ... check something ...
//! cluster.shutdown().await
//! # }
//! ```
//!
//! Nodes reach each other only through the proxies of [`Links`]. Clients reach them directly, or through a
//! [`Gate`](crate::link::Gate). [`Cluster::shutdown`] is how a test says that all is well: it stops the nodes, checks that they stop
//! cleanly, and removes their files. A cluster that is dropped in any other way is taken for a failed test: the
//! processes are killed, the files stay, and the ends of the logs are printed.
//!
//! Edges (nodes that follow a hub and do not vote) are planned with [`Builder::edges`] and [`Builder::relays`], or join later by
//! [`Cluster::join`] with [`Role::Edge`].

pub mod binary;
mod builder;
mod config;
mod node;
mod ports;
mod reaper;
mod status;

pub use builder::Builder;
pub use config::{Config, Value};
pub use node::Node;
pub(crate) use node::without_our_environment;
pub use ports::Ports;
pub use reaper::Reaper;
pub use status::{ClusterStatus, NodeStatus};

use crate::client::Api;
use crate::link::{Gate, Links};
use crate::seed::Seed;
use crate::wait;
use anyhow::{Context as _, Result, anyhow, ensure};
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A running cluster; see the module's documentation.
#[derive(Debug)]
pub struct Cluster {
    seed: Seed,
    nodes: Vec<Node>,
    spares: Vec<Node>,
    links: Links,
    // Dropped after the nodes' handles: kills what is left of them.
    _reaper: Reaper,
    _ports: Ports,
    dir: Option<TempDir>,
}

/// What a node is to be in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes part in agreement.
    Voter,
    /// Serves, and follows a hub: a voter or a relay.
    Edge,
    /// An edge that passes the log on.
    Relay,
}

impl Cluster {
    /// Describes a new cluster.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn assemble(seed: Seed, spares: Vec<Node>, links: Links, reaper: Reaper, ports: Ports, dir: TempDir) -> Self {
        Self { seed, nodes: Vec::new(), spares, links, _reaper: reaper, _ports: ports, dir: Some(dir) }
    }

    /// The nodes, whether they run or not, in the order of their slots.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node in a slot.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, slot: usize) -> &Node {
        &self.nodes[slot]
    }

    /// The links between the nodes, and how to break them.
    #[must_use]
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// Sets how long bytes are under way from one region to another, each way. Within a region they arrive at once.
    pub fn distances(&self, between: impl Fn(&str, &str) -> Duration) {
        for from in self.nodes() {
            for to in self.nodes().iter().filter(|to| to.region() != from.region()) {
                self.links.delay(from.slot(), to.slot(), between(from.region(), to.region()));
            }
        }
    }

    /// The seed given to the builder.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        self.seed
    }

    /// The directory of all the nodes' files, until [`Cluster::shutdown`].
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// A gate in front of a node's HTTP port, through which the link between a client and that node can be broken.
    ///
    /// # Errors
    /// When no port is free.
    pub fn gate(&self, node: &Node) -> Result<Gate> {
        self.links.gate(node.http_addr()).with_context(|| format!("open a gate to {}", node.name()))
    }

    /// The cluster as the first node that answers sees it.
    ///
    /// # Errors
    /// When no running node answers.
    pub async fn status(&self) -> Result<ClusterStatus> {
        let mut last = anyhow!("no node runs");
        for node in self.running() {
            match node.operator().status().await {
                Ok(status) => return Ok(status),
                Err(error) => last = error.into(),
            }
        }
        Err(last.context("ask for the cluster's status"))
    }

    /// The node that leads, as soon as a running node names a running node as leader.
    ///
    /// # Errors
    /// When there is none for half a minute.
    pub async fn leader(&self) -> Result<Node> {
        let running: Vec<Node> = self.running().cloned().collect();
        self.leader_among(&running).await
    }

    /// The leader in the eyes of `judges`, who must name one of themselves.
    ///
    /// # Errors
    /// When they name none for half a minute.
    pub async fn leader_among(&self, judges: &[Node]) -> Result<Node> {
        let found = wait::until(SETTLE, "a leader", || async {
            for judge in judges {
                let leader = judge.operator().status().await?.leader;
                if let Some(node) = judges.iter().find(|node| leader.is_some() && node.id().ok() == leader) {
                    return Ok(node.clone());
                }
            }
            Err(anyhow!("none of {:?} names one of them", judges.iter().map(Node::name).collect::<Vec<_>>()))
        })
        .await?;
        Ok(found)
    }

    /// A running node that does not lead.
    ///
    /// # Errors
    /// When there is no leader, or nobody else.
    pub async fn follower(&self) -> Result<Node> {
        let leader = self.leader().await?;
        self.running().find(|node| node.slot() != leader.slot()).cloned().context("the leader is alone")
    }

    /// Waits until all nodes run, are ready, have applied the same entries, and have the same state.
    ///
    /// # Errors
    /// When that takes longer than `deadline`; at once when two nodes differ at the same index.
    pub async fn converged(&self, deadline: Duration) -> Result<String> {
        try_join_all(self.nodes.iter().map(|node| node.ready(deadline))).await?;
        wait::until(deadline, "all nodes to have the same state", || async {
            let status = self.node(0).operator().status_with_state_hash().await?;
            match self.compare(&status) {
                Comparison::Same(hash) => Ok(Ok(hash)),
                Comparison::NotYet => Err(anyhow!("{status:?}")),
                Comparison::Diverged => Ok(Err(anyhow!("nodes have diverged: {status:?}"))),
            }
        })
        .await?
    }

    /// Makes an API client and waits until every running node accepts it.
    ///
    /// # Errors
    /// When the operator's command fails, or a node does not know the client in time.
    pub async fn api(&self, name: &str) -> Result<Api> {
        let operator = self.running().next().context("no node runs")?.operator();
        let credentials = wait::until(SETTLE, "a new API client", || operator.add_client(name)).await?;
        let api = Api::new(credentials)?;
        for node in self.running() {
            let what = format!("{} to accept the client {name}", node.name());
            let there = api.at(node);
            wait::until(SETTLE, &what, || there.log_in()).await?;
        }
        Ok(api)
    }

    /// Starts the next spare node and waits until it is a member and ready.
    ///
    /// # Errors
    /// When no spare was planned, or it does not get in.
    pub async fn join(&mut self, role: Role) -> Result<Node> {
        let node = self.take_spare()?;
        self.bring_in(node.clone(), role).await?;
        Ok(node)
    }

    /// The next spare node, which is started by no one and is no part of this cluster.
    ///
    /// # Errors
    /// When no spare was planned.
    pub fn take_spare(&mut self) -> Result<Node> {
        ensure!(!self.spares.is_empty(), "the cluster was built without (another) spare node");
        Ok(self.spares.remove(0))
    }

    /// Wipes a node that does not run, and lets it join anew: the same name and addresses, another id.
    ///
    /// # Errors
    /// When its data cannot be removed, or it does not get in.
    pub async fn rejoin(&mut self, node: &Node, role: Role) -> Result<()> {
        node.wipe()?;
        self.forget(node);
        self.bring_in(node.clone(), role).await
    }

    /// Forgets a node, after it was removed from the cluster: it no longer counts for [`Cluster::converged`].
    pub fn forget(&mut self, node: &Node) {
        self.nodes.retain(|kept| kept.slot() != node.slot());
    }

    /// Ends the test well: stops all nodes, checks that each ended cleanly, removes the files.
    ///
    /// # Errors
    /// When a node does not stop in time or ends with an error.
    pub async fn shutdown(mut self) -> Result<()> {
        self.links.heal_all();
        let running: Vec<&Node> = self.running().collect();
        let stops = running.iter().map(|node| async {
            let status = node.stop().await?;
            ensure!(status.success(), "{} ended with {status} after SIGTERM", node.name());
            Ok(())
        });
        try_join_all(stops).await?;
        if let Some(dir) = self.dir.take() {
            dir.close().context("remove the cluster's files")?;
        }
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.pid().is_some())
    }

    fn admit(&mut self, node: Node) {
        self.nodes.push(node);
    }

    async fn bring_in(&mut self, node: Node, role: Role) -> Result<()> {
        let operator = self.running().next().context("no node runs")?.operator();
        let token = wait::until(SETTLE, "a join token", || operator.join_token(role == Role::Voter)).await?;
        node.start_with(&["--join-token", &token])?;
        self.admit(node.clone());
        node.ready(node::READY).await?;
        self.learn_ids().await
    }

    /// Waits until every node is a member by name, and notes the ids.
    async fn learn_ids(&self) -> Result<()> {
        wait::until(SETTLE, "all nodes to be members", || async {
            let status = self.status().await?;
            for node in &self.nodes {
                let member = status.node(node.name());
                node.learn_id(member.with_context(|| format!("{} is not in {status:?}", node.name()))?.id);
            }
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        Ok(())
    }

    fn compare(&self, status: &ClusterStatus) -> Comparison {
        let mut states = BTreeSet::new();
        for node in &self.nodes {
            match status.node(node.name()).and_then(NodeStatus::state) {
                Some((applied, hash)) => states.insert((applied, hash.to_owned())),
                None => return Comparison::NotYet,
            };
        }
        let indexes: BTreeSet<u64> = states.iter().map(|(applied, _)| *applied).collect();
        match states.first() {
            Some((_, hash)) if states.len() == 1 => Comparison::Same(hash.clone()),
            _ if indexes.len() < states.len() => Comparison::Diverged,
            _ => Comparison::NotYet,
        }
    }
}

/// How the states of the nodes relate.
enum Comparison {
    Same(String),
    NotYet,
    /// Two nodes have applied the same entries and are not in the same state: the worst there is.
    Diverged,
}

impl Drop for Cluster {
    #[expect(clippy::print_stderr, reason = "a failed test must say where its remains are")]
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else { return };
        let dir = dir.keep();
        eprintln!("\nthe cluster's files are kept in {} (seed {})", dir.display(), self.seed);
        for node in &self.nodes {
            let state = match (node.pid(), node.exit_status()) {
                (Some(pid), _) => format!("running as {pid}"),
                (None, Ok(Some(status))) => format!("ended with {status}"),
                (None, _) => String::from("not started"),
            };
            eprintln!("--- {} ({state}), {}:\n{}", node.name(), node.log_path().display(), node.log_tail(12));
        }
    }
}

/// How long a healthy cluster may take to agree on something.
const SETTLE: Duration = Duration::from_secs(30);
