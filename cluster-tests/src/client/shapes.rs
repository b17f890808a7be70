//! The JSON of API v2, as far as tests need it. Unknown fields are ignored.

use serde::Deserialize;
use std::collections::BTreeMap;

/// An asset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asset {
    /// Its id, never given to another asset.
    pub id: String,
    /// Where it is found below `/assets/`.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Whether all nodes that should hold it do.
    #[serde(default)]
    pub replicated: Option<bool>,
}

/// A page of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    /// The assets, ordered by path.
    pub assets: Vec<Asset>,
    /// Where the next page begins.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    #[serde(default)]
    pub has_more: bool,
}

/// Which nodes hold an asset.
#[derive(Debug, Clone, Deserialize)]
pub struct Replication {
    /// The asset.
    pub asset_id: String,
    /// Whether all nodes that should hold it do, verified.
    pub replicated: bool,
    /// One entry for each node of the cluster.
    pub nodes: Vec<Holding>,
}

/// How one node holds an asset.
#[derive(Debug, Clone, Deserialize)]
pub struct Holding {
    /// The node; its name or its id.
    pub node: serde_json::Value,
    /// `verified`, `pending`, `missing`, `corrupt`, `unknown`, or `not_placed` if it need not hold it.
    pub state: String,
    /// How many bytes it has, if it says so.
    #[serde(default)]
    pub bytes: Option<u64>,
}

impl Replication {
    /// How many nodes are in each state.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&str, usize> {
        let mut states = BTreeMap::new();
        for holding in &self.nodes {
            *states.entry(holding.state.as_str()).or_default() += 1;
        }
        states
    }

    /// How many nodes hold a verified copy.
    #[must_use]
    pub fn verified(&self) -> usize {
        self.nodes.iter().filter(|holding| holding.state == "verified").count()
    }

    /// The entry of one node, which the API names by name or by id.
    #[must_use]
    pub fn holding(&self, name: &str, id: u64) -> Option<&Holding> {
        self.nodes.iter().find(|holding| match &holding.node {
            serde_json::Value::Number(number) => number.as_u64() == Some(id),
            serde_json::Value::String(text) => text == name || text.parse() == Ok(id),
            _ => false,
        })
    }
}

/// The reply to a request for a token.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Token {
    pub(super) access_token: String,
}

/// `GET /api/v2/metrics`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metrics {
    pub(super) totals: Usage,
}

/// What a client used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Answers.
    pub requests: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// Assets whose first bytes were at the node that was asked.
    pub hits: u64,
    /// Assets whose first bytes came from another node.
    pub misses: u64,
    /// Answers by class of status: `2xx` and so on.
    pub status: BTreeMap<String, u64>,
}
