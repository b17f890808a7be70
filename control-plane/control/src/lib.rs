//! The control plane of a node: getting changes to the leader, joining and leaving, and the port on which nodes talk to each other.
//!
//! ```text
//!   domain, agent ──ControlPlane──► Control ──► RaftNode or Follower ──► ReplicaMachine ──► Replica
//!                                      │            ▲                       │
//!                                      │ Peers      │ gRPC over mutual TLS  ▼
//!                                      ▼            │                      Hub ──► children
//!                                 other nodes ──► Listener → Guard → { Raft, Hub, Cluster, and what the node adds }
//! ```
//!
//! A node that votes takes part in Raft; every other node is an *edge* and follows a hub. Both apply the same entries with the same
//! `apply`. It does not know what a command means, what a blob is, or HTTP as customers see it.

mod arrivals;
mod autopilot;
mod clock;
mod control;
mod forward;
mod freshness;
mod hub;
mod join;
mod listener;
mod machine;
mod membership;
mod peers;
mod plane;
mod propose;
mod protocol;
mod read_index;
pub mod rebuild;
mod service;
mod stamp;
mod status;
mod upkeep;

pub use autopilot::{AutopilotCounts, AutopilotSettings};
pub use clock::{Clock, SystemClock};
pub use control::{Control, ControlConfig, SelfDescription, StartError};
pub use freshness::{BarrierError, BarrierProgress};
pub use hub::{ChildStatus, FirstHubs, HubSettings, Parent};
pub use join::{JoinError, Joined, Joiner, join};
pub use membership::{MembershipChange, MembershipError};
pub use peers::{BODIES_MAX, ConnectFailed, PeerError, Peers};
pub use plane::{Change, Committed, ControlPlane, ProposeError, ReadError};
pub use status::{ControlStatus, NodeRole};

use ncore_model::RequestId;

/// A new request id. It carries the time at which it was made.
#[must_use]
pub fn new_request_id() -> RequestId {
    RequestId(*uuid::Uuid::now_v7().as_bytes())
}

/// An error and its sources in one line, for a log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
