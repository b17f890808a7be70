//! From a description of a cluster to running processes.

use super::config::{Config, Value};
use super::node::{Plan, READY};
use super::ports::Ports;
use super::reaper::Reaper;
use super::{Cluster, Node, Role, binary};
use crate::link::{Ends, Links};
use crate::seed::Seed;
use anyhow::{Context as _, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Describes a cluster; made by [`Cluster::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    regions: Vec<(String, usize)>,
    edges: Vec<(String, Role)>,
    spares: Vec<String>,
    seed: Seed,
    disk_faults: bool,
    settings: Vec<(String, String, Value)>,
    binary: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            regions: Vec::new(),
            edges: Vec::new(),
            spares: Vec::new(),
            seed: Seed::random(),
            disk_faults: false,
            settings: Vec::new(),
            binary: None,
            environment: Vec::new(),
        }
    }

    /// Adds `count` voters in `region`. Without any call there is one each in `eu-ams`, `us-nyc` and `ap-sin`.
    #[must_use]
    pub fn region(mut self, region: &str, count: usize) -> Self {
        self.regions.push((region.to_owned(), count));
        self
    }

    /// Adds `count` edges in `region`: nodes that follow a hub and do not vote. They join after the voters.
    #[must_use]
    pub fn edges(mut self, region: &str, count: usize) -> Self {
        self.edges.extend(std::iter::repeat_n((region.to_owned(), Role::Edge), count));
        self
    }

    /// Adds `count` edges in `region` that pass the log on. They join after the voters, in the order of these calls.
    #[must_use]
    pub fn relays(mut self, region: &str, count: usize) -> Self {
        self.edges.extend(std::iter::repeat_n((region.to_owned(), Role::Relay), count));
        self
    }

    /// Plans one more node in `region`, which [`Cluster::join`] starts later. Its links exist from the beginning.
    #[must_use]
    pub fn spare(mut self, region: &str) -> Self {
        self.spares.push(region.to_owned());
        self
    }

    /// The seed of the choices that the harness itself makes (which bit of a corrupted message is flipped).
    #[must_use]
    pub const fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Whether the disks of the nodes can fail; see [`Node::disk`].
    #[must_use]
    pub const fn disk_faults(mut self, on: bool) -> Self {
        self.disk_faults = on;
        self
    }

    /// Sets a key of every node's configuration file, for example
    /// `.setting("cluster", "request_deadline", "3s")`.
    #[must_use]
    pub fn setting(mut self, section: &str, key: &str, value: impl Into<Value>) -> Self {
        self.settings.push((section.to_owned(), key.to_owned(), value.into()));
        self
    }

    /// Uses this program and not the one that [`binary::ncore`] finds.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Sets a variable of the environment of every node.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the cluster: the first node by `ncore init`, the others one by one with a join token, and waits until
    /// all are ready and vote, and nothing about the cluster changes by itself any more.
    ///
    /// # Errors
    /// When a program is missing, a port is taken, or a node does not come up in time.
    pub async fn start(self) -> Result<Cluster> {
        let binary = self.binary.clone().map_or_else(binary::ncore, Ok)?;
        let library = self.disk_faults.then(binary::disk_faults).transpose()?;
        let dir = tempfile::Builder::new().prefix("ncore-").tempdir().context("create a directory for the cluster")?;
        let reaper = Reaper::start()?;
        let mut ports = Ports::reserve()?;
        let places = self.places(&mut ports)?;
        let ends: Vec<SocketAddr> = places.iter().map(|place| place.cluster).collect();
        let links = Links::open(&ends, self.seed.derive("links")).context("open the links between the nodes")?;
        let mut nodes = Vec::new();
        for (slot, place) in places.iter().enumerate() {
            let plan = Plan {
                slot,
                name: place.name.clone(),
                region: place.region.clone(),
                http: place.http,
                cluster: place.cluster,
                dir: dir.path().join(&place.name),
                config: self.config(slot, place, dir.path(), &links),
                binary: binary.clone(),
                group: reaper.group(),
                disk_faults: library.clone(),
                environment: self.environment.clone(),
            };
            nodes.push(Node::new(plan)?);
        }
        let spares = nodes.split_off(nodes.len() - self.spares.len());
        let edges = nodes.split_off(nodes.len() - self.edges.len());
        let mut cluster = Cluster::assemble(self.seed, spares, links, reaper, ports, dir);
        cluster.begin(nodes, edges).await.context("start the cluster")?;
        Ok(cluster)
    }

    /// Names and addresses: voters, edges, and the spares last.
    fn places(&self, ports: &mut Ports) -> Result<Vec<Place>> {
        let defaults = || DEFAULT_REGIONS.map(|region| (region.to_owned(), 1)).to_vec();
        let regions = if self.regions.is_empty() { defaults() } else { self.regions.clone() };
        let voters = regions.into_iter().flat_map(|(region, count)| std::iter::repeat_n(region, count));
        let mut places: Vec<Place> = Vec::new();
        let voters = voters.map(|region| (region, Role::Voter));
        let spares = self.spares.iter().map(|region| (region.clone(), Role::Edge));
        for (region, role) in voters.chain(self.edges.iter().cloned()).chain(spares) {
            let ordinal = places.iter().filter(|place| place.region == region).count() + 1;
            let name = format!("{region}-{ordinal}");
            places.push(Place { name, region, role, http: local(ports.take()?), cluster: local(ports.take()?) });
        }
        Ok(places)
    }

    fn config(&self, slot: usize, place: &Place, dir: &Path, links: &Links) -> Config {
        let mut config = Config::default();
        config
            .set("node", "name", place.name.as_str())
            .set("node", "region", place.region.as_str())
            .set("node", "data_dir", dir.join(&place.name).join("data").as_path())
            .set("listen", "http", place.http.to_string())
            .set("listen", "cluster", place.cluster.to_string())
            .set("log", "format", "text");
        if place.role == Role::Relay {
            config.set("cluster", "relay", true);
        }
        for Ends { advertised, through } in links.dial_table(slot) {
            config.set("dial", &advertised.to_string(), through.to_string());
        }
        for (section, key, value) in &self.settings {
            config.set(section, key, value.clone());
        }
        config
    }
}

/// Who a node is and where it listens.
struct Place {
    name: String,
    region: String,
    role: Role,
    http: SocketAddr,
    cluster: SocketAddr,
}

impl Cluster {
    /// Brings up the first generation of nodes.
    async fn begin(&mut self, nodes: Vec<Node>, edges: Vec<Node>) -> Result<()> {
        for node in nodes {
            if self.nodes().is_empty() {
                node.operator().init().await?;
                node.start()?;
                self.admit(node.clone());
                node.ready(READY).await?;
                self.learn_ids().await?;
            } else {
                self.bring_in(node, Role::Voter).await?;
            }
        }
        let voters = self.nodes().len();
        crate::wait::until(READY, "all nodes to vote, at the highest level that they have", || async {
            let status = self.status().await?;
            anyhow::ensure!(status.voters() == voters && status.leader.is_some(), "{status:?}");
            anyhow::ensure!(voters < ONE_MAY_BE_LOST || status.has_settled_voters(), "{status:?}");
            anyhow::ensure!(status.has_risen(), "{status:?}");
            Ok(())
        })
        .await?;
        for node in edges {
            self.bring_in(node, Role::Edge).await?;
        }
        Ok(())
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// As many voters as the product aims at by itself, the least of which one may be lost.
const ONE_MAY_BE_LOST: usize = 3;
const DEFAULT_REGIONS: [&str; 3] = ["eu-ams", "us-nyc", "ap-sin"];
