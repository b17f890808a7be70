//! Uploads that come in pieces and can go on at another node.
//!
//! The bytes of a piece are a blob like any other, on as many nodes as the content of an asset, and counted as a reference to it. So
//! whoever goes on with an upload needs nothing but this row, and what nobody will finish is collected like everything else.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Record,
    command::Precondition,
    id::{AssetId, BlobHash, ClientId, UploadId},
    visibility::Visibility,
};

/// The most pieces of one upload.
pub const MAX_UPLOAD_PARTS: usize = 2_048;
/// The most uploads of one client that are open at a time.
pub const MAX_OPEN_UPLOADS: usize = 128;
/// The most bytes that the open uploads of one client may have together when they are done.
pub const MAX_OPEN_UPLOAD_BYTES: u64 = 32 << 30;
/// The longest life of an upload to which nothing is added, in milliseconds of log time.
pub const MAX_UPLOAD_LIFETIME_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// How long an upload that has become an asset is known, in milliseconds of log time: for clients that did not get the answer.
pub const DONE_UPLOAD_RETENTION_MS: u64 = 60 * 60 * 1_000;
/// The longest text of a client's own about an upload, in bytes.
pub const MAX_UPLOAD_NOTE_BYTES: usize = 4_096;

/// An upload that is open, or that was until a short time ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Whose it is.
    pub client: ClientId,
    /// How many bytes it will have.
    pub length: u64,
    /// What it is to become.
    pub target: UploadTarget,
    /// What the client wrote about it, as it wrote it.
    pub note: String,
    /// The pieces that are there, in order. None any more once it is an asset.
    pub parts: Vec<UploadPart>,
    /// The asset that it has become.
    pub asset: Option<AssetId>,
    /// When it was begun, in Unix milliseconds of log time.
    pub created_at_ms: u64,
    /// When it ends unless something is added, in Unix milliseconds of log time.
    pub expires_at_ms: u64,
}

impl Upload {
    /// How many bytes of it are there.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self.asset {
            Some(_) => self.length,
            None => self.parts.iter().map(|part| part.size).sum(),
        }
    }
}

impl Record for Upload {
    const KIND: u16 = 0x38;
    const VERSION: u16 = 1;
}

/// What an upload is to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadTarget {
    /// Where: an [`AssetPath`](crate::AssetPath).
    pub path: String,
    /// MIME type. `None`: found out from the path, then from the content.
    pub mime: Option<String>,
    /// How long others may cache it, in seconds. `None`: as the node has it by default.
    pub cache_ttl_s: Option<u32>,
    /// Who may read it. `None`: as before, and everybody if the path is new.
    pub visibility: Option<Visibility>,
    /// What must be true of the path, when the upload begins and when it is done.
    pub precondition: Precondition,
}

/// A piece of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPart {
    /// BLAKE3 of its bytes: the blob that holds them.
    pub blob: BlobHash,
    /// Length in bytes.
    pub size: u64,
}

/// What the keys of a client's open uploads begin with. No id of a client has a zero in it.
pub(crate) fn upload_prefix(client: &ClientId) -> Vec<u8> {
    [client.as_str().as_bytes(), &[0]].concat()
}
