//! Slices from one peer, in order, verified before they leave this module.

use std::ops::Range;

use bytes::Bytes;
use ncore_model::NodeId;
use ncore_proto::blobs::v1::{FetchRequest, Frame};
use tonic::Streaming;

use crate::{
    call::client,
    error::{CallError, TryError},
    offload::decode,
    peers::Peers,
    wire::hash_to,
};

/// Slices of one blob that a peer streams.
pub(super) struct Frames {
    stream: Streaming<Frame>,
    hash: blake3::Hash,
    size: u64,
    due: Range<u64>,
}

impl Frames {
    /// Asks `node` for these slices. Sets no deadline.
    pub(super) async fn open(peers: &dyn Peers, node: NodeId, hash: blake3::Hash, size: u64, slices: Range<u64>) -> Result<Self, TryError> {
        let mut client = client(peers, node).await.map_err(TryError::Call)?;
        let request = FetchRequest { hash: hash_to(&hash), size, first_slice: slices.start, end_slice: slices.end };
        let response = client.fetch(request).await.map_err(|status| TryError::Call(CallError::Failed(status)))?;
        Ok(Self { stream: response.into_inner(), hash, size, due: slices })
    }

    /// The next slice that was asked for, verified; `None` after the last. Sets no deadline.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Bytes)>, TryError> {
        let Some(due) = self.due.next() else { return Ok(None) };
        let frame = self.stream.message().await.map_err(|status| TryError::Call(CallError::Failed(status)))?;
        let frame = frame.ok_or(TryError::Short)?;
        if frame.slice != due {
            return Err(TryError::WrongSlice { sent: frame.slice, due });
        }
        let bytes = decode(self.hash, self.size, due, frame.data).await.map_err(TryError::BadFrame)?;
        Ok(Some((due, bytes)))
    }
}
