//! The content on other nodes, as far as uploads and replication status need it. `ncore-transfer` does the work.

mod transfer;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_model::NodeId;
use ncore_store::PinId;
use tokio::time::Instant;

/// Copies on other nodes. Where no time is given, every wait for another node is bounded by the implementation.
pub trait Copies: Send + Sync + 'static {
    /// Begins to send an upload to other nodes while it still comes in. Does not wait for them.
    fn open(&self, order: FanOrder) -> Box<dyn Fan>;

    /// Sends a blob that this node holds to up to `wanted` nodes that are not in `exclude`, and pins it there. Gives those on
    /// which it is durable by `until`, and does not go on after that.
    fn copy_existing<'a>(
        &'a self,
        blob: BlobAt,
        pin: PinId,
        exclude: &'a [NodeId],
        wanted: usize,
        until: Instant,
    ) -> BoxFuture<'a, Vec<NodeId>>;

    /// Ends a pin on another node. There may be no such pin.
    fn unpin(&self, node: NodeId, hash: blake3::Hash, pin: PinId) -> BoxFuture<'_, Result<(), CopyError>>;

    /// A slice of a blob from whichever node gives it, verified. `None` if none does, for now.
    fn slice(&self, blob: BlobAt, slice: u64) -> BoxFuture<'_, Option<Bytes>>;

    /// Asks another node what it holds of a blob.
    fn stat(&self, node: NodeId, hash: blake3::Hash) -> BoxFuture<'_, Result<HeldCopy, CopyError>>;
}

/// An upload on its way to other nodes. Dropping it leaves nothing on them.
pub trait Fan: Send {
    /// Sends the next bytes, and waits while every node that still takes part is behind. A node that fails is left out from
    /// then on.
    fn send(&mut self, bytes: Bytes) -> BoxFuture<'_, ()>;

    /// Ends the upload. Gives the nodes that have all of it by `until`, checked against the hash, durable and pinned. The others
    /// are given up then.
    fn finish(self: Box<Self>, blob: BlobAt, until: Instant) -> BoxFuture<'static, Vec<NodeId>>;
}

/// What a [`Fan`] is to do.
#[derive(Debug, Clone)]
pub struct FanOrder {
    /// The pin that each node takes when it has everything.
    pub pin: PinId,
    /// Bytes to come, if that is known. It may be wrong.
    pub size_hint: Option<u64>,
    /// How many nodes: in other regions first.
    pub wanted: usize,
    /// Nodes that come before all others, as far as they answer.
    pub prefer: Vec<NodeId>,
}

/// A blob and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobAt {
    /// Its name.
    pub hash: blake3::Hash,
    /// Bytes of content.
    pub size: u64,
}

/// What a node holds of a blob, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCopy {
    /// Bytes that it has and that count, or that came so far.
    pub bytes: u64,
    /// When it last read all of it and found it good, in milliseconds of the Unix epoch. `None` if it has no good copy.
    pub verified_at_ms: Option<u64>,
}

/// The other node gave no answer. Nobody's fault; ask later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("node {node} did not answer")]
pub struct CopyError {
    /// Which node.
    pub node: NodeId,
}
