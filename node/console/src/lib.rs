//! The page that a node shows to anybody, the one that it shows to administrators, and the streams that keep them up to date.
//!
//! ```text
//!   history, events (telemetry) ──► Snapshot ──┬─► page: HTML, whole without a script
//!   domain: status, index, directory ──────────┤
//!                                              └─► live: the same texts once a second, to a bounded number of viewers
//!   figures and logs of all nodes ──► ClusterSnapshot ──► page and stream for who is signed in (`cluster`)
//! ```
//!
//! ## Invariants
//!
//! 1. **Nothing is invented.** A figure that the node does not know is a dash.
//! 2. **One text.** What the stream sends is what the page would say: both are written from one [`Snapshot`](snapshot::Snapshot).
//! 3. **Whole without a script**, and without anything from elsewhere: styles and scripts are part of the binary, and the policy that
//!    goes with the page forbids all else.
//! 4. **A look costs little.** What is read from the state is kept for some seconds for all who look, and longer what took long.
//! 5. **Nothing of the cluster without an administrator**, who is looked for in the state with each page and each message of a stream.

mod answer;
mod cluster;
mod console;
mod files;
mod format;
mod live;
mod page;
mod snapshot;
mod spark;

pub use cluster::nodes::{EVENTS_TOLD, LINE_TOLD, Member, NodeEvent, NodeNow, Nodes, Unheard};
pub use console::{CameFrom, Console, ConsoleParts, NodeInfo, PageBody};
pub use live::VIEWERS_MAX;

/// An error of a part that this crate knows nothing about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
