//! The control plane of several nodes in one process: real TLS over loopback, real disks, no mocks.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_control::{
    Change, Clock, Control, ControlConfig, ControlPlane, JoinError, Joiner, MembershipChange, Peers, ProposeError, SelfDescription,
    SystemClock, join, new_request_id,
};
use ncore_identity::{IdentityHandle, IdentityStore, JoinTerms, JoinToken, NodeIdentity};
use ncore_model::{AddClient, Command, CreateJoinToken, JoinTokenId, NodeId, NodeState, Outcome, Query, SchemaRange, state_hash};
use ncore_proto::cluster::v1::{InspectRequest, cluster_client::ClusterClient};
use ncore_replica::Replica;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::service::Routes;

const PATIENCE: Duration = Duration::from_secs(20);

struct TestNode {
    dir: TempDir,
    control: Arc<Control>,
    clock: Arc<TestClock>,
}

/// The machine's clock, set ahead.
#[derive(Default)]
struct TestClock {
    ahead_ms: AtomicU64,
}

impl TestClock {
    fn set_ahead(&self, ahead: Duration) {
        self.ahead_ms.store(u64::try_from(ahead.as_millis()).expect("fits"), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }
}

impl TestNode {
    async fn first() -> Self {
        let identity = NodeIdentity::found(1, now_s()).expect("an identity");
        let node = Self::start(TempDir::new().expect("a directory"), identity, free_address(), "n1").await;
        node.control.found_cluster().await.expect("a cluster");
        node
    }

    async fn joining(token: &JoinToken, name: &str) -> Result<Self, JoinError> {
        let address = free_address();
        let joined = join(token, &joiner(name, address), PATIENCE).await?;
        Ok(Self::start(TempDir::new().expect("a directory"), joined.identity, address, name).await)
    }

    async fn start(dir: TempDir, identity: NodeIdentity, address: SocketAddr, name: &str) -> Self {
        let store = Arc::new(IdentityStore::at(dir.path()));
        store.create(&identity).expect("kept");
        let id = NodeId(identity.node_id());
        let handle = IdentityHandle::new(identity);
        let replica = Arc::new(Replica::open(&dir.path().join("state")).expect("a replica"));
        let peers = Arc::new(Peers::new(id, "eu".into(), Arc::clone(&replica), handle.clone(), HashMap::new()));
        let clock = Arc::new(TestClock::default());
        let config = ControlConfig {
            raft_dir: dir.path().join("raft"),
            description: SelfDescription {
                name: name.to_owned(),
                region: "eu".to_owned(),
                cluster_address: address.to_string(),
                http_address: format!("http://{name}"),
                schema: SchemaRange::BUILD,
                software: "test".to_owned(),
                incarnation: now_s() * 1_000,
            },
            listen: address,
            dial: HashMap::new(),
            heartbeat: Duration::from_millis(100),
            election: (Duration::from_millis(300), Duration::from_millis(600)),
            snapshot_rate: 0,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let control = Control::start(config, replica, handle, store, peers, Routes::default()).await.expect("starts");
        Self { dir, control, clock }
    }

    async fn token(&self, voter: bool, uses: u32) -> JoinToken {
        let identity = self.control.identity().current();
        let token = JoinToken::issue(JoinTerms {
            cluster_id: identity.cluster_id(),
            ca_cert: identity.authorities()[0].clone(),
            voter,
            region: None,
            expires_at: now_s() + 600,
            endpoints: vec![self.control.listening().to_string()],
        })
        .expect("a token");
        let command =
            CreateJoinToken { id: JoinTokenId(token.id().0), verifier: token.verifier(), voter, region: None, uses, lifetime_ms: 600_000 };
        assert_eq!(self.carry_out(Command::CreateJoinToken(command)).await, Ok(Outcome::Done));
        token
    }

    async fn carry_out(&self, command: Command) -> Result<Outcome, ProposeError> {
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: PATIENCE };
        Ok(self.control.propose(change).await?.outcome)
    }

    async fn hash(&self) -> [u8; 32] {
        let replica = Arc::clone(self.control.replica());
        tokio::task::spawn_blocking(move || state_hash(&*replica).expect("hashed")).await.expect("runs")
    }

    async fn stop(self) -> TempDir {
        self.control.shutdown().await;
        self.dir
    }
}

async fn three() -> [TestNode; 3] {
    let first = TestNode::first().await;
    let token = first.token(true, 2).await;
    let second = TestNode::joining(&token, "n2").await.expect("joins");
    let third = TestNode::joining(&token, "n3").await.expect("joins");
    for node in [&first, &second, &third] {
        until("three voters", async || node.control.raft().status().members.voters.len() == 3).await;
    }
    [first, second, third]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_changes_and_all_come_to_the_same_state() {
    let nodes = three().await;
    for (at, node) in nodes.iter().enumerate() {
        let outcome = node.carry_out(add_client(&format!("client-{at}"))).await.expect("committed");
        let Outcome::ClientAdded(id) = outcome else { panic!("{outcome:?}") };
        // Read your writes: whoever was answered finds it here.
        assert!(node.control.replica().client(&id).expect("reads").is_some());
    }
    until("every node has the authority", async || nodes.iter().all(|node| node.control.identity().current().authority().is_some())).await;
    until("the schema level has risen", async || {
        let cluster = nodes[0].control.replica().cluster().expect("reads").expect("initialised");
        cluster.schema_level == SchemaRange::BUILD.max
    })
    .await;
    let last = nodes[1].control.read_index(PATIENCE).await.expect("a revision");
    for node in &nodes {
        node.control.wait_for(last, PATIENCE).await.expect("gets there");
    }
    until("equal states", async || nodes[0].hash().await == nodes[1].hash().await && nodes[1].hash().await == nodes[2].hash().await).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_the_leader_is_survived_and_a_minority_takes_nothing() {
    let [first, second, third] = three().await;
    first.stop().await;
    let outcome = second.carry_out(add_client("after")).await;
    assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
    third.stop().await;
    let change = Change { request: new_request_id(), idempotency: None, command: add_client("alone"), deadline: Duration::from_secs(3) };
    let result = second.control.propose(change).await;
    assert!(matches!(result, Err(ProposeError::Unavailable { .. } | ProposeError::Unknown { .. })), "{result:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_cut_off() {
    let [first, second, third] = three().await;
    let gone = third.control.id();
    // While it is a member its calls are answered.
    assert_eq!(call(&third, first.control.id()).await, Ok(()));
    first.carry_out(Command::SetNodeState { node: gone, state: NodeState::Removed }).await.expect("committed");
    first.control.change_membership(MembershipChange::Remove(gone), PATIENCE).await.expect("removed");
    assert_eq!(call(&third, first.control.id()).await, Err(tonic::Code::PermissionDenied));
    assert!(matches!(second.carry_out(add_client("two are enough")).await, Ok(Outcome::ClientAdded(_))));
    for node in [first, second, third] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_nobody_joins() {
    let first = TestNode::first().await;
    let good = first.token(false, 1).await;
    let forged = JoinToken::issue(good.terms().clone()).expect("a token that the cluster does not know");
    assert!(matches!(TestNode::joining(&forged, "forged").await, Err(JoinError::Refused(_))));
    let second = TestNode::joining(&good, "n2").await.expect("joins");
    assert!(matches!(TestNode::joining(&good, "late").await, Err(JoinError::Refused(_))), "the token is spent");
    assert!(!second.control.raft().status().members.voters.contains(&second.control.id().0));
    for node in [first, second] {
        node.stop().await;
    }
}

/// Three voters, each of which knows the others' clocks, and which of them leads.
async fn three_that_know_the_time() -> ([TestNode; 3], usize) {
    let nodes = three().await;
    until("everybody has asked everybody", async || {
        let ids: Vec<_> = nodes.iter().map(|node| node.control.id()).collect();
        nodes.iter().all(|node| ids.iter().all(|id| *id == node.control.id() || node.control.peers().is_near(*id)))
    })
    .await;
    let leader = nodes[0].control.leader().expect("there is a leader");
    let leader = nodes.iter().position(|node| node.control.id().0 == leader).expect("of the three");
    (nodes, leader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_is_ahead_hands_over_and_stamps_nothing() {
    let (nodes, leader) = three_that_know_the_time().await;
    nodes[leader].clock.set_ahead(Duration::from_secs(60));
    // It goes on taking changes from clients; they are carried out by another.
    for at in 0..3 {
        let outcome = nodes[at].carry_out(add_client(&format!("client-{at}"))).await;
        assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
    }
    assert_ne!(nodes[leader].control.leader(), Some(nodes[leader].control.id().0));
    let log_time_ms = nodes[leader].control.replica().cluster().expect("reads").expect("initialised").log_time_ms;
    assert!(log_time_ms <= SystemClock.now_ms(), "the time of the log is of a right clock");
    assert!(nodes[leader].control.clock_lead_ms() > 50_000);
    until("it is not said of one that does not lead", async || !nodes[leader].control.refuses_to_stamp()).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_heir_a_leader_whose_clock_is_ahead_takes_nothing() {
    let (nodes, leader) = three_that_know_the_time().await;
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    for at in [follower, other] {
        let drained = Command::SetNodeState { node: nodes[at].control.id(), state: NodeState::Draining };
        assert_eq!(nodes[leader].carry_out(drained).await, Ok(Outcome::Done));
    }
    nodes[leader].clock.set_ahead(Duration::from_secs(60));
    for at in [leader, follower] {
        let command = add_client("too early");
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: Duration::from_secs(2) };
        match nodes[at].control.propose(change).await {
            Err(ProposeError::Unavailable { reason }) => assert!(reason.contains("clock is ahead"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(nodes[leader].control.refuses_to_stamp());
    assert_eq!(nodes[leader].control.leader(), Some(nodes[leader].control.id().0), "it leads, and reads go on");
    nodes[follower].control.read_index(PATIENCE).await.expect("a revision");

    nodes[leader].clock.set_ahead(Duration::from_secs(1));
    let outcome = nodes[follower].carry_out(add_client("in time")).await;
    assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
    assert!(!nodes[leader].control.refuses_to_stamp());
    for node in nodes {
        node.stop().await;
    }
}

async fn call(from: &TestNode, to: NodeId) -> Result<(), tonic::Code> {
    let channel = from.control.peers().channel(to).expect("a channel");
    ClusterClient::new(channel).inspect(InspectRequest { state_hash: false }).await.map(drop).map_err(|status| status.code())
}

fn add_client(name: &str) -> Command {
    Command::AddClient(AddClient { name: name.to_owned(), secret_hash: "hash".to_owned(), scopes: Vec::new(), domains: Vec::new() })
}

fn joiner(name: &str, address: SocketAddr) -> Joiner {
    Joiner {
        name: name.to_owned(),
        region: "eu".to_owned(),
        cluster_address: address.to_string(),
        http_address: format!("http://{name}"),
        schema: SchemaRange::BUILD,
        dial: HashMap::new(),
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
