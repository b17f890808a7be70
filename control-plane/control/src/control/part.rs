//! Which part a node takes: in Raft, or following a hub; and the way from the second to the first.
//!
//! ```text
//!   start ──┬─ has a log of Raft, and a place in it, or makes the cluster ─► in Raft, until it stops
//!           └─ else ─► follows a hub ── the leader has made it a learner ─► in Raft, from where its state is
//! ```
//!
//! There is no way back while the process runs: a node that lost its vote stays a learner until its next start.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use ncore_model::{NodeId, Query};
use ncore_proto::hub::v1::Hello;
use ncore_raft::{CheckpointPuller, ConnectError, Fatal, FatalReason, Lane, OpenError, PeerConnector, RaftNode, has_log};
use ncore_replica::Replica;
use tokio::{
    task::{self, JoinHandle},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{Control, StartError};
use crate::{
    freshness::keep_to_leader,
    hub::{Catcher, FirstHubs, Follower, FollowerParts, Leader},
    peers::Peers,
    protocol::PROTOCOL,
    status,
};

/// How long a node that was opened may take to know its members. One that has none is known after this.
const KNOWN: Duration = Duration::from_secs(2);
/// Completes the sentence of a [`Fatal`].
const SYNC: &str = "make its state durable";

/// A task that follows hubs.
pub(super) struct Following {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Following {
    /// Ends it. Nothing is applied after this.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // It never panics; and if it did, it would apply nothing either.
        let _ = self.task.await;
    }
}

impl Control {
    /// At the start: opens Raft, or follows.
    pub(super) async fn take_its_part(self: &Arc<Self>, founding: bool, data_dir: &Path, first: FirstHubs) -> Result<(), StartError> {
        if founding || has_log(&self.raft_config.dir) {
            let raft = self.open_raft().await.map_err(StartError::Raft)?;
            if founding {
                self.enter(raft);
                return Ok(());
            }
            // The log may know more than the state, so it is asked. A log without members is one that the leader is about to fill.
            let known = raft.watch().wait_for(Instant::now() + KNOWN, |status| !status.members.voters.is_empty()).await;
            let members = known.map(|status| status.members).unwrap_or_default();
            let place = members.voters.contains(&self.id.0) || (members.learners.contains(&self.id.0) && self.shall_vote());
            if place || members.voters.is_empty() {
                self.enter(raft);
                return Ok(());
            }
            tracing::info!("this node has no part in Raft; it follows from outside");
            raft.shutdown().await;
        } else if status::members(&self.replica).voters.contains(&self.id.0) {
            tracing::error!("this node votes and has lost its log; it must not vote again: remove it, wipe it, and let it join anew");
        }
        let puller = self.puller(data_dir).await.map_err(StartError::Raft)?;
        let follower = Follower::new(FollowerParts {
            own: self.id,
            replica: Arc::clone(&self.replica),
            machine: Arc::clone(&self.machine),
            peers: Arc::clone(&self.peers),
            first_hubs: first,
            catcher: Catcher::new(Arc::clone(&self.machine), puller),
            leadership: Arc::clone(&self.leadership),
            pulse: Arc::clone(&self.pulse),
            hello: self.hello(Presence::Follows),
            status: Arc::clone(&self.follower_status),
            settings: self.hub.settings().clone(),
        });
        let (stop, control) = (CancellationToken::new(), Arc::clone(self));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            if let Err(reason) = follower.run(stopped).await {
                control.raise(reason);
            }
        });
        *self.following.lock().await = Some(Following { stop, task });
        Ok(())
    }

    /// Whether the state, as far as it is here, says that this node is meant to vote.
    fn shall_vote(&self) -> bool {
        self.replica.node(self.id).is_ok_and(|node| node.is_some_and(|node| node.voter))
    }

    /// Takes part in Raft from now on, beginning where the state is. Asked for again it does nothing.
    ///
    /// # Errors
    /// If the log cannot be opened. The node follows nobody then, and it is to be asked for again.
    pub(crate) async fn join_raft(&self) -> Result<(), OpenError> {
        let mut following = self.following.lock().await;
        if self.raft().is_some() {
            return Ok(());
        }
        if let Some(following) = following.take() {
            following.end().await;
        }
        // The log begins after the state, so the state must be there after a loss of power.
        if let Err(fatal) = sync(&self.replica).await {
            self.raise(FatalReason::Machine(fatal));
            return Ok(());
        }
        let raft = self.open_raft().await?;
        self.enter(raft);
        tracing::info!("this node takes part in Raft now");
        Ok(())
    }

    async fn open_raft(&self) -> Result<RaftNode, OpenError> {
        let machine = Arc::clone(&self.machine);
        RaftNode::open(self.raft_config.clone(), machine, Arc::new(Connections(Arc::clone(&self.peers)))).await
    }

    /// What this node says to a hub.
    fn hello(&self, presence: Presence) -> Hello {
        Hello {
            cluster_id: self.raft_config.cluster_id.to_vec().into(),
            node_id: self.id.0,
            incarnation: self.description.incarnation,
            region: self.description.region.clone(),
            protocol_min: *PROTOCOL.start(),
            protocol_max: *PROTOCOL.end(),
            relay: presence == Presence::Follows && self.hub.settings().relay,
            freshness_bound_ms: u64::try_from(self.pulse.settings().bound.as_millis()).unwrap_or(u64::MAX),
            voter: presence == Presence::Votes,
        }
    }

    fn enter(&self, raft: RaftNode) {
        self.machine.ring().open(self.hub.settings().ring_bytes);
        let (fatal, leadership) = (self.fatal.clone(), Arc::clone(&self.leadership));
        let (stop, mut leaders, failing) = (self.stop.clone(), raft.leaders(), raft.clone());
        self.tasks.spawn(async move {
            if let Some(reason) = stop.run_until_cancelled(failing.fatal()).await {
                fatal.send_replace(Some(reason));
            }
        });
        let (stop, pulse) = (self.stop.clone(), Arc::clone(&self.pulse));
        self.tasks.spawn(async move {
            loop {
                let (term, node) = leaders.in_term();
                leadership.learn(Leader { node, term });
                // A leader makes itself fresh at once, and all whose pings wait for it.
                pulse.urge();
                if stop.run_until_cancelled(leaders.changed()).await != Some(true) {
                    return;
                }
            }
        });
        self.tasks.spawn(keep_to_leader(
            self.id,
            self.hello(Presence::Votes),
            Arc::clone(&self.peers),
            Arc::clone(&self.replica),
            Arc::clone(&self.leadership),
            Arc::clone(&self.pulse),
            self.stop.clone(),
        ));
        // Nobody else fills it: this is called at the start, and under the lock of `following`.
        let _ = self.raft.set(raft);
    }

    async fn puller(&self, data_dir: &Path) -> Result<CheckpointPuller, OpenError> {
        let (dir, config) = (data_dir.join("checkpoints"), self.raft_config.clone());
        let connections = Arc::new(Connections(Arc::clone(&self.peers)));
        let opened = task::spawn_blocking(move || CheckpointPuller::open(&dir, config.cluster_id, config.node_id, connections));
        opened.await.expect("opening a directory does not panic")
    }

    pub(super) fn raise(&self, reason: FatalReason) {
        tracing::error!(reason = crate::chain(&reason), "the node must stop");
        self.fatal.send_if_modified(|first| {
            let none = first.is_none();
            if none {
                *first = Some(reason);
            }
            none
        });
    }
}

/// Makes everything that was applied durable.
pub(crate) async fn sync(replica: &Arc<Replica>) -> Result<(), Fatal> {
    let replica = Arc::clone(replica);
    let synced = task::spawn_blocking(move || replica.sync()).await;
    synced.map_err(|error| Fatal::new(SYNC, error))?.map_err(|error| Fatal::new(SYNC, error))
}

/// As what a node comes to a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// For entries.
    Follows,
    /// For freshness alone: its entries come through Raft.
    Votes,
}

/// The connections of [`Peers`], for Raft: one of its own for each lane, so that no heartbeat waits behind a snapshot.
struct Connections(Arc<Peers>);

impl PeerConnector for Connections {
    fn channel<'a>(&'a self, node_id: u64, address: &'a str, _lane: Lane) -> BoxFuture<'a, Result<Channel, ConnectError>> {
        let channel = self.0.fresh_channel(NodeId(node_id), address);
        Box::pin(async move { channel.map_err(|source| ConnectError { node_id, source: source.into() }) })
    }
}
