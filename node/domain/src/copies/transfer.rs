//! [`Copies`] by `ncore-transfer`, which does all the work and bounds every wait.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_model::NodeId;
use ncore_store::PinId;
use ncore_transfer::{CallError, CopyFan, CopyStatus, Transfer};
use tokio::time::Instant;

use super::{BlobAt, Copies, CopyError, Fan, FanOrder, HeldCopy};

impl Copies for Transfer {
    fn open(&self, order: FanOrder) -> Box<dyn Fan> {
        Box::new(self.start_copy_to(&order.prefer, order.pin, order.size_hint, order.wanted))
    }

    fn copy_existing<'a>(
        &'a self,
        blob: BlobAt,
        pin: PinId,
        exclude: &'a [NodeId],
        wanted: usize,
        until: Instant,
    ) -> BoxFuture<'a, Vec<NodeId>> {
        Box::pin(self.copy_existing(blob.hash, blob.size, pin, exclude, wanted, until))
    }

    fn unpin(&self, node: NodeId, hash: blake3::Hash, pin: PinId) -> BoxFuture<'_, Result<(), CopyError>> {
        Box::pin(async move { self.unpin(node, hash, pin).await.map_err(no_answer(node)) })
    }

    fn slice(&self, blob: BlobAt, slice: u64) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let fetched = self.fetch_slice(blob.hash, blob.size, slice).await;
            let note = |error| tracing::warn!(hash = %blob.hash, slice, error = &error as &dyn std::error::Error, "no node gave a slice");
            fetched.map_err(note).ok()
        })
    }

    fn stat(&self, node: NodeId, hash: blake3::Hash) -> BoxFuture<'_, Result<HeldCopy, CopyError>> {
        Box::pin(async move {
            let stats = self.stat(node, &[hash]).await.map_err(no_answer(node))?;
            let status = stats.first().map_or(CopyStatus::Absent, |stat| stat.status);
            Ok(match status {
                CopyStatus::Absent | CopyStatus::Quarantined => HeldCopy { bytes: 0, verified_at_ms: None },
                CopyStatus::Partial { bytes } => HeldCopy { bytes, verified_at_ms: None },
                CopyStatus::Present { size, verified_at_ms } => HeldCopy { bytes: size, verified_at_ms: Some(verified_at_ms) },
            })
        })
    }
}

impl Fan for CopyFan {
    fn send(&mut self, bytes: Bytes) -> BoxFuture<'_, ()> {
        Box::pin(self.send(bytes))
    }

    fn finish(self: Box<Self>, blob: BlobAt, until: Instant) -> BoxFuture<'static, Vec<NodeId>> {
        Box::pin((*self).finish(blob.hash, blob.size, until))
    }
}

fn no_answer(node: NodeId) -> impl FnOnce(CallError) -> CopyError {
    move |error| {
        tracing::debug!(%node, error = &error as &dyn std::error::Error, "a node did not answer about a copy");
        CopyError { node }
    }
}
