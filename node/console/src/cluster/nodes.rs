//! The nodes of the cluster, as the console wants to know them: from whoever can ask them.

use futures_util::future::BoxFuture;
use ncore_telemetry::Summary;

use crate::BoxError;

/// The nodes of the cluster.
pub trait Nodes: Send + Sync {
    /// Those that were not removed, in the order of joining, this one among them.
    ///
    /// # Errors
    /// That the state cannot be read.
    fn members(&self) -> Result<Vec<Member>, BoxError>;

    /// What a node says of itself now. It is given up by whoever asks.
    fn ask(&self, node: u64) -> BoxFuture<'static, Result<NodeNow, Unheard>>;
}

/// A node as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// Its public base URL.
    pub url: String,
    /// The version of its software, as it said when it started.
    pub software: String,
    /// Whether it votes.
    pub is_voter: bool,
    /// Whether it passes the log on without a vote.
    pub is_relay: bool,
    /// Whether the operator is about to remove it.
    pub is_draining: bool,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeNow {
    /// What it is to Raft: `leader`, `follower`, `candidate`, `learner`, `edge`.
    pub role: String,
    /// The index of the last change that it has applied.
    pub applied: u64,
    /// Why it is fenced; `None` while it is fresh.
    pub fence: Option<String>,
    /// The version of its software.
    pub software: String,
    /// How long it runs, in seconds.
    pub uptime_s: u64,
    /// Its figures.
    pub summary: Summary,
    /// What happened to it, the newest first.
    pub events: Vec<NodeEvent>,
}

/// Something that happened to a node. It is text, since a node of another version may know of other things.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeEvent {
    /// When the node saw it, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// `info`, `warning`, `error`.
    pub level: String,
    /// What.
    pub kind: String,
    /// To whom, or how much.
    pub about: String,
}

/// Why nothing is known of a node now.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// It does not answer.
    #[error("the node does not answer")]
    Away(#[source] BoxError),
    /// It answers, and its software is too old to tell its figures.
    #[error("the software of the node is too old to tell")]
    Older,
}

/// The most events that are told of a node.
pub const EVENTS_TOLD: usize = 16;
/// How many seconds of a line are told of a node.
pub const LINE_TOLD: usize = 60;
