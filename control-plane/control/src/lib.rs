//! The control plane of a node: getting changes to the leader, joining and leaving, and the port on which nodes talk to each other.
//!
//! ```text
//!   domain, agent ──ControlPlane──► Control ──► RaftNode ──► ReplicaMachine ──► Replica
//!                                      │            ▲
//!                                      │ Peers      │ gRPC over mutual TLS
//!                                      ▼            │
//!                                 other nodes ──► Listener → Guard → { Raft, Cluster, and what the node adds }
//! ```
//!
//! It does not know what a command means, what a blob is, or HTTP as customers see it. The place of what comes next (hubs and
//! relays, freshness, the barrier) is beside `propose`: they are ways of moving committed entries and of knowing how far
//! others are.

mod clock;
mod control;
mod join;
mod listener;
mod machine;
mod membership;
mod peers;
mod plane;
mod propose;
mod service;
mod stamp;
mod upkeep;

pub use clock::{Clock, SystemClock};
pub use control::{Control, ControlConfig, SelfDescription, StartError};
pub use join::{JoinError, Joined, Joiner, join};
pub use membership::{MembershipChange, MembershipError};
pub use peers::{ConnectFailed, PeerError, Peers};
pub use plane::{Change, Committed, ControlPlane, ProposeError, ReadError};

use ncore_model::RequestId;

/// A new request id. It carries the time at which it was made.
#[must_use]
pub fn new_request_id() -> RequestId {
    RequestId(*uuid::Uuid::now_v7().as_bytes())
}
