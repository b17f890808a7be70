//! The control plane of one node, assembled.

mod config;
pub(crate) mod part;

pub use config::{ControlConfig, SelfDescription, StartError};

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use ncore_freshness::{FreshState, Settings};
use ncore_identity::{IdentityHandle, IdentityStore};
use ncore_model::{Command, InitCluster, NodeId, Outcome, Query, Rejection, Revision, UpdateNode};
use ncore_raft::{FatalReason, InitializeError, RaftConfig, RaftNode};
use ncore_replica::Replica;
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    arrivals::Arrivals,
    autopilot::{AutopilotCounts, AutopilotSettings, Report},
    forward::Forwarder,
    freshness::{self, BarrierError, BarrierProgress, Pulse},
    hub::{ChildStatus, FollowerStatus, Hub, HubParts, HubService, Leadership},
    listener::Listener,
    machine::ReplicaMachine,
    peers::Peers,
    plane::{Change, Committed, ControlPlane, ProposeError, ReadError},
    service::{ClusterService, Guard},
    stamp::{self, Stamps},
    upkeep,
};
use part::Following;

/// How long the first command of a cluster may take.
const INIT_DEADLINE: Duration = Duration::from_secs(10);

/// The control plane of one node.
pub struct Control {
    id: NodeId,
    started: Instant,
    replica: Arc<Replica>,
    /// Empty as long as this node takes no part in Raft.
    raft: Arc<OnceLock<RaftNode>>,
    raft_config: RaftConfig,
    machine: Arc<ReplicaMachine>,
    hub: Arc<Hub>,
    leadership: Arc<Leadership>,
    follower_status: Arc<FollowerStatus>,
    pulse: Arc<Pulse>,
    arrivals: Arc<Arrivals>,
    forwarder: Forwarder,
    /// What follows a hub, as long as the slot of Raft is empty.
    following: Mutex<Option<Following>>,
    fatal: watch::Sender<Option<FatalReason>>,
    peers: Arc<Peers>,
    identity: IdentityHandle,
    identity_store: Arc<IdentityStore>,
    description: SelfDescription,
    stamps: Stamps,
    autopilot_settings: AutopilotSettings,
    autopilot: Report,
    listening: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Control {
    /// Starts it: listens on the cluster port, and takes part in Raft or follows a hub. `more` are further services for the cluster port.
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
        let address = config.description.cluster_address.clone();
        let mut raft_config = RaftConfig::new(id.0, cluster_id.0, address, config.data_dir.join("raft"));
        config::keep_log(&mut raft_config, config.log_keep);
        raft_config.heartbeat = config.heartbeat;
        raft_config.snapshot_rate = config.snapshot_rate;
        (raft_config.election_min, raft_config.election_max) = config.election;
        let machine = Arc::new(ReplicaMachine::new(Arc::clone(&replica)).map_err(StartError::State)?);
        let (raft, leadership, stop) = (Arc::new(OnceLock::new()), Arc::new(Leadership::default()), CancellationToken::new());
        part::sync(&replica).await.map_err(StartError::State)?;
        let settings = Settings { bound: config.freshness_bound, ..Settings::default() };
        let pulse = Pulse::new(settings, replica.revision());
        let hub = Hub::new(HubParts {
            own: id,
            cluster_id: cluster_id.0,
            replica: Arc::clone(&replica),
            raft: Arc::clone(&raft),
            ring: Arc::clone(machine.ring()),
            leadership: Arc::clone(&leadership),
            pulse: Arc::clone(&pulse),
            settings: config.hub.clone(),
            stop: stop.clone(),
        });
        let arrivals = Arrivals::of(&replica);
        let control = Arc::new(Self {
            id,
            started: Instant::now(),
            replica,
            raft,
            raft_config,
            machine,
            hub,
            leadership,
            follower_status: Arc::default(),
            pulse,
            arrivals,
            forwarder: Forwarder::default(),
            following: Mutex::new(None),
            fatal: watch::Sender::new(None),
            peers,
            identity,
            identity_store,
            description: config.description,
            stamps: Stamps::new(config.clock),
            autopilot_settings: config.autopilot,
            autopilot: Report::default(),
            listening,
            stop,
            tasks: TaskTracker::new(),
        });
        control.take_its_part(config.founding, &config.data_dir, config.first_hubs).await?;
        let routes = more
            .add_service(ncore_raft::service(&control.raft))
            .add_service(HubService::server(Arc::clone(&control.hub)))
            .add_service(ClusterService::server(Arc::clone(&control)))
            .prepare();
        let guard = Guard::new(Arc::clone(&control.replica));
        control.tasks.spawn(listener.serve(routes, guard, control.stop.clone()));
        control.keep_fresh();
        control.tasks.spawn(upkeep::run(Arc::clone(&control), control.stop.clone()));
        control.tasks.spawn(stamp::watch_clock(Arc::clone(&control), control.stop.clone()));
        Ok(control)
    }

    fn keep_fresh(self: &Arc<Self>) {
        let (pulse, replica, stop) = (Arc::clone(&self.pulse), Arc::clone(&self.replica), self.stop.clone());
        self.tasks.spawn(freshness::drive(Arc::clone(&pulse), Arc::clone(&self.raft), Arc::clone(&replica), stop.clone()));
        let control = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(reason) = freshness::record(pulse, replica, stop).await {
                control.raise(reason);
            }
        });
    }

    /// Makes a cluster of this node alone: the first voter, and the first command. What was done before is not done again.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn found_cluster(&self) -> Result<(), StartError> {
        let raft = self.raft().ok_or_else(|| StartError::Init("this node was not started to make a cluster".to_owned()))?;
        match raft.initialize().await {
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
        let mut reasons = self.fatal.subscribe();
        match reasons.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()) {
            Some(reason) => reason,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// Stops taking part, cleanly. Bounded in time.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.forwarder.close();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(following) = self.following.lock().await.take() {
            following.end().await;
        }
        if let Some(raft) = self.raft() {
            raft.shutdown().await;
        }
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

    /// The Raft of this node; `None` as long as it takes no part.
    #[must_use]
    pub fn raft(&self) -> Option<&RaftNode> {
        self.raft.get()
    }

    /// The leader, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<u64> {
        self.raft().map_or_else(|| self.leadership.current().node, |raft| raft.leaders().current())
    }

    /// How old this node's view can be at most; `None` if nothing is known.
    #[must_use]
    pub fn staleness(&self) -> Option<Duration> {
        self.pulse.staleness()
    }

    /// Who follows this node.
    #[must_use]
    pub fn children(&self) -> Vec<ChildStatus> {
        self.hub.children()
    }

    /// The other nodes.
    #[must_use]
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// What the autopilot of this node does, or why it does not; empty on a node that does not lead.
    #[must_use]
    pub fn autopilot_words(&self) -> String {
        self.autopilot.words()
    }

    /// Whether this node leads, and its autopilot would do something and cannot.
    #[must_use]
    pub fn autopilot_waits(&self) -> bool {
        self.autopilot.is_waiting()
    }

    /// What the autopilot of this node has done since the start.
    #[must_use]
    pub fn autopilot_counts(&self) -> AutopilotCounts {
        self.autopilot.counts()
    }

    /// How often this node was fenced after it had been fresh, since the start.
    #[must_use]
    pub fn fencings(&self) -> u64 {
        self.pulse.fencings()
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

    pub(crate) fn autopilot(&self) -> &Report {
        &self.autopilot
    }

    pub(crate) fn autopilot_settings(&self) -> &AutopilotSettings {
        &self.autopilot_settings
    }

    pub(crate) fn description(&self) -> &SelfDescription {
        &self.description
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(crate) fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    pub(crate) fn follower_status(&self) -> &FollowerStatus {
        &self.follower_status
    }

    pub(crate) fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    /// Is cancelled when this node stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) async fn wait_applied(&self, wanted: Revision, deadline: Duration) -> Result<(), ReadError> {
        let reached = timeout(deadline, self.arrivals.wait(&self.replica, wanted)).await;
        let now = self.replica.revision();
        match reached {
            Ok(()) if now.lineage == wanted.lineage => Ok(()),
            // Later than the revision, which is not yet to say that it went through it.
            Ok(()) => match self.replica.includes(wanted) {
                Ok(true) => Ok(()),
                Ok(false) => Err(ReadError::Lost { wanted }),
                // The node is about to stop for it.
                Err(_) => Err(ReadError::Behind { wanted, reached: now }),
            },
            Err(_) => Err(ReadError::Behind { wanted, reached: now }),
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
            let index = self.read_index_anywhere(end).await?;
            let revision = Revision { lineage: self.replica.revision().lineage, index };
            self.wait_applied(revision, end.saturating_duration_since(tokio::time::Instant::now())).await?;
            Ok(revision)
        })
    }

    fn wait_for(&self, revision: Revision, deadline: Duration) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(self.wait_applied(revision, deadline))
    }

    fn fresh_state(&self) -> FreshState {
        self.pulse.state()
    }

    fn freshness(&self) -> watch::Receiver<FreshState> {
        self.pulse.watch()
    }

    fn barrier(&self, revision: Revision, deadline: Duration) -> BoxFuture<'_, Result<BarrierProgress, BarrierError>> {
        Box::pin(self.barrier_anywhere(revision, deadline))
    }

    fn without(&self, revision: Revision) -> BoxFuture<'_, Vec<NodeId>> {
        Box::pin(self.nodes_without(revision))
    }
}
