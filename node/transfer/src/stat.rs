//! Small calls: what a peer holds, and the end of a pin.

use ncore_model::NodeId;
use ncore_proto::blobs::v1::{StatRequest, UnpinRequest, blob_stat::State};
use ncore_store::PinId;

use crate::{
    call::{client, within},
    error::CallError,
    transfer::Transfer,
    wire::{STAT_HASHES_MAX, hash_to, pin_to},
};

/// What a node holds of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobStat {
    /// Which blob.
    pub hash: blake3::Hash,
    /// How it is.
    pub status: CopyStatus,
}

/// How a copy of a blob is, by the word of its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStatus {
    /// There is none.
    Absent,
    /// It is coming in, or was cut.
    Partial {
        /// Bytes that came.
        bytes: u64,
    },
    /// It is there.
    Present {
        /// Bytes of content.
        size: u64,
        /// When it was last read in full and found good, in Unix milliseconds by the clock of its holder.
        verified_at_ms: u64,
    },
    /// It was found damaged and does not count.
    Quarantined,
}

impl CopyStatus {
    /// Its name in logs and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Partial { .. } => "partial",
            Self::Present { .. } => "present",
            Self::Quarantined => "quarantined",
        }
    }
}

pub(crate) async fn stat(transfer: &Transfer, node: NodeId, hashes: &[blake3::Hash]) -> Result<Vec<BlobStat>, CallError> {
    let mut stats = Vec::with_capacity(hashes.len());
    for hashes in hashes.chunks(STAT_HASHES_MAX) {
        let request = StatRequest { hashes: hashes.iter().map(hash_to).collect() };
        let call = async {
            let mut client = client(&*transfer.peers, node).await?;
            client.stat(request).await.map_err(CallError::Failed)
        };
        let reply = within(transfer.settings.call, call).await?.into_inner();
        if reply.blobs.len() != hashes.len() {
            return Err(CallError::Malformed("another number of blobs than were asked for"));
        }
        for (hash, blob) in hashes.iter().zip(reply.blobs) {
            if blob.hash != hash.as_bytes().as_slice() {
                return Err(CallError::Malformed("another blob than was asked for"));
            }
            let status = match blob.state() {
                State::Absent => CopyStatus::Absent,
                State::Partial => CopyStatus::Partial { bytes: blob.bytes },
                State::Present => CopyStatus::Present { size: blob.bytes, verified_at_ms: blob.verified_at_ms },
                State::Quarantined => CopyStatus::Quarantined,
                State::Unspecified => return Err(CallError::Malformed("a state that is not known here")),
            };
            stats.push(BlobStat { hash: *hash, status });
        }
    }
    Ok(stats)
}

pub(crate) async fn unpin(transfer: &Transfer, node: NodeId, hash: blake3::Hash, pin: PinId) -> Result<(), CallError> {
    let request = UnpinRequest { hash: hash_to(&hash), pin_id: pin_to(pin) };
    let call = async {
        let mut client = client(&*transfer.peers, node).await?;
        client.unpin(request).await.map_err(CallError::Failed)
    };
    within(transfer.settings.call, call).await.map(drop)
}
