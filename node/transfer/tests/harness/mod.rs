//! Nodes in one process: a store each, served over TCP on loopback, and services that misbehave.
#![expect(dead_code, reason = "each test file uses its part of the harness")]

pub(crate) mod faulty;

use std::{
    collections::HashMap,
    fs::OpenOptions,
    net::SocketAddr,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_model::NodeId;
use ncore_proto::blobs::v1::blobs_server::{Blobs, BlobsServer};
use ncore_store::{BlobStatus, BlobStore, PinId, StoreConfig, WriteOptions};
use ncore_transfer::{
    BlobService, Peer, PeerError, Peers, RepairQueue, Repairs, ServiceMetrics, ServiceSettings, Transfer, TransferMetrics, TransferSettings,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};

/// The bound of every wait in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A store in a directory of its own, and a service over it.
pub(crate) struct Node {
    pub(crate) store: BlobStore,
    pub(crate) service: BlobService,
    pub(crate) metrics: Arc<ServiceMetrics>,
    pub(crate) repairs: Mutex<Option<RepairQueue>>,
    pub(crate) dir: TempDir,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(0, ServiceSettings::default())
    }

    /// A node that leaves `reserve_bytes` of its disk free.
    pub(crate) fn with(reserve_bytes: u64, settings: ServiceSettings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = StoreConfig { dir: dir.path().to_owned(), memory_bytes: 32 << 20, reserve_bytes };
        let store = BlobStore::open(&config).expect("the store opens");
        let metrics = Arc::new(ServiceMetrics::default());
        let (repairs, queue) = Repairs::channel(16);
        let service = BlobService::new(store.clone(), repairs, settings, Arc::clone(&metrics));
        Self { store, service, metrics, repairs: Mutex::new(Some(queue)), dir }
    }

    /// Stores `content`, without a pin that stays.
    pub(crate) async fn put(&self, content: &[u8]) -> blake3::Hash {
        let mut writer = self.store.writer(WriteOptions { expected_size: None, max_size: u64::MAX }).expect("a writer");
        writer.write(Bytes::copy_from_slice(content)).await.expect("writes");
        let staged = writer.finish().await.expect("finishes");
        let (hash, pin) = (staged.blake3(), PinId(1));
        staged.commit(pin).await.expect("commits");
        self.store.unpin(hash, pin).await.expect("unpins");
        hash
    }

    pub(crate) fn data_file(&self, hash: blake3::Hash) -> PathBuf {
        let hex = hash.to_hex();
        self.dir.path().join("blobs").join(&hex[..2]).join(format!("{}.data", &hex[2..]))
    }

    /// Flips a bit of the stored content.
    pub(crate) fn damage(&self, hash: blake3::Hash, at: u64) {
        let file = OpenOptions::new().read(true).write(true).open(self.data_file(hash)).expect("the data file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("reads");
        byte[0] ^= 1;
        file.write_all_at(&byte, at).expect("writes");
    }

    pub(crate) fn has(&self, hash: blake3::Hash) -> bool {
        matches!(self.store.status(hash), Ok(BlobStatus::Present { .. }))
    }

    pub(crate) async fn pins(&self, hash: blake3::Hash) -> Vec<PinId> {
        let pins = self.store.pins(None, 100).await.expect("pins");
        pins.into_iter().filter(|pin| pin.hash == hash).map(|pin| pin.pin).collect()
    }

    pub(crate) async fn content(&self, hash: blake3::Hash, size: u64) -> Vec<u8> {
        let mut content = Vec::new();
        for slice in 0..ncore_store::slice_count(size) {
            content.extend_from_slice(&self.store.read_slice_from_disk(hash, size, slice).await.expect("reads"));
        }
        content
    }

    /// Files in `incoming/`.
    pub(crate) fn incoming(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("incoming")).expect("lists").count()
    }

    pub(crate) fn transfer(&self, peers: TestPeers, settings: TransferSettings) -> Arc<Transfer> {
        Arc::new(Transfer::new(self.store.clone(), Arc::new(peers), settings, Arc::new(TransferMetrics::default())))
    }
}

/// The other nodes: an address each, in the order in which they are near.
#[derive(Default)]
pub(crate) struct TestPeers {
    peers: Vec<Peer>,
    addresses: HashMap<NodeId, SocketAddr>,
    holders: Vec<NodeId>,
}

impl TestPeers {
    pub(crate) fn with(mut self, node: u64, region: &str, address: SocketAddr) -> Self {
        let node = NodeId(node);
        self.peers.push(Peer { node, region: region.to_owned(), same_region: region == "here", reachable: true, takes_copies: true });
        self.addresses.insert(node, address);
        self
    }

    pub(crate) fn holding(mut self, holders: &[u64]) -> Self {
        self.holders = holders.iter().copied().map(NodeId).collect();
        self
    }
}

impl Peers for TestPeers {
    fn nearest_first(&self) -> Vec<Peer> {
        self.peers.clone()
    }

    fn channel(&self, node: NodeId) -> BoxFuture<'_, Result<Channel, PeerError>> {
        let address = self.addresses.get(&node).copied();
        Box::pin(async move {
            let address = address.ok_or(PeerError::Unknown(node))?;
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
            Ok(endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(2)).connect_lazy())
        })
    }

    fn holders(&self, _: &blake3::Hash) -> Vec<NodeId> {
        self.holders.clone()
    }
}

/// Serves blobs on a port of its own until the runtime ends.
pub(crate) async fn serve(blobs: impl Blobs) -> SocketAddr {
    serve_router(Server::builder().add_service(BlobsServer::new(blobs).max_decoding_message_size(2 << 20))).await
}

pub(crate) async fn serve_node(node: &Node) -> SocketAddr {
    serve_router(Server::builder().add_service(node.service.clone().into_server())).await
}

async fn serve_router(router: tonic::transport::server::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(router.serve_with_incoming(incoming));
    address
}

/// A port that nobody listens on, and nobody else gets as long as the test runs.
pub(crate) fn dead_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("an address");
    std::mem::forget(socket);
    address
}

/// A port whose connections are made by the kernel, and where nobody ever reads or answers.
pub(crate) async fn silent_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(listener);
    });
    address
}

/// Bytes without a pattern, the same each time.
pub(crate) fn content(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Settings that give up soon on peers that stand still, and not so soon that a busy machine looks like one.
pub(crate) fn hasty() -> TransferSettings {
    TransferSettings {
        slice_try: Duration::from_secs(2),
        slice_budget: Duration::from_secs(5),
        frame: Duration::from_secs(2),
        ..TransferSettings::default()
    }
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("never came true: {what}"));
}
