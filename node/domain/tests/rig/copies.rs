//! Copies that go to a second store in this process.

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use ncore_domain::{BlobAt, Copies, CopyError, Fan, FanOrder, HeldCopy};
use ncore_model::NodeId;
use ncore_store::{BlobStatus, BlobStore, BlobWriter, PinId, WriteOptions, slice_count};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// How the other node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// It takes copies and answers.
    Willing,
    /// It breaks off while an upload comes in, and is back at once.
    LosesFans,
    /// It is not there.
    Gone,
    /// It takes what is sent and answers nothing: all of the time that it is given passes.
    Silent,
}

pub(crate) struct TestCopies {
    store: BlobStore,
    peer: NodeId,
    peer_store: BlobStore,
    peers: Mutex<Peers>,
    /// What was ordered of the last fan.
    pub(crate) ordered: Mutex<Option<FanOrder>>,
}

impl TestCopies {
    pub(crate) fn new(store: BlobStore, peer: NodeId, peer_store: BlobStore) -> Self {
        Self { store, peer, peer_store, peers: Mutex::new(Peers::Willing), ordered: Mutex::new(None) }
    }

    pub(crate) fn are(&self, peers: Peers) {
        *self.peers.lock() = peers;
    }

    fn writer(&self) -> BlobWriter {
        self.peer_store.writer(WriteOptions { expected_size: None, max_size: u64::MAX }).expect("a writer")
    }
}

impl Copies for TestCopies {
    fn open(&self, order: FanOrder) -> Box<dyn Fan> {
        *self.ordered.lock() = Some(order.clone());
        let peers = *self.peers.lock();
        let takes = order.wanted > 0 && peers == Peers::Willing;
        let is_silent = order.wanted > 0 && peers == Peers::Silent;
        Box::new(TestFan { peer: self.peer, pin: order.pin, writer: takes.then(|| self.writer()), is_silent })
    }

    fn copy_existing<'a>(
        &'a self,
        blob: BlobAt,
        pin: PinId,
        exclude: &'a [NodeId],
        wanted: usize,
        until: Instant,
    ) -> BoxFuture<'a, Vec<NodeId>> {
        async move {
            let peers = *self.peers.lock();
            if peers == Peers::Silent {
                sleep_until(until).await;
                return Vec::new();
            }
            if peers == Peers::Gone || wanted == 0 || exclude.contains(&self.peer) {
                return Vec::new();
            }
            let mut writer = self.writer();
            for slice in 0..slice_count(blob.size) {
                let bytes = self.store.read_slice(blob.hash, blob.size, slice).await.expect("a slice");
                writer.write(bytes).await.expect("written");
            }
            writer.finish().await.expect("finished").commit(pin).await.expect("committed");
            vec![self.peer]
        }
        .boxed()
    }

    fn unpin(&self, node: NodeId, hash: blake3::Hash, pin: PinId) -> BoxFuture<'_, Result<(), CopyError>> {
        async move {
            assert_eq!(node, self.peer);
            self.peer_store.unpin(hash, pin).await.map(drop).map_err(|_| CopyError { node })
        }
        .boxed()
    }

    fn slice(&self, blob: BlobAt, slice: u64) -> BoxFuture<'_, Option<Bytes>> {
        async move {
            let is_there = !matches!(*self.peers.lock(), Peers::Gone | Peers::Silent);
            // Asked by the domain of either node.
            for store in [&self.store, &self.peer_store].into_iter().filter(|_| is_there) {
                if let Ok(bytes) = store.read_slice_from_disk(blob.hash, blob.size, slice).await {
                    return Some(bytes);
                }
            }
            None
        }
        .boxed()
    }

    fn stat(&self, node: NodeId, hash: blake3::Hash) -> BoxFuture<'_, Result<HeldCopy, CopyError>> {
        async move {
            if node != self.peer || matches!(*self.peers.lock(), Peers::Gone | Peers::Silent) {
                return Err(CopyError { node });
            }
            Ok(match self.peer_store.status(hash).expect("a status") {
                BlobStatus::Present { size, verified_at_ms, .. } => HeldCopy { bytes: size, verified_at_ms: Some(verified_at_ms) },
                _ => HeldCopy { bytes: 0, verified_at_ms: None },
            })
        }
        .boxed()
    }
}

struct TestFan {
    peer: NodeId,
    pin: PinId,
    writer: Option<BlobWriter>,
    is_silent: bool,
}

impl Fan for TestFan {
    fn send(&mut self, bytes: Bytes) -> BoxFuture<'_, ()> {
        async move {
            if let Some(writer) = &mut self.writer {
                writer.write(bytes).await.expect("written");
            }
        }
        .boxed()
    }

    fn finish(self: Box<Self>, blob: BlobAt, until: Instant) -> BoxFuture<'static, Vec<NodeId>> {
        async move {
            if self.is_silent {
                sleep_until(until).await;
            }
            let Some(writer) = self.writer else { return Vec::new() };
            let staged = writer.finish().await.expect("finished");
            assert_eq!((staged.blake3(), staged.size()), (blob.hash, blob.size));
            staged.commit(self.pin).await.expect("committed");
            vec![self.peer]
        }
        .boxed()
    }
}
