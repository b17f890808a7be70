//! The access log of the cluster: each node keeps its own, and whoever is asked asks the others.
//!
//! Nothing of it is replicated. A node that does not answer in time is named in the answer, and what it has is not in it; a node that
//! started again begins with nothing. What a viewer may see is decided in one place, [`Viewer::narrow`].

mod follower;
mod own;
mod places;
mod remote;

use std::{cmp::Reverse, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream};
use ncore_model::{ClientId, NodeId};
use ncore_telemetry::{AccessLog, AccessPosition, AccessQuery, AccessRecord};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::follower::{Follower, News};
use self::{own::OwnLog, places::Places};

/// How long another node has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many nodes are asked at once. Each may answer with as many records as are wanted.
const ASKED_AT_ONCE: usize = 16;

/// Who wants to see the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// A client, who sees its own requests.
    Client(ClientId),
    /// An operator, who sees all.
    Operator,
}

impl Viewer {
    /// What of `query` the viewer may see.
    #[must_use]
    pub fn narrow(&self, query: AccessQuery) -> AccessQuery {
        match self {
            Self::Client(client) => AccessQuery { client: Some(client.as_str().to_owned()), ..query },
            Self::Operator => query,
        }
    }
}

/// The other nodes, as far as their logs go.
pub trait LogPeers: Send + Sync {
    /// All nodes but this one.
    fn others(&self) -> Vec<LogNode>;

    /// The newest `max` records of a node that are wanted.
    fn find<'a>(&'a self, node: NodeId, query: &'a AccessQuery, max: usize) -> BoxFuture<'a, Result<FoundLog, LogPeerError>>;

    /// What is wanted of the records of a node after the one with this number, or of those that it has from now on. The node may wait
    /// with its answer for something to tell, for some seconds.
    fn since<'a>(&'a self, node: NodeId, after: Option<u64>, query: &'a AccessQuery) -> BoxFuture<'a, Result<SinceLog, LogPeerError>>;
}

/// A node that has a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogNode {
    /// Which.
    pub id: NodeId,
    /// Its name.
    pub name: Arc<str>,
}

/// Why another node's log cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("node {node} does not give its access log")]
pub struct LogPeerError {
    /// Which node.
    pub node: NodeId,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What a node has of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundLog {
    /// The newest records, the newest first.
    pub records: Vec<AccessRecord>,
    /// When the oldest record that it keeps ended, whoever's that is, in microseconds of the Unix epoch: what was before is gone.
    pub oldest_us: Option<u64>,
}

/// What came at a node since it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SinceLog {
    /// What is wanted, the oldest first.
    pub records: Vec<AccessRecord>,
    /// The number after which to go on.
    pub after: u64,
    /// How many records had gone by before they could be told.
    pub missed: u64,
}

/// What there is of what is wanted, in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The newest records, the newest first.
    pub entries: Vec<LogEntry>,
    /// Whether there are more, older ones.
    pub has_more: bool,
    /// Every node, and whether it answered.
    pub nodes: Vec<NodeAnswer>,
}

/// A record of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Which node.
    pub node: LogNode,
    /// The record.
    pub record: AccessRecord,
}

/// Whether a node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAnswer {
    /// Which node.
    pub node: LogNode,
    /// Whether it answered in time.
    pub answered: bool,
    /// See [`FoundLog::oldest_us`].
    pub oldest_us: Option<u64>,
}

/// What [`Logs`] stand on.
pub struct LogParts {
    /// This node.
    pub node: LogNode,
    /// Its log.
    pub log: Arc<AccessLog>,
    /// The others.
    pub peers: Arc<dyn LogPeers>,
    /// Cancelled when the node is about to stop: nobody follows its log any more.
    pub stopping: CancellationToken,
}

/// The access log of the cluster.
pub struct Logs {
    node: LogNode,
    log: Arc<AccessLog>,
    peers: Arc<dyn LogPeers>,
    stopping: CancellationToken,
    places: Arc<Places>,
}

impl Logs {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: LogParts) -> Self {
        let LogParts { node, log, peers, stopping } = parts;
        Self { node, log, peers, stopping, places: Arc::default() }
    }

    /// The newest `limit` records that are wanted and that the viewer may see, of all nodes that answer.
    pub async fn find(&self, viewer: &Viewer, query: AccessQuery, limit: usize) -> LogPage {
        let query = viewer.narrow(query);
        // One more, to know whether there are more.
        let max = limit + 1;
        let mut page = LogPage { entries: Vec::new(), has_more: false, nodes: Vec::new() };
        let own = FoundLog { records: self.log.find(&query, self.node.id.0, max), oldest_us: self.log.oldest_us() };
        page.merge(self.node.clone(), Some(own), max);
        let asked = self.peers.others().into_iter().map(|node| async {
            let found = self.ask(&node, &query, max).await;
            (node, found)
        });
        let mut answers = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        while let Some((node, found)) = answers.next().await {
            page.merge(node, found, max);
        }
        page.nodes.sort_by_key(|answer| answer.node.id);
        page.has_more = page.entries.len() > limit;
        page.entries.truncate(limit);
        page
    }

    /// What is recorded from now on, at every node; `None` if as many follow at this one as may, or as the viewer may.
    #[must_use]
    pub fn follow(&self, viewer: &Viewer, query: AccessQuery) -> Option<Follower> {
        let place = self.places.take(viewer)?;
        let own = OwnLog::new(Arc::clone(&self.log), viewer.narrow(query), self.node.id, self.stopping.clone());
        Some(Follower::new(self.node.clone(), own, Arc::clone(&self.peers), place))
    }

    async fn ask(&self, node: &LogNode, query: &AccessQuery, max: usize) -> Option<FoundLog> {
        match timeout(PATIENCE, self.peers.find(node.id, query, max)).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a node did not give its access log");
                None
            }
            Err(_) => {
                tracing::debug!(node = %node.id, "a node did not give its access log in time");
                None
            }
        }
    }
}

impl LogPage {
    /// Adds what a node has. Only `max` entries are kept at any time.
    fn merge(&mut self, node: LogNode, found: Option<FoundLog>, max: usize) {
        let answered = found.is_some();
        let FoundLog { records, oldest_us } = found.unwrap_or_default();
        self.entries.extend(records.into_iter().map(|record| LogEntry { node: node.clone(), record }));
        self.entries.sort_by_key(|entry| Reverse(entry.position()));
        self.entries.truncate(max);
        self.nodes.push(NodeAnswer { node, answered, oldest_us });
    }
}

impl LogEntry {
    /// Where it stands among all entries.
    #[must_use]
    pub fn position(&self) -> AccessPosition {
        self.record.position(self.node.id.0)
    }
}
