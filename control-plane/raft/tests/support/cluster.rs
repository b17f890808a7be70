//! Nodes in one process, over real gRPC on loopback, each pair of them over links that can be cut.
//!
//! A node has one listener for each other node, so a listener knows who calls: that stands for the verified identity which
//! TLS gives elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_raft::{
    ChangeError, ConnectError, Lane, MembershipStamp, PeerConnector, PeerIdentity, ProposeError, Proposed, RaftConfig, RaftNode,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tonic::{
    Request,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use super::{link::Link, machine::TestMachine};

pub(crate) const CLUSTER_ID: [u8; 16] = *b"0123456789abcdef";

/// Links by (who dials, who is dialled, lane).
pub(crate) type Links = BTreeMap<(u64, u64, Lane), Link>;

/// How often each link was dialled.
type Dials = Mutex<BTreeMap<(u64, u64, Lane), u64>>;

pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<u64, TestNode>,
    pub(crate) links: Arc<Links>,
    dials: Arc<Dials>,
    configure: fn(&mut RaftConfig),
    dir: tempfile::TempDir,
}

pub(crate) struct TestNode {
    pub(crate) raft: RaftNode,
    pub(crate) machine: Arc<TestMachine>,
    servers: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts the nodes `1..=count`, not yet a cluster.
    pub(crate) async fn start(count: u64, configure: fn(&mut RaftConfig)) -> Self {
        let mut links = Links::new();
        for from in 1..=count {
            for to in (1..=count).filter(|to| *to != from) {
                for lane in [Lane::Control, Lane::Log, Lane::Bulk] {
                    links.insert((from, to, lane), Link::new().await);
                }
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { nodes: BTreeMap::new(), links: Arc::new(links), dials: Arc::default(), configure, dir };
        for id in 1..=count {
            cluster.start_node(id).await;
        }
        cluster
    }

    /// Starts the nodes and makes the first `voters` of them a cluster of voters.
    pub(crate) async fn formed(count: u64, voters: u64, configure: fn(&mut RaftConfig)) -> Self {
        let cluster = Self::start(count, configure).await;
        let first = &cluster.nodes[&1].raft;
        first.initialize().await.unwrap();
        eventually("node 1 leads", || async { first.status().is_leader() }).await;
        for id in 2..=voters {
            cluster.add_learner(id).await;
        }
        let all: BTreeSet<u64> = (1..=voters).collect();
        changed(first, async |stamp| first.change_voters(all.clone(), stamp, soon()).await).await;
        eventually("all vote", || async {
            cluster.nodes.iter().all(|(id, node)| *id > voters || node.raft.status().members.voters == all)
        })
        .await;
        cluster
    }

    pub(crate) async fn start_node(&mut self, id: u64) {
        let mut config = RaftConfig::new(id, CLUSTER_ID, format!("node-{id}"), self.node_dir(id));
        // Longer than a busy machine keeps a leader from its heartbeats: leaders change where a test has them change.
        config.election_min = Duration::from_secs(1);
        config.election_max = Duration::from_secs(2);
        (self.configure)(&mut config);
        let machine = Arc::new(TestMachine::open(&self.node_dir(id).join("state")));
        let connector = Arc::new(Dialler { from: id, links: Arc::clone(&self.links), dials: Arc::clone(&self.dials) });
        let raft = RaftNode::open(config, Arc::clone(&machine) as Arc<_>, connector).await.unwrap();
        let mut servers = Vec::new();
        let peers: BTreeSet<u64> = self.links.keys().filter(|(_, to, _)| *to == id).map(|(from, ..)| *from).collect();
        for peer in peers {
            let (port, server) = serve(&raft, peer).await;
            self.links.iter().filter(|((from, to, _), _)| (*from, *to) == (peer, id)).for_each(|(_, link)| link.set_target(port));
            servers.push(server);
        }
        self.nodes.insert(id, TestNode { raft, machine, servers });
    }

    /// Stops a node without notice to anybody; its data stays.
    pub(crate) async fn stop_node(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        for ((from, to, _), link) in self.links.iter() {
            if *from == id || *to == id {
                link.cut();
            }
            if *to == id {
                link.set_target(0);
            }
        }
        node.servers.iter().for_each(JoinHandle::abort);
        node.raft.shutdown().await;
    }

    /// Stops all nodes. RocksDB must be closed before the process ends.
    pub(crate) async fn stop(mut self) {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for id in ids {
            self.stop_node(id).await;
        }
    }

    /// Cuts a node off from all others, or lets it back.
    pub(crate) fn isolate(&self, id: u64, isolated: bool) {
        for ((from, to, _), link) in self.links.iter().filter(|((from, to, _), _)| *from == id || *to == id) {
            assert_ne!(from, to);
            if isolated { link.block() } else { link.heal() }
        }
    }

    /// Bytes that `from` has sent so far over the connections that it dialled.
    pub(crate) fn sent(&self, from: u64) -> u64 {
        self.links.iter().filter(|((who, ..), _)| *who == from).map(|(_, link)| link.sent()).sum()
    }

    /// How often `from` has dialled `to` so far, over `lane`.
    pub(crate) fn dials(&self, from: u64, to: u64, lane: Lane) -> u64 {
        self.dials.lock().get(&(from, to, lane)).copied().unwrap_or(0)
    }

    pub(crate) async fn add_learner(&self, id: u64) {
        let leader = self.leader().await;
        let raft = &self.nodes[&leader].raft;
        changed(raft, async |stamp| raft.add_learner(id, &format!("node-{id}"), stamp, soon()).await).await;
    }

    /// A node that leads and is followed by a quorum.
    pub(crate) async fn leader(&self) -> u64 {
        let deadline = soon();
        loop {
            for (id, node) in &self.nodes {
                if node.raft.status().is_leader() && node.raft.read_index(Instant::now() + Duration::from_millis(500)).await.is_ok() {
                    return *id;
                }
            }
            assert!(Instant::now() < deadline, "no leader");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes a key at whoever leads, until it is certain that it was written.
    pub(crate) async fn put(&self, key: &str, value: &[u8]) -> Proposed {
        let deadline = soon();
        loop {
            let leader = self.leader().await;
            match self.nodes[&leader].raft.propose(command(key, value), deadline).await {
                Ok(proposed) => return proposed,
                Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) if Instant::now() < deadline => {}
                Err(error) => panic!("cannot write: {error}"),
            }
        }
    }

    /// Waits until every running node has applied `index`.
    pub(crate) async fn all_applied(&self, index: u64) {
        for node in self.nodes.values() {
            node.raft.wait_applied(index, soon()).await.unwrap();
        }
    }

    pub(crate) fn stamp(&self, leader: u64) -> MembershipStamp {
        self.nodes[&leader].raft.status().stamp()
    }

    pub(crate) fn node_dir(&self, id: u64) -> PathBuf {
        self.dir.path().join(id.to_string())
    }
}

/// Dials over the links.
struct Dialler {
    from: u64,
    links: Arc<Links>,
    dials: Arc<Dials>,
}

impl PeerConnector for Dialler {
    fn channel<'a>(&'a self, node_id: u64, address: &'a str, lane: Lane) -> BoxFuture<'a, Result<Channel, ConnectError>> {
        Box::pin(async move {
            assert_eq!(address, format!("node-{node_id}"));
            let link = (self.from, node_id, lane);
            *self.dials.lock().entry(link).or_default() += 1;
            let port = self.links[&link].port;
            let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
            let endpoint = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(1));
            endpoint.connect().await.map_err(|source| ConnectError { node_id, source: source.into() })
        })
    }
}

/// Serves a node's Raft on a port of its own, on which only `peer` calls.
pub(crate) async fn serve(raft: &RaftNode, peer: u64) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let identify = move |mut request: Request<()>| {
        request.extensions_mut().insert(PeerIdentity { node_id: peer });
        Ok(request)
    };
    let slot = Arc::new(OnceLock::from(raft.clone()));
    let service = InterceptedService::new(ncore_raft::service(&slot), identify);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tokio::spawn(async move {
        Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    (port, server)
}

pub(crate) fn command(key: &str, value: &[u8]) -> Bytes {
    [key.as_bytes(), b"=", value].concat().into()
}

/// A deadline that no healthy test reaches.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Polls until the condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = soon();
    while !condition().await {
        assert!(Instant::now() < deadline, "not within the deadline: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes of all files below a directory.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| if entry.file_type().unwrap().is_dir() { disk_bytes(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

/// Makes a change on the membership as it is. The status can be of a moment before the last change: then it is looked at again.
pub(crate) async fn changed(raft: &RaftNode, change: impl AsyncFn(MembershipStamp) -> Result<(), ChangeError>) {
    let deadline = soon();
    loop {
        match change(raft.status().stamp()).await {
            Err(ChangeError::Stale) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(5)).await,
            result => return result.unwrap(),
        }
    }
}
