//! The documents of version 2. Times are Unix seconds.

use ncore_domain::{AssetDetails, NodeCopy, NodeStatus, Replication, Seen};
use ncore_model::ClientId;
use schemars::JsonSchema;
use serde::Serialize;

/// An asset: the eleven fields that every version of this API has had, and three more.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Asset {
    /// Unique asset identifier
    id: String,
    /// Relative storage path
    path: String,
    /// Full CDN URL
    url: String,
    /// MIME type
    mime: String,
    /// Bytes
    size: u64,
    /// Hex digest
    sha256: String,
    /// Owning client
    #[schemars(with = "String")]
    client_id: ClientId,
    /// Cache TTL in seconds
    cache_ttl: u32,
    /// Unix timestamp
    created_at: u64,
    /// Serving node ID: the node that accepted the content
    node: String,
    /// Synced across nodes
    replicated: bool,
    /// How many nodes are known to hold it.
    copies: usize,
    /// At which revision the content was put.
    revision: String,
    /// Who may read it at its address.
    visibility: &'static str,
}

impl From<AssetDetails> for Asset {
    fn from(details: AssetDetails) -> Self {
        let AssetDetails { asset, visibility, url, node, replicated, copies, revision } = details;
        Self {
            id: asset.id.to_string(),
            path: asset.path,
            url,
            mime: asset.mime,
            size: asset.size,
            sha256: digits(&asset.sha256),
            client_id: asset.client,
            cache_ttl: asset.cache_ttl_s,
            created_at: seconds(asset.created_at_ms),
            node,
            replicated,
            copies,
            revision: revision.to_string(),
            visibility: visibility.as_str(),
        }
    }
}

/// A digest in hexadecimal. `hex::encode` goes digit by digit, which a page of a thousand notices.
fn digits(digest: &[u8; 32]) -> String {
    let mut text = [0; 64];
    match hex::encode_to_slice(digest, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => hex::encode(digest),
    }
}

/// An address that was signed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Signed {
    pub(super) url: String,
    pub(super) query: String,
    pub(super) expires_at: u64,
}

/// What a client signs addresses with.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SigningKey {
    #[schemars(with = "String")]
    pub(super) client_id: ClientId,
    pub(super) algorithm: &'static str,
    pub(super) key: String,
}

/// A page of assets.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page {
    pub(super) assets: Vec<Asset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) folders: Option<Vec<String>>,
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
}

/// A purge that was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Purged {
    pub(super) purged: u64,
    pub(super) revision: String,
}

/// What a node says of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    node: String,
    status: &'static str,
    version: String,
    ts: u64,
    region: String,
    freshness: &'static str,
    revision: String,
}

impl From<Seen<NodeStatus>> for Status {
    fn from(seen: Seen<NodeStatus>) -> Self {
        let NodeStatus { name, region, standing, freshness, software, at_ms } = seen.value;
        let revision = seen.revision.to_string();
        Self { node: name, status: standing.as_str(), version: software, ts: seconds(at_ms), region, freshness, revision }
    }
}

/// Which node holds an asset.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Replicas {
    asset_id: String,
    replicated: bool,
    placement: &'static str,
    revision: String,
    nodes: Vec<Replica>,
}

impl From<Replication> for Replicas {
    fn from(replication: Replication) -> Self {
        Self {
            asset_id: replication.asset.to_string(),
            replicated: replication.replicated,
            placement: replication.placement.as_str(),
            revision: replication.revision.to_string(),
            nodes: replication.nodes.into_iter().map(Replica::from).collect(),
        }
    }
}

/// How one node holds an asset.
#[derive(Debug, Serialize, JsonSchema)]
struct Replica {
    node: String,
    node_id: u64,
    region: String,
    state: &'static str,
    bytes: Option<u64>,
    digest: Option<String>,
    verified_at: Option<u64>,
    revision: Option<String>,
}

impl From<NodeCopy> for Replica {
    fn from(copy: NodeCopy) -> Self {
        Self {
            node: copy.name,
            node_id: copy.node.0,
            region: copy.region,
            state: copy.state.as_str(),
            bytes: copy.bytes,
            digest: copy.digest.map(|digest| digest.to_string()),
            verified_at: copy.verified_at_ms.map(seconds),
            revision: copy.watermark.map(|watermark| watermark.to_string()),
        }
    }
}

fn seconds(ms: u64) -> u64 {
    ms / 1_000
}
