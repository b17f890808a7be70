//! The control plane of one node, assembled.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use ncore_identity::{IdentityHandle, IdentityStore};
use ncore_model::{Command, InitCluster, NodeId, Outcome, Rejection, Revision, SchemaRange, UpdateNode};
use ncore_raft::{ConnectError, FatalReason, InitializeError, Lane, OpenError, PeerConnector, RaftConfig, RaftNode};
use ncore_replica::Replica;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::Channel};

use crate::{
    clock::Clock,
    listener::Listener,
    machine::ReplicaMachine,
    peers::Peers,
    plane::{Change, Committed, ControlPlane, ProposeError, ReadError},
    service::{ClusterService, Guard},
    stamp::{self, Stamps},
    upkeep,
};

/// How long the first command of a cluster may take.
const INIT_DEADLINE: Duration = Duration::from_secs(10);

/// What the control plane of a node is made from.
pub struct ControlConfig {
    /// Where the log and its snapshots are.
    pub raft_dir: PathBuf,
    /// What the node says of itself.
    pub description: SelfDescription,
    /// Where the cluster port listens.
    pub listen: SocketAddr,
    /// What to dial in place of an advertised address.
    pub dial: HashMap<String, String>,
    /// Time between two heartbeats of the leader.
    pub heartbeat: Duration,
    /// The shortest and the longest silence after which a follower stands for election.
    pub election: (Duration, Duration),
    /// Bytes a second of checkpoints that this node sends to others; 0 for no limit.
    pub snapshot_rate: u64,
    /// What stamps entries when this node leads.
    pub clock: Arc<dyn Clock>,
}

/// What a node says of itself, to the cluster.
#[derive(Debug, Clone)]
pub struct SelfDescription {
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// `host:port` that other nodes dial.
    pub cluster_address: String,
    /// Public base URL.
    pub http_address: String,
    /// The schema levels that it can apply.
    pub schema: SchemaRange,
    /// The version of its software.
    pub software: String,
    /// Higher at each start: Unix milliseconds serve well.
    pub incarnation: u64,
}

/// Why the control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cluster port cannot be had.
    #[error("cannot listen on {address} for other nodes")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log cannot be opened.
    #[error("the log cannot be opened")]
    Raft(#[source] OpenError),
    /// The cluster could not be initialised.
    #[error("the cluster cannot be initialised: {0}")]
    Init(String),
}

/// The control plane of one node.
pub struct Control {
    id: NodeId,
    started: Instant,
    replica: Arc<Replica>,
    raft: RaftNode,
    peers: Arc<Peers>,
    identity: IdentityHandle,
    identity_store: Arc<IdentityStore>,
    description: SelfDescription,
    stamps: Stamps,
    listening: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Control {
    /// Starts it: opens the log, listens on the cluster port, takes part in Raft. `more` are further services for the cluster port.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: ControlConfig,
        replica: Arc<Replica>,
        identity: IdentityHandle,
        identity_store: Arc<IdentityStore>,
        peers: Arc<Peers>,
        more: Routes,
    ) -> Result<Arc<Self>, StartError> {
        let id = NodeId(identity.current().node_id());
        let cluster_id = identity.current().cluster_id();
        let listener =
            Listener::bind(config.listen, &identity).await.map_err(|source| StartError::Listen { address: config.listen, source })?;
        let listening = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        let mut raft_config = RaftConfig::new(id.0, cluster_id.0, config.description.cluster_address.clone(), config.raft_dir);
        raft_config.heartbeat = config.heartbeat;
        raft_config.snapshot_rate = config.snapshot_rate;
        (raft_config.election_min, raft_config.election_max) = config.election;
        let machine = Arc::new(ReplicaMachine(Arc::clone(&replica)));
        let raft = RaftNode::open(raft_config, machine, Arc::new(Connections(Arc::clone(&peers)))).await.map_err(StartError::Raft)?;
        let control = Arc::new(Self {
            id,
            started: Instant::now(),
            replica,
            raft,
            peers,
            identity,
            identity_store,
            description: config.description,
            stamps: Stamps::new(config.clock),
            listening,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let routes =
            more.add_service(ncore_raft::service(&control.raft)).add_service(ClusterService::server(Arc::clone(&control))).prepare();
        let guard = Guard::new(Arc::clone(&control.replica));
        control.tasks.spawn(listener.serve(routes, guard, control.stop.clone()));
        control.tasks.spawn(upkeep::run(Arc::clone(&control), control.stop.clone()));
        control.tasks.spawn(stamp::watch_clock(Arc::clone(&control), control.stop.clone()));
        Ok(control)
    }

    /// Makes a cluster of this node alone: the first voter, and the first command. What was done before is not done again.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn found_cluster(&self) -> Result<(), StartError> {
        match self.raft.initialize().await {
            Ok(()) | Err(InitializeError::AlreadyInitialized) => {}
            Err(error) => return Err(StartError::Init(error.to_string())),
        }
        let description = self.description.clone();
        let node = UpdateNode {
            node: self.id,
            name: description.name,
            region: description.region,
            cluster_address: description.cluster_address,
            http_address: description.http_address,
            schema: description.schema,
            software: description.software,
            incarnation: description.incarnation,
        };
        let command = Command::InitCluster(InitCluster { cluster_id: self.identity.current().cluster_id().0, node });
        let change = Change { request: crate::new_request_id(), idempotency: None, command, deadline: INIT_DEADLINE };
        let committed = self.propose(change).await.map_err(|error| StartError::Init(error.to_string()))?;
        match committed.outcome {
            Outcome::Done | Outcome::Rejected(Rejection::AlreadyInitialised) => Ok(()),
            Outcome::Rejected(rejection) => Err(StartError::Init(rejection.to_string())),
            other => Err(StartError::Init(format!("unexpected outcome {other:?}"))),
        }
    }

    /// Resolves with the reason when the node must stop at once.
    pub async fn fatal(&self) -> FatalReason {
        self.raft.fatal().await
    }

    /// Stops taking part, cleanly. Bounded in time.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.raft.shutdown().await;
    }

    /// This node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where the cluster port listens.
    #[must_use]
    pub fn listening(&self) -> SocketAddr {
        self.listening
    }

    /// The Raft of this node.
    #[must_use]
    pub fn raft(&self) -> &RaftNode {
        &self.raft
    }

    /// The leader, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<u64> {
        self.raft.leaders().current()
    }

    /// The other nodes.
    #[must_use]
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> &IdentityHandle {
        &self.identity
    }

    /// How long the process has been running.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Which start of the node this is: higher than any before.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.description.incarnation
    }

    pub(crate) fn identity_store(&self) -> &IdentityStore {
        &self.identity_store
    }

    pub(crate) fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    pub(crate) fn description(&self) -> &SelfDescription {
        &self.description
    }

    pub(crate) async fn wait_applied(&self, wanted: Revision, deadline: Duration) -> Result<(), ReadError> {
        let mut revisions = self.replica.watch();
        let reached = timeout(deadline, revisions.wait_for(|revision| *revision >= wanted)).await;
        let now = self.replica.revision();
        match reached {
            Ok(Ok(_)) if now.lineage == wanted.lineage => Ok(()),
            Ok(Ok(_)) => Err(ReadError::Lost { wanted }),
            Ok(Err(_)) | Err(_) => Err(ReadError::Behind { wanted, reached: now }),
        }
    }
}

impl ControlPlane for Control {
    fn node_id(&self) -> NodeId {
        self.id
    }

    fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    fn propose(&self, change: Change) -> BoxFuture<'_, Result<Committed, ProposeError>> {
        Box::pin(self.propose_anywhere(change))
    }

    fn read_index(&self, deadline: Duration) -> BoxFuture<'_, Result<Revision, ReadError>> {
        Box::pin(async move {
            let end = tokio::time::Instant::now() + deadline;
            let index = self.raft.read_index_anywhere(end).await.map_err(|_| ReadError::NoLeader)?;
            let revision = Revision { lineage: self.replica.revision().lineage, index };
            self.wait_applied(revision, end.saturating_duration_since(tokio::time::Instant::now())).await?;
            Ok(revision)
        })
    }

    fn wait_for(&self, revision: Revision, deadline: Duration) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(self.wait_applied(revision, deadline))
    }
}

/// The connections of [`Peers`], for Raft: one of its own for each lane, so that no heartbeat waits behind a snapshot.
struct Connections(Arc<Peers>);

impl PeerConnector for Connections {
    fn channel<'a>(&'a self, node_id: u64, address: &'a str, _lane: Lane) -> BoxFuture<'a, Result<Channel, ConnectError>> {
        let channel = self.0.fresh_channel(NodeId(node_id), address);
        Box::pin(async move { channel.map_err(|source| ConnectError { node_id, source: source.into() }) })
    }
}
