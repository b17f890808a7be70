//! Passing the log on to nodes that take no part in Raft, and following it as one of them.
//!
//! ```text
//!   voter                                    relay, edge
//!   ─────                                    ───────────
//!   Raft ─► ReplicaMachine ─► Ring           Follower ─► ReplicaMachine ─► Ring (relay)
//!                  │            │ frames        ▲ entries                     │ frames
//!                  ▼            ▼               │                             ▼
//!               Replica      Session ───────► Link                         Session ─► …
//!                               │
//!                               └ behind the ring: the log of Raft; behind the log: a checkpoint
//! ```
//!
//! A child asks for the entries from where it stands, and a session pulls them for it: out of the ring that all sessions share, out
//! of the log if the child is further behind, and if the log does not reach back that far the child is sent to a checkpoint. Nothing
//! waits for a child. What it promises:
//!
//! 1. **The same log.** A child applies every committed entry once, in order, with the same `apply` that voters use. It checks that
//!    each run begins where it stands, and goes elsewhere if not.
//! 2. **Never backwards.** A checkpoint is installed only if it reaches beyond what the child has.
//! 3. **Bounded.** 60 children that are fed, a ring of so many bytes, and a queue of a few frames for each child; one that does not
//!    take them is dropped.

mod checkpoint;
mod children;
mod follower;
mod frame;
mod leadership;
mod link;
mod observer;
mod parents;
mod ring;
mod seeds;
mod service;
mod session;
mod settings;
mod source;

pub use children::ChildStatus;
pub use follower::Parent;
pub use seeds::FirstHubs;
pub use settings::HubSettings;

pub(crate) use checkpoint::Catcher;
pub(crate) use follower::{Follower, FollowerParts, FollowerStatus};
pub(crate) use leadership::{Leader, Leadership};
pub(crate) use link::Link;
pub(crate) use parents::Candidate;
pub(crate) use ring::Ring;
pub(crate) use service::HubService;

use std::sync::{Arc, OnceLock};

use ncore_model::{NodeId, NodeState, Query};
use ncore_raft::RaftNode;
use ncore_replica::Replica;
use tokio_util::sync::CancellationToken;

use crate::freshness::Pulse;
use children::Children;
use observer::NodeChanges;
use parents::{Chooser, candidates};

/// The largest message of a stream, in bytes: a run of entries at its limit and one entry more.
const MAX_MESSAGE: usize = 16 << 20;

/// This node as one that others follow.
pub(crate) struct Hub {
    own: NodeId,
    cluster_id: [u8; 16],
    replica: Arc<Replica>,
    raft: Arc<OnceLock<RaftNode>>,
    ring: Arc<Ring>,
    leadership: Arc<Leadership>,
    children: Arc<Children>,
    pulse: Arc<Pulse>,
    nodes: Arc<NodeChanges>,
    settings: HubSettings,
    stop: CancellationToken,
}

impl Hub {
    pub(crate) fn new(parts: HubParts) -> Arc<Self> {
        let HubParts { own, cluster_id, replica, raft, ring, leadership, pulse, settings, stop } = parts;
        let nodes = Arc::new(NodeChanges::default());
        replica.observe(Arc::clone(&nodes) as _);
        if settings.relay {
            ring.open(settings.ring_bytes);
        }
        let children = Arc::new(Children::new(settings.children));
        Arc::new(Self { own, cluster_id, replica, raft, ring, leadership, children, pulse, nodes, settings, stop })
    }

    /// Who follows this node.
    pub(crate) fn children(&self) -> Vec<ChildStatus> {
        self.children.status()
    }

    pub(crate) fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// The least time between two runs of entries to one child.
    fn pace(&self) -> std::time::Duration {
        let places = u32::try_from(self.settings.children.max(1)).unwrap_or(u32::MAX);
        let free = u32::try_from(self.children.room()).unwrap_or(u32::MAX);
        self.settings.coalesce * places.saturating_sub(free) / places
    }

    /// How far this node is from the log; `None` if it passes nothing on.
    pub(crate) fn depth(&self) -> Option<u32> {
        match (self.raft.get(), self.settings.relay) {
            (Some(_), _) => Some(0),
            // It follows voters only.
            (None, true) => Some(1),
            (None, false) => None,
        }
    }

    /// Other hubs that a child in `region` may follow, the best first.
    fn others(&self, child: NodeId, region: &str, relay: bool) -> Vec<u64> {
        let (Ok(members), Ok(relays)) = (self.replica.members(), self.replica.relays()) else { return Vec::new() };
        let voters = crate::status::voters(self.raft.get(), &self.replica);
        let chooser = Chooser { node: child, region, relay };
        let others = candidates(chooser, &members, &voters, &relays).into_iter().map(|hub| hub.node);
        others.filter(|node| *node != self.own).take(OTHERS).map(|node| node.0).collect()
    }

    fn state_of(&self, node: NodeId) -> Option<NodeState> {
        self.replica.node(node).ok().flatten().map(|node| node.state)
    }
}

/// What a hub is made from.
pub(crate) struct HubParts {
    pub(crate) own: NodeId,
    pub(crate) cluster_id: [u8; 16],
    pub(crate) replica: Arc<Replica>,
    pub(crate) raft: Arc<OnceLock<RaftNode>>,
    pub(crate) ring: Arc<Ring>,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) settings: HubSettings,
    pub(crate) stop: CancellationToken,
}

/// The most other hubs that a child is told of.
const OTHERS: usize = 8;
