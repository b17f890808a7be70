//! A cluster in one process: one replica on disk that commands are applied to at once, and machines with a store, a blob service on
//! loopback, and an agent each.
#![expect(dead_code, reason = "each test file uses its part of the harness")]

use std::{
    collections::HashMap,
    fs::OpenOptions,
    net::SocketAddr,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_agent::{Agent, AgentHandle, AgentSettings};
use ncore_control::{BarrierError, BarrierProgress, Change, Committed, ControlPlane, ProposeError, ReadError};
use ncore_freshness::{Boottime, CompleteBy, Fences, FreshState};
use ncore_model::{
    AddClient, AddNode, Asset, ClientId, Command, CopyState, CreateJoinToken, InitCluster, JoinTokenId, NodeId, Outcome, Precondition,
    Proposal, PutAsset, Query, RequestId, Revision, SchemaRange, UpdateNode, copy_state, encode,
};
use ncore_origin::{Origins, OriginsSettings};
use ncore_replica::{Entry, Replica};
use ncore_store::{BlobStatus, BlobStore, PinId, StoreConfig, WriteOptions};
use ncore_telemetry::Usage;
use ncore_transfer::{
    BlobService, Peer, PeerError, Peers, RepairQueue, Repairs, ServiceMetrics, ServiceSettings, Transfer, TransferMetrics, TransferSettings,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use uuid::Uuid;

/// The bound of every wait in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The state that all machines share, as if every one of them were always up to date.
pub(crate) struct Cluster {
    pub(crate) replica: Arc<Replica>,
    pub(crate) client: ClientId,
    pub(crate) nodes: Vec<NodeId>,
    log: Log,
    dir: TempDir,
}

/// The way to change the state.
struct Log {
    last: Mutex<u64>,
    /// Milliseconds that the time of the log is ahead of the clock.
    ahead_ms: AtomicU64,
}

impl Cluster {
    pub(crate) fn new(nodes: usize) -> Arc<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let replica = Arc::new(Replica::open(&dir.path().join("replica")).expect("opens"));
        let log = Log { last: Mutex::new(0), ahead_ms: AtomicU64::new(0) };
        let node = description(NodeId(1), 1);
        log.apply(&replica, Command::InitCluster(InitCluster { cluster_id: [1; 16], node }));
        let mut ids = vec![NodeId(1)];
        for number in 1..nodes {
            ids.push(join(&log, &replica, number));
        }
        let client = AddClient { name: "client".to_owned(), secret_hash: String::new(), scopes: vec![], domains: vec![] };
        let (_, Outcome::ClientAdded(client)) = log.apply(&replica, Command::AddClient(client)) else { panic!("no client") };
        Arc::new(Self { replica, client, nodes: ids, log, dir })
    }

    pub(crate) fn apply(&self, command: Command) -> (Revision, Outcome) {
        self.log.apply(&self.replica, command)
    }

    /// Lets the time of the log run ahead.
    pub(crate) fn pass_log_time(&self, time: Duration) {
        self.log.ahead_ms.fetch_add(u64::try_from(time.as_millis()).expect("small"), Ordering::SeqCst);
    }

    /// Puts an asset that describes `content`. Who holds it is the caller's business.
    pub(crate) fn put(&self, path: &str, content: &[u8], cache_ttl_s: u32) -> Asset {
        let put = PutAsset {
            client: self.client.clone(),
            path: path.to_owned(),
            mime: "text/plain".to_owned(),
            size: content.len() as u64,
            sha256: *blake3::hash(path.as_bytes()).as_bytes(),
            blob: blake3::hash(content).into(),
            cache_ttl_s,
            node: self.nodes[0],
            holders: vec![self.nodes[0]],
            pinned_until_ms: u64::MAX,
            precondition: Precondition::None,
        };
        match self.apply(Command::PutAsset(put)).1 {
            Outcome::AssetCreated(asset) | Outcome::AssetReplaced(asset) => asset,
            other => panic!("not put: {other:?}"),
        }
    }

    pub(crate) fn delete(&self, asset: &Asset) {
        let delete = ncore_model::DeleteAsset { client: self.client.clone(), asset: asset.id.clone(), precondition: Precondition::None };
        let outcome = self.apply(Command::DeleteAsset(delete)).1;
        assert!(matches!(outcome, Outcome::AssetDeleted(_)), "{outcome:?}");
    }

    pub(crate) fn state_of(&self, node: NodeId, version: u64) -> CopyState {
        copy_state(self.replica.report(node).expect("reads").as_ref(), version)
    }

    /// Writes the present state to a directory of its own.
    pub(crate) fn checkpoint(&self, name: &str) -> std::path::PathBuf {
        let dir = self.dir.path().join(name);
        self.replica.checkpoint(&dir).expect("a checkpoint");
        dir
    }
}

impl Log {
    fn apply(&self, replica: &Replica, command: Command) -> (Revision, Outcome) {
        let mut last = self.last.lock();
        *last += 1;
        let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("fits");
        let log_time_ms = now_ms + self.ahead_ms.load(Ordering::SeqCst);
        let proposal = Proposal { request: request(), idempotency: None, log_time_ms, command };
        let bytes = encode(&proposal).expect("encodes");
        let applied = replica.apply(&[Entry { index: *last, proposal: Some(&bytes) }], &[]).expect("applies");
        let applied = applied.into_iter().next().flatten().expect("an outcome");
        (Revision { lineage: applied.lineage, index: applied.index }, applied.outcome)
    }
}

fn request() -> RequestId {
    RequestId(*Uuid::now_v7().as_bytes())
}

fn description(node: NodeId, number: usize) -> UpdateNode {
    UpdateNode {
        node,
        name: format!("node-{number}"),
        region: format!("region-{number}"),
        cluster_address: "127.0.0.1:1".to_owned(),
        http_address: "http://127.0.0.1:2".to_owned(),
        schema: SchemaRange::BUILD,
        software: "test".to_owned(),
        incarnation: 1,
    }
}

fn join(log: &Log, replica: &Replica, number: usize) -> NodeId {
    let id = JoinTokenId([u8::try_from(number).expect("small"); 16]);
    let token = CreateJoinToken { id, verifier: [0; 32], voter: false, region: None, uses: 1, lifetime_ms: 60_000 };
    log.apply(replica, Command::CreateJoinToken(token));
    let UpdateNode { cluster_address, http_address, software, .. } = description(NodeId(0), 0);
    let add = AddNode {
        token: id,
        name: format!("joined-{number}"),
        region: format!("joined-{number}"),
        cluster_address,
        http_address,
        schema: SchemaRange::BUILD,
        software,
    };
    match log.apply(replica, Command::AddNode(add)).1 {
        Outcome::NodeAdded(node) => node,
        other => panic!("not added: {other:?}"),
    }
}

/// The control plane of one machine. It applies at once, unless it is told to fail.
pub(crate) struct Plane {
    node: NodeId,
    cluster: Arc<Cluster>,
    pub(crate) is_cut: AtomicBool,
    /// So many answers are lost after their command was applied.
    pub(crate) answers_to_lose: AtomicUsize,
    pub(crate) proposals: AtomicUsize,
    pub(crate) state: watch::Sender<FreshState>,
}

impl Plane {
    pub(crate) fn new(cluster: &Arc<Cluster>, node: NodeId) -> Arc<Self> {
        Arc::new(Self {
            node,
            cluster: Arc::clone(cluster),
            is_cut: AtomicBool::new(false),
            answers_to_lose: AtomicUsize::new(0),
            proposals: AtomicUsize::new(0),
            state: watch::Sender::new(FreshState::Fresh { as_of: Boottime::from_millis(1) }),
        })
    }

    pub(crate) fn proposals(&self) -> usize {
        self.proposals.load(Ordering::SeqCst)
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }
}

impl ControlPlane for Plane {
    fn node_id(&self) -> NodeId {
        self.node
    }

    fn replica(&self) -> &Arc<Replica> {
        &self.cluster.replica
    }

    fn propose(&self, change: Change) -> BoxFuture<'_, Result<Committed, ProposeError>> {
        Box::pin(async move {
            self.proposals.fetch_add(1, Ordering::SeqCst);
            if self.is_cut() {
                return Err(ProposeError::Unavailable { reason: "the test has cut the line" });
            }
            let (revision, outcome) = self.cluster.apply(change.command);
            let lose = self.answers_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            match lose {
                Ok(_) => Err(ProposeError::Unknown { reason: "the test has lost the answer" }),
                Err(_) => Ok(Committed { revision, outcome }),
            }
        })
    }

    fn read_index(&self, _: Duration) -> BoxFuture<'_, Result<Revision, ReadError>> {
        Box::pin(async move { if self.is_cut() { Err(ReadError::NoLeader) } else { Ok(self.cluster.replica.revision()) } })
    }

    fn wait_for(&self, _: Revision, _: Duration) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async { Ok(()) })
    }

    fn fresh_state(&self) -> FreshState {
        *self.state.borrow()
    }

    fn freshness(&self) -> watch::Receiver<FreshState> {
        self.state.subscribe()
    }

    fn barrier(&self, _: Revision, _: Duration) -> BoxFuture<'_, Result<BarrierProgress, BarrierError>> {
        Box::pin(async { Ok(BarrierProgress::Complete { by: CompleteBy::Acks }) })
    }

    fn without(&self, _: Revision) -> BoxFuture<'_, Vec<NodeId>> {
        Box::pin(async { Vec::new() })
    }
}

/// A machine: what stays when its agent is stopped.
pub(crate) struct Machine {
    pub(crate) node: NodeId,
    pub(crate) plane: Arc<Plane>,
    pub(crate) store: BlobStore,
    pub(crate) peers: Arc<TestPeers>,
    pub(crate) repairs: Repairs,
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) address: SocketAddr,
    queue: Mutex<Option<RepairQueue>>,
    dir: TempDir,
}

impl Machine {
    pub(crate) async fn new(cluster: &Arc<Cluster>, number: usize) -> Self {
        let node = cluster.nodes[number];
        let dir = tempfile::tempdir().expect("a directory");
        let config = StoreConfig { dir: dir.path().to_owned(), memory_bytes: 8 << 20, reserve_bytes: 0 };
        let store = BlobStore::open(&config).expect("the store opens");
        let (repairs, queue) = Repairs::channel(16);
        let service = BlobService::new(store.clone(), repairs.clone(), ServiceSettings::default(), Arc::new(ServiceMetrics::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(Server::builder().add_service(service.into_server()).serve_with_incoming(incoming));
        let peers = Arc::new(TestPeers::default());
        let shared: Arc<dyn Peers> = Arc::clone(&peers) as _;
        let transfer = Transfer::new(store.clone(), shared, TransferSettings::default(), Arc::new(TransferMetrics::default()));
        Self {
            node,
            plane: Plane::new(cluster, node),
            store,
            peers,
            repairs,
            transfer: Arc::new(transfer),
            address,
            queue: Mutex::new(Some(queue)),
            dir,
        }
    }

    /// Lets this machine reach `other`.
    pub(crate) fn meet(&self, other: &Self) {
        self.peers.addresses.lock().insert(other.node, other.address);
    }

    /// Lets this machine reach nobody.
    pub(crate) fn part(&self) {
        self.peers.addresses.lock().clear();
    }

    /// Starts the agent. What it reports damaged to is new with each start.
    pub(crate) fn start(&self, settings: AgentSettings) -> AgentHandle {
        self.start_with(settings, Arc::default())
    }

    /// As [`start`](Self::start), with policies of its own.
    pub(crate) fn start_with(&self, settings: AgentSettings, fences: Arc<Fences>) -> AgentHandle {
        self.start_whole(settings, fences, Arc::default())
    }

    /// As [`start`](Self::start), with counts of what clients use.
    pub(crate) fn start_metered(&self, settings: AgentSettings, usage: Arc<Usage>) -> AgentHandle {
        self.start_whole(settings, Arc::default(), usage)
    }

    fn start_whole(&self, settings: AgentSettings, fences: Arc<Fences>, usage: Arc<Usage>) -> AgentHandle {
        let (repairs, queue) = match self.queue.lock().take() {
            Some(queue) => (self.repairs.clone(), queue),
            None => Repairs::channel(16),
        };
        let control: Arc<dyn ControlPlane> = Arc::clone(&self.plane) as _;
        let transfer = Arc::clone(&self.transfer);
        let data_dir = self.dir.path().to_owned();
        Agent {
            control,
            fences,
            store: self.store.clone(),
            transfer,
            repairs,
            repair_queue: queue,
            usage,
            origins: Origins::new(OriginsSettings::of_system()),
            data_dir,
        }
        .start(settings)
    }

    /// Stores `content` with this pin.
    pub(crate) async fn store_pinned(&self, content: &[u8], pin: PinId) -> blake3::Hash {
        let mut writer = self.store.writer(WriteOptions { expected_size: None, max_size: u64::MAX }).expect("a writer");
        writer.write(Bytes::copy_from_slice(content)).await.expect("writes");
        let staged = writer.finish().await.expect("finishes");
        let hash = staged.blake3();
        staged.commit(pin).await.expect("commits");
        hash
    }

    /// Stores `content`, without a pin that stays.
    pub(crate) async fn store(&self, content: &[u8]) -> blake3::Hash {
        let hash = self.store_pinned(content, PinId(1)).await;
        self.store.unpin(hash, PinId(1)).await.expect("unpins");
        hash
    }

    /// Takes a blob away, as if it had been lost.
    pub(crate) async fn lose(&self, hash: blake3::Hash) {
        let outcome = self.store.collect(hash, Duration::ZERO, || true).await.expect("collects");
        assert!(matches!(outcome, ncore_store::Collection::Removed { .. }), "{outcome:?}");
    }

    /// Flips a bit of the stored content.
    pub(crate) fn damage(&self, hash: blake3::Hash) {
        let hex = hash.to_hex();
        let path = self.dir.path().join("blobs").join(&hex[..2]).join(format!("{}.data", &hex[2..]));
        let file = OpenOptions::new().read(true).write(true).open(path).expect("the data file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, 0).expect("reads");
        file.write_all_at(&[byte[0] ^ 1], 0).expect("writes");
    }

    pub(crate) fn has(&self, hash: blake3::Hash) -> bool {
        matches!(self.store.status(hash), Ok(BlobStatus::Present { .. }))
    }
}

/// The machines that one machine can reach.
#[derive(Default)]
pub(crate) struct TestPeers {
    addresses: Mutex<HashMap<NodeId, SocketAddr>>,
}

impl Peers for TestPeers {
    fn nearest_first(&self) -> Vec<Peer> {
        let mut nodes: Vec<NodeId> = self.addresses.lock().keys().copied().collect();
        nodes.sort();
        let peer = |node| Peer { node, region: "b".to_owned(), same_region: false, reachable: true, takes_copies: true };
        nodes.into_iter().map(peer).collect()
    }

    fn channel(&self, node: NodeId) -> BoxFuture<'_, Result<Channel, PeerError>> {
        let address = self.addresses.lock().get(&node).copied();
        Box::pin(async move {
            let address = address.ok_or(PeerError::Unknown(node))?;
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
            Ok(endpoint.tcp_nodelay(true).connect_lazy())
        })
    }
}

/// Settings under which everything happens soon, and nothing is collected or scrubbed.
pub(crate) fn brisk(incarnation: u64) -> AgentSettings {
    let mut settings = AgentSettings::new(incarnation);
    settings.replication.tries = 2;
    settings.replication.retry_first = Duration::from_millis(10);
    settings.replication.retry_max = Duration::from_millis(50);
    settings.replication.wake = Duration::from_millis(100);
    settings.replication.audit = Duration::from_millis(100);
    settings.reports.coalesce = Duration::from_millis(5);
    settings.reports.retry = Duration::from_millis(10);
    settings.reports.wake = Duration::from_millis(100);
    settings.collection.every = Duration::from_secs(3_600);
    settings.scrub.bytes_s = 0;
    settings
}

/// As [`brisk`], with a collector that is always at work.
pub(crate) fn collecting(incarnation: u64, grace: Duration) -> AgentSettings {
    let mut settings = brisk(incarnation);
    settings.collection.grace = grace;
    settings.collection.every = Duration::from_millis(1);
    settings.collection.pace = Duration::ZERO;
    settings
}

pub(crate) fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("never came true: {what}"));
}
