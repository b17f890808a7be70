//! An asset: content that a client pushed to a path.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Record,
    id::{AssetId, BlobHash, ClientId, NodeId},
};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its id, which stays when the content is replaced.
    pub id: AssetId,
    /// Who owns it.
    pub client: ClientId,
    /// Its path, unique in the cluster.
    pub path: String,
    /// MIME type.
    pub mime: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// BLAKE3 of the content: the blob that holds it.
    pub blob: BlobHash,
    /// How long others may cache it, in seconds.
    pub cache_ttl_s: u32,
    /// When the path was first written, in Unix milliseconds of log time.
    pub created_at_ms: u64,
    /// When the content or its description last changed, in Unix milliseconds of log time.
    pub modified_at_ms: u64,
    /// The node that accepted the content.
    pub node: NodeId,
    /// The log index at which the content was put: the version that nodes report about.
    pub version: u64,
}

impl Record for Asset {
    const KIND: u16 = 0x13;
    const VERSION: u16 = 1;
}
