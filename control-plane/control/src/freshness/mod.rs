//! How old this node's view can be, and whether every node has seen a change: `ncore-freshness`, driven.
//!
//! The rules are in that crate, which does nothing by itself. Here are the clocks, the timers and the streams:
//!
//! ```text
//!   driver, each second, and soon after children ask:
//!     leader                    begin a round ─► ReadIndex through Raft ────────────────► answer the children
//!     voter that does not lead  begin a round ─► ping to the leader (a stream of its own) ─► pong ─► answer the children
//!     relay, edge               begin a round ─► ping to the hub that it follows ─────────► pong ─► answer the children
//!
//!   recorder, whenever something was applied:  note it ─► sync the state once ─► acknowledge upwards
//! ```
//!
//! One [`Pulse`] lives as long as the process.

mod barrier;
mod clock;
mod driver;
mod leader_link;
mod lines;
mod pulse;
mod recorder;
pub(crate) mod wire;

pub use barrier::{BarrierError, BarrierProgress};

pub(crate) use driver::drive;
pub(crate) use leader_link::keep_to_leader;
pub(crate) use pulse::{Membership, Pulse, Upstream};
pub(crate) use recorder::record;
