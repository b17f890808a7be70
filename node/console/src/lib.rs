//! The page that a node shows to anybody, and the stream that keeps it up to date.
//!
//! ```text
//!   history, events (telemetry) ──► Snapshot ──┬─► page: HTML, whole without a script
//!   domain: status, index, directory ──────────┤
//!                                              └─► live: the same texts once a second, to a bounded number of viewers
//! ```
//!
//! ## Invariants
//!
//! 1. **Nothing is invented.** A figure that the node does not know is a dash.
//! 2. **One text.** What the stream sends is what the page would say: both are written from one [`Snapshot`](snapshot::Snapshot).
//! 3. **Whole without a script**, and without anything from elsewhere: styles and scripts are part of the binary, and the policy that
//!    goes with the page forbids all else.
//! 4. **A look costs little.** What is read from the state is kept for some seconds for all who look.

mod console;
mod files;
mod format;
mod live;
mod page;
mod snapshot;
mod spark;

pub use console::{Console, ConsoleParts, NodeInfo, PageBody};
pub use live::VIEWERS_MAX;

/// An error of a part that this crate knows nothing about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
