//! How many requests may be made: with a token, at all nodes of the cluster together; without one, from an address, at each node.
//!
//! ```text
//!   api ──take──► Limiter ──► Purse of the token, at this node ── a permit is here ─► admitted, no other node is asked
//!                                │ none is here, or few are left
//!                                ▼
//!                  Ledger of the token's home (rendezvous hash) ◄── Take, over mutual TLS ── purses of other nodes
//! ```
//!
//! A limit is so many requests in **any** stretch of time of a length, not in the minutes of a clock: there is no moment at which twice as many
//! pass. One node, the *home* of a token, keeps the books. Of the class `default` it lends permits, few at a time and for a short time, so
//! that most requests ask no other node; of the class `purge`, and of those of version 1 of the API, it is asked for each.
//!
//! # What holds
//!
//! 1. **While no node fails** no stretch of the length has more than the limit of a class that is asked for, and of a class that is lent at
//!    most one more for each node: the first request that a node sees of a token does not wait for the answer. Who asks for enough gets
//!    the limit, less what is lent to nodes that do not use it, which comes back within a lease.
//! 2. **A home that does not answer** costs one wait of [`PATIENCE`] at most. Then each node admits its share, the limit divided by the
//!    number of nodes, what it admitted before included; after three seconds the next node in rank is the home.
//! 3. **A home that knows nothing** of a token, because it is new to it or was started anew, is told by each node that asks what that used,
//!    and when. What only the old home knew, its own requests, is admitted once more at most.
//! 4. **Everything is bounded**: subjects, addresses, asks, waits. The oldest are forgotten first.
//!
//! The rules (`ledger`, `purse`, `window`, `reach`) are pure: they are given the time, in milliseconds since the start of the node, and
//! nodes never compare clocks: a lease is as long as its holder says from when it asked, and as its home says from when it was asked.
//!
//! # Why not a library
//! Those that count at one node (`governor`) know buckets and no leases: permits could be taken out, but not lent, given back, or booked for
//! when they were used, and a bucket admits twice its limit in the first window.

mod address;
mod ask;
mod ledger;
mod limiter;
mod metrics;
mod nodes;
mod policy;
mod purse;
mod rank;
mod reach;
mod service;
#[cfg(test)]
mod simulation;
mod table;
mod verdict;
mod window;
mod wire;

pub use limiter::{Limiter, LimiterParts, PATIENCE};
pub use metrics::LimitMetrics;
pub use nodes::{BoxError, Nodes};
pub use policy::{Class, LimitSettings, Policy};
pub use service::LimitService;
pub use verdict::{Standing, Verdict};
