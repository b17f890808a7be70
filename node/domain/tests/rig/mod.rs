//! A node without a cluster, for tests of the domain and of the API families over it.
//!
//! The state is a real replica and the bytes are in real stores. What is replaced is what stands between machines: the plane
//! applies commands straight to the replica, as a log of one would, and copies go to a second store in this process. Both can
//! be told to fail in the ways that the real ones fail.

mod copies;
mod plane;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use ncore_control::ControlPlane;
use ncore_domain::{Clock, Domain, DomainParts, NewClient, Settings, SystemClock};
use ncore_freshness::{FencePolicies, Fences};
use ncore_identity::ClusterKey;
use ncore_model::{
    AddNode, ClientId, Command, CreateJoinToken, InitCluster, JoinTokenId, NodeId, NodeReport, NodeState, Outcome, Query, RequestId,
    SchemaRange, Scope, UpdateNode,
};
use ncore_store::{BlobStore, StoreConfig};
use tempfile::TempDir;

pub(crate) use copies::{Peers, TestCopies};
pub(crate) use plane::{Answer, TestPlane};

/// The node under test.
pub(crate) const HERE: NodeId = NodeId(1);
pub(crate) const HERE_NAME: &str = "eu-03";
pub(crate) const BASE: &str = "https://cdn.example";

/// How a rig is to be.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    /// Whether there is a second member, with the second store.
    pub(crate) has_peer: bool,
    pub(crate) reserve_bytes: u64,
    pub(crate) schema: SchemaRange,
}

impl Default for Plan {
    fn default() -> Self {
        let mut settings = Settings::new(HERE_NAME, format!("{BASE}/"));
        settings.software = "0.1.0".to_owned();
        settings.max_upload_bytes = 4 << 20;
        settings.request_deadline = Duration::from_secs(2);
        Self { settings, has_peer: true, reserve_bytes: 0, schema: SchemaRange::BUILD }
    }
}

pub(crate) struct Rig {
    pub(crate) domain: Arc<Domain>,
    pub(crate) plane: Arc<TestPlane>,
    pub(crate) copies: Arc<TestCopies>,
    pub(crate) store: BlobStore,
    pub(crate) peer_store: BlobStore,
    /// The id of the second member, if there is one.
    pub(crate) peer: NodeId,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) dir: TempDir,
    key: ClusterKey,
    settings: Settings,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Plan::default())
    }

    pub(crate) fn with(plan: Plan) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(TestClock::default());
        let plane = Arc::new(TestPlane::open(&dir.path().join("state"), Arc::clone(&clock)));
        plane.apply(Command::InitCluster(InitCluster { cluster_id: [7; 16], node: node(HERE, HERE_NAME, "eu-ams", plan.schema) }));
        let peer = if plan.has_peer { join(&plane, "us-01", "us-east", plan.schema) } else { NodeId(0) };
        let open = |name: &str, reserve_bytes| {
            BlobStore::open(&StoreConfig { dir: dir.path().join(name), memory_bytes: 0, reserve_bytes }).expect("a store")
        };
        let store = open("here", plan.reserve_bytes);
        let peer_store = open("peer", 0);
        let copies = Arc::new(TestCopies::new(store.clone(), peer, peer_store.clone()));
        let key = ClusterKey::generate().expect("a key");
        let settings = plan.settings;
        let domain = Arc::new(domain(&plane, &store, &copies, &key, &clock, &settings));
        Self { domain, plane, copies, store, peer_store, peer, clock, dir, key, settings }
    }

    /// The domain of another node of the same cluster, which has applied the same.
    pub(crate) fn another_node(&self) -> Domain {
        domain(&self.plane, &self.peer_store, &self.copies, &self.key, &self.clock, &self.settings)
    }

    pub(crate) async fn client(&self) -> NewClient {
        self.client_with(&Scope::ALL).await
    }

    pub(crate) async fn client_with(&self, scopes: &[Scope]) -> NewClient {
        self.domain.clients().add("a client".to_owned(), scopes.to_vec(), Vec::new()).await.expect("a client")
    }

    /// Every scope that the state has by now.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let level = self.plane.replica().cluster().expect("a state").expect("a cluster").schema_level;
        Scope::ALL.into_iter().filter(|scope| scope.schema_level() <= level).collect()
    }

    /// A client that only the state knows: adding it does not cost the hashing of a secret.
    pub(crate) fn bare_client(&self) -> ClientId {
        let add =
            ncore_model::AddClient { name: "bare".to_owned(), secret_hash: String::new(), scopes: self.scopes(), domains: Vec::new() };
        match self.plane.apply(Command::AddClient(add)) {
            Outcome::ClientAdded(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Raises the state to the highest level that there is.
    pub(crate) fn raise_schema(&self) {
        for level in 2..=ncore_model::SCHEMA_MAX {
            self.plane.apply(Command::RaiseSchema { level });
        }
    }

    /// Another member, which exists in the state alone.
    pub(crate) fn join(&self, name: &str) -> NodeId {
        join(&self.plane, name, "ap-sgp", SchemaRange::BUILD)
    }

    pub(crate) fn remove(&self, node: NodeId) {
        self.plane.apply(Command::SetNodeState { node, state: NodeState::Removed });
    }

    /// A node reports.
    pub(crate) fn report(&self, node: NodeId, sequence: u64, watermark: u64, exceptions: Vec<ncore_model::Exception>) {
        let report = NodeReport { node, incarnation: 1, sequence, watermark, exceptions };
        assert_eq!(self.plane.apply(Command::ReportHoldings(report)), Outcome::Done);
    }

    /// Waits until no upload holds a pin, here or on the peer.
    pub(crate) async fn no_pins(&self) {
        until("the pins are released", async || self.pins().await == (0, 0)).await;
    }

    /// How many pins there are, here and on the peer.
    pub(crate) async fn pins(&self) -> (usize, usize) {
        let here = self.store.pins(None, 100).await.expect("pins").len();
        let peer = self.peer_store.pins(None, 100).await.expect("pins").len();
        (here, peer)
    }

    /// Files that an upload has begun and not ended, here and on the peer.
    pub(crate) fn files_incoming(&self) -> usize {
        ["here", "peer"]
            .iter()
            .map(|name| std::fs::read_dir(self.dir.path().join(name).join("incoming")).expect("a directory").count())
            .sum()
    }
}

fn domain(
    plane: &Arc<TestPlane>,
    store: &BlobStore,
    copies: &Arc<TestCopies>,
    key: &ClusterKey,
    clock: &Arc<TestClock>,
    settings: &Settings,
) -> Domain {
    Domain::new(DomainParts {
        plane: Arc::clone(plane) as Arc<dyn ControlPlane>,
        fences: Arc::new(Fences::new(FencePolicies::default())),
        store: store.clone(),
        copies: copies.clone(),
        cluster_key: key.clone(),
        clock: clock.clone(),
        settings: settings.clone(),
    })
}

fn node(id: NodeId, name: &str, region: &str, schema: SchemaRange) -> UpdateNode {
    UpdateNode {
        node: id,
        name: name.to_owned(),
        region: region.to_owned(),
        cluster_address: format!("{name}:7400"),
        http_address: format!("http://{name}"),
        schema,
        software: "0.1.0".to_owned(),
        incarnation: 1,
    }
}

fn join(plane: &TestPlane, name: &str, region: &str, schema: SchemaRange) -> NodeId {
    let token = JoinTokenId(*uuid::Uuid::now_v7().as_bytes());
    let create = CreateJoinToken { id: token, verifier: [0; 32], voter: true, region: None, uses: 1, lifetime_ms: 60_000 };
    assert_eq!(plane.apply(Command::CreateJoinToken(create)), Outcome::Done);
    let update = node(NodeId(0), name, region, schema);
    let add = AddNode {
        token,
        name: update.name,
        region: update.region,
        cluster_address: update.cluster_address,
        http_address: update.http_address,
        schema: update.schema,
        software: update.software,
    };
    match plane.apply(Command::AddNode(add)) {
        Outcome::NodeAdded(id) => id,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn request_id() -> RequestId {
    RequestId(uuid::Uuid::now_v7().into_bytes())
}

/// The machine's clock, moved.
#[derive(Default)]
pub(crate) struct TestClock {
    offset_ms: AtomicI64,
}

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("a short time");
        self.offset_ms.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }
}

/// Waits for a condition, twenty seconds at most.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
