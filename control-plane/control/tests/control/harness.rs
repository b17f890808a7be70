//! Nodes of a cluster, each with a directory and a port of its own.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_control::{
    AutopilotSettings, Change, Clock, Control, ControlConfig, ControlPlane, FirstHubs, HubSettings, JoinError, Joiner, MembershipChange,
    NodeRole, Peers, ProposeError, SelfDescription, SystemClock, join, new_request_id,
};
use ncore_identity::{IdentityHandle, IdentityStore, JoinTerms, JoinToken, NodeIdentity};
use ncore_model::{AddClient, Command, CreateJoinToken, JoinTokenId, NodeId, Outcome, SchemaRange, state_hash};
use ncore_replica::Replica;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::service::Routes;

use crate::port::Port;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What differs between nodes.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) region: &'static str,
    pub(crate) log_keep: u64,
    pub(crate) freshness_bound: Duration,
    pub(crate) hub: HubSettings,
    pub(crate) autopilot: AutopilotSettings,
}

impl Default for Setup {
    fn default() -> Self {
        let hub = HubSettings { review: Duration::from_millis(100), avoid: Duration::from_secs(1), ..HubSettings::default() };
        let autopilot = AutopilotSettings::default();
        Self { region: "eu", log_keep: 100_000, freshness_bound: Duration::from_secs(5), hub, autopilot }
    }
}

impl Setup {
    pub(crate) fn relay() -> Self {
        let setup = Self::default();
        Self { hub: HubSettings { relay: true, ..setup.hub }, ..setup }
    }
}

pub(crate) struct TestNode {
    pub(crate) control: Arc<Control>,
    pub(crate) clock: Arc<TestClock>,
    stopped: Stopped,
}

/// The machine's clock, set ahead.
#[derive(Default)]
pub(crate) struct TestClock {
    ahead_ms: AtomicU64,
}

impl TestClock {
    pub(crate) fn set_ahead(&self, ahead: Duration) {
        self.ahead_ms.store(u64::try_from(ahead.as_millis()).expect("fits"), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }
}

/// A node that does not run.
pub(crate) struct Stopped {
    dir: TempDir,
    port: Port,
    name: String,
    setup: Setup,
}

impl Stopped {
    /// A machine with an empty directory.
    pub(crate) fn new(name: &str) -> Self {
        Self { dir: TempDir::new().expect("a directory"), port: Port::claim(), name: name.to_owned(), setup: Setup::default() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn description(&self) -> SelfDescription {
        SelfDescription {
            name: self.name.clone(),
            region: self.setup.region.to_owned(),
            cluster_address: self.port.address().to_string(),
            http_address: format!("http://{}", self.name),
            schema: SchemaRange::BUILD,
            software: "test".to_owned(),
            incarnation: now_ms(),
        }
    }

    pub(crate) async fn start(self) -> TestNode {
        let identity = IdentityStore::at(self.dir.path()).load().expect("an identity");
        self.run(identity, false).await
    }

    async fn run(self, identity: NodeIdentity, founding: bool) -> TestNode {
        let dir = self.dir.path();
        let store = Arc::new(IdentityStore::at(dir));
        let id = NodeId(identity.node_id());
        let handle = IdentityHandle::new(identity);
        let replica = Arc::new(Replica::open(&dir.join("state")).expect("a replica"));
        let region = self.setup.region.to_owned();
        let peers = Arc::new(Peers::new(id, region, Arc::clone(&replica), handle.clone(), HashMap::new()));
        let clock = Arc::new(TestClock::default());
        let config = ControlConfig {
            data_dir: dir.to_owned(),
            founding,
            log_keep: self.setup.log_keep,
            freshness_bound: self.setup.freshness_bound,
            hub: self.setup.hub.clone(),
            first_hubs: FirstHubs::load(dir).expect("reads"),
            description: self.description(),
            listen: self.port.address(),
            dial: HashMap::new(),
            heartbeat: Duration::from_millis(100),
            // Longer than a busy machine keeps a leader from its heartbeats: leaders change where a test has them change.
            election: (Duration::from_secs(1), Duration::from_secs(2)),
            snapshot_rate: 0,
            autopilot: self.setup.autopilot.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let control = Control::start(config, replica, handle, store, peers, Routes::default()).await.expect("starts");
        TestNode { control, clock, stopped: self }
    }
}

impl TestNode {
    pub(crate) async fn first(setup: Setup) -> Self {
        let identity = NodeIdentity::found(1, now_ms() / 1_000).expect("an identity");
        let stopped = Stopped { dir: TempDir::new().expect("a directory"), port: Port::claim(), name: "n1".into(), setup };
        IdentityStore::at(stopped.dir.path()).create(&identity).expect("kept");
        let node = stopped.run(identity, true).await;
        node.control.found_cluster().await.expect("a cluster");
        node
    }

    pub(crate) async fn joining(token: &JoinToken, name: &str, setup: Setup) -> Result<Self, JoinError> {
        let (port, dir) = (Port::claim(), TempDir::new().expect("a directory"));
        let joiner = Joiner {
            name: name.to_owned(),
            region: setup.region.to_owned(),
            cluster_address: port.address().to_string(),
            http_address: format!("http://{name}"),
            schema: SchemaRange::BUILD,
            dial: HashMap::new(),
        };
        let joined = join(token, &joiner, PATIENCE).await?;
        joined.first_hubs.save(dir.path()).expect("kept");
        IdentityStore::at(dir.path()).create(&joined.identity).expect("kept");
        Ok(Stopped { dir, port, name: name.to_owned(), setup }.run(joined.identity, false).await)
    }

    /// An edge that has caught up.
    pub(crate) async fn edge(at: &Self, name: &str, setup: Setup) -> Self {
        let token = at.token(false, 1).await;
        let edge = Self::joining(&token, name, setup).await.expect("joins");
        until("an edge has the state", async || edge.control.replica().revision() >= at.control.replica().revision()).await;
        edge
    }

    pub(crate) async fn token(&self, voter: bool, uses: u32) -> JoinToken {
        let identity = self.control.identity().current();
        let token = JoinToken::issue(JoinTerms {
            cluster_id: identity.cluster_id(),
            ca_cert: identity.authorities()[0].clone(),
            voter,
            region: None,
            expires_at: now_ms() / 1_000 + 600,
            endpoints: vec![self.control.listening().to_string()],
        })
        .expect("a token");
        let command =
            CreateJoinToken { id: JoinTokenId(token.id().0), verifier: token.verifier(), voter, region: None, uses, lifetime_ms: 600_000 };
        assert_eq!(self.carry_out(Command::CreateJoinToken(command)).await, Ok(Outcome::Done));
        token
    }

    pub(crate) async fn carry_out(&self, command: Command) -> Result<Outcome, ProposeError> {
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: PATIENCE };
        Ok(self.control.propose(change).await?.outcome)
    }

    /// Writes so many entries.
    pub(crate) async fn write(&self, count: usize) {
        let writes = (0..count).map(|at| async move {
            let outcome = self.carry_out(add_client(&format!("client-{at}"))).await;
            assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
        });
        futures_util::future::join_all(writes).await;
    }

    /// Writes so many entries, a few at a time, so that they do not all stand in one frame.
    pub(crate) async fn write_in_small_runs(&self, count: usize) {
        for _ in 0..count / 5 {
            self.write(5).await;
        }
    }

    pub(crate) async fn hash(&self) -> [u8; 32] {
        let replica = Arc::clone(self.control.replica());
        tokio::task::spawn_blocking(move || state_hash(&*replica).expect("hashed")).await.expect("runs")
    }

    pub(crate) fn parent(&self) -> Option<NodeId> {
        self.control.status().parent.map(|parent| parent.node)
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.control.shutdown().await;
        // Its tasks may still be letting go of it.
        let Self { control, clock: _, stopped } = self;
        let replica = Arc::clone(control.replica());
        drop(control);
        until("nobody uses the state any more", async || Arc::strong_count(&replica) == 1).await;
        stopped
    }
}

/// Three voters, of whom any two are a majority: while they take over from fewer, those must agree as well.
pub(crate) async fn voters(setup: Setup) -> [TestNode; 3] {
    let first = TestNode::first(setup.clone()).await;
    let token = first.token(true, 2).await;
    let second = TestNode::joining(&token, "n2", setup.clone()).await.expect("joins");
    let third = TestNode::joining(&token, "n3", setup).await.expect("joins");
    for node in [&first, &second, &third] {
        until("three voters", async || {
            let members = node.control.status().members;
            members.voters.len() == 3 && members.joint.is_none() && members.committed
        })
        .await;
    }
    [first, second, third]
}

/// All have applied what was acknowledged before, and are in the same state.
pub(crate) async fn converge(nodes: &[&TestNode]) {
    let last = nodes[0].control.read_index(PATIENCE).await.expect("a revision");
    for node in nodes {
        node.control.wait_for(last, PATIENCE).await.expect("gets there");
    }
    until("equal states", async || {
        let mut hashes = Vec::new();
        for node in nodes {
            hashes.push(node.hash().await);
        }
        hashes.windows(2).all(|pair| pair[0] == pair[1])
    })
    .await;
}

/// Sees to it that this node leads.
pub(crate) async fn lead(node: &TestNode) {
    until("it leads", async || {
        if node.control.status().role == NodeRole::Leader {
            return true;
        }
        let _ = node.control.change_membership(MembershipChange::TransferLeader(node.control.id()), PATIENCE).await;
        false
    })
    .await;
}

pub(crate) fn add_client(name: &str) -> Command {
    Command::AddClient(AddClient { name: name.to_owned(), secret_hash: "hash".to_owned(), scopes: Vec::new(), domains: Vec::new() })
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("fits")
}
