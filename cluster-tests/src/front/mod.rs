//! One node with a zone: what viewers get of it, and what is left in it of what is over.
//!
//! The zone is by the book, its origin is on this machine, and the node answers for it under [`HOST`].

mod frames;
mod process;
mod quic;
mod secure;
mod servers;
mod viewer;

pub use frames::{Frame, Kind, fields, frame};
pub use process::Process;
pub use quic::{Quic, first_datagram, request};
pub use secure::{Http2, Secure};
pub use servers::{Running, Server};
pub use viewer::{Got, Viewer};

use crate::cluster::{Builder, Cluster, Node};
use crate::operator::{Credentials, OperatorError};
use crate::wait;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// The host under which the zone is served.
pub const HOST: &str = "front.test";

/// One node with a zone.
#[derive(Debug)]
pub struct Front {
    /// The node, alone in its cluster.
    pub cluster: Cluster,
    /// Whose zones these are.
    client: Credentials,
    zone: Zone,
}

/// A zone, as far as tests need it.
#[derive(Debug, Clone, Deserialize)]
pub struct Zone {
    /// Its id.
    pub uuid: String,
}

impl Front {
    /// A node that asks `origin`, a URL. `builder` has whatever is special about it, but no regions.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(builder: Builder, origin: &str) -> Result<Self> {
        let builder = builder.region("eu-ams", 1).setting("listen", "stop_delay", "0s");
        let cluster = builder.setting("origins", "allow", &["127.0.0.0/8", "::1/128"][..]).start().await?;
        let operator = cluster.node(0).operator();
        let client = wait::until(SETTLE, "a client", || operator.add_client("front")).await?;
        let arguments = ["--origin", origin, "--host", HOST];
        let zone = wait::until(SETTLE, "a zone", || make(&cluster, &client, &arguments)).await?;
        let front = Self { cluster, client, zone };
        front.serves(HOST).await?;
        Ok(front)
    }

    /// Another zone of the same client's, with the arguments of `ncore zone create`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn zone(&self, arguments: &[&str]) -> Result<Zone> {
        Ok(make(&self.cluster, &self.client, arguments).await?)
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.cluster.node(0)
    }

    /// Where it is spoken to over HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node().http_addr()
    }

    /// Waits until a host is a zone's.
    ///
    /// # Errors
    /// When it is not within a minute.
    pub async fn serves(&self, host: &str) -> Result<()> {
        wait::until(SETTLE, "the zone to be served", || async {
            let got = self.get_with(host, "/", "Cache-Control: only-if-cached\r\n").await?;
            ensure!(!got.field("x-cache").is_empty(), "{got:?}");
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// What a viewer gets who asks for a path over a connection of its own.
    ///
    /// # Errors
    /// When no head of an answer comes.
    pub async fn get(&self, path: &str) -> Result<Got> {
        self.get_with(HOST, path, "").await
    }

    /// The same with another host, and with more fields, as whole lines.
    ///
    /// # Errors
    /// When no head of an answer comes.
    pub async fn get_with(&self, host: &str, path: &str, fields: &str) -> Result<Got> {
        let mut viewer = Viewer::connect(self.address()).await?;
        viewer.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n")).await?;
        viewer.answer().await?.with_context(|| format!("no answer to {path} of {host}"))
    }

    /// Has what is cached under these paths be good for nothing, once that is so.
    ///
    /// # Errors
    /// When that is not confirmed.
    pub async fn purge(&self, paths: &[&str]) -> Result<(), OperatorError> {
        let arguments: Vec<&str> = paths.iter().flat_map(|path| ["--path", path]).collect();
        self.node().operator().run(&["zone", "purge", &self.zone.uuid], &arguments).await.map(drop)
    }

    /// All figures of the node, with their labels, as numbers.
    ///
    /// # Errors
    /// When it does not say them.
    pub async fn figures(&self) -> Result<Figures> {
        let mut viewer = Viewer::connect(self.address()).await?;
        viewer.send(format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address())).await?;
        let got = viewer.answer().await?.context("no figures")?;
        let text = String::from_utf8_lossy(&got.body).into_owned();
        let numbers = text.lines().filter_map(|line| line.rsplit_once(' ')).filter_map(|(name, value)| {
            let value: f64 = value.parse().ok()?;
            Some((name.to_owned(), value))
        });
        Ok(Figures(numbers.collect()))
    }

    /// The process of the node.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self) -> Result<Process> {
        Process::of(self.node().pid().context("the node runs")?)
    }
}

/// Figures by their names with labels.
#[derive(Debug, Clone)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// One of them.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn of(&self, name: &str) -> Result<f64> {
        self.0.get(name).copied().with_context(|| format!("there is no figure {name}"))
    }

    /// Those whose names begin so, in a line.
    #[must_use]
    pub fn line(&self, start: &str) -> String {
        let mut line = String::new();
        for (name, value) in self.0.iter().filter(|(name, value)| name.starts_with(start) && **value != 0.0) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{name} {value}  ");
        }
        line
    }
}

async fn make(cluster: &Cluster, client: &Credentials, arguments: &[&str]) -> Result<Zone, OperatorError> {
    let arguments = [arguments, &["--json"]].concat();
    cluster.node(0).operator().json(&["zone", "create", &client.client_id], &arguments).await
}

/// How long a healthy node may take.
const SETTLE: Duration = Duration::from_secs(60);
