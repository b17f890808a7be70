//! The page for administrators: the same as that of a node, for the whole cluster.
//!
//! ```text
//!   sign-in ─► session (domain) ─► cookie
//!   Nodes: the figures of each node ──► Fleet ──┐
//!   Logs: what each node records   ──► Tail  ───┼──► ClusterSnapshot ─► page, and the stream
//! ```
//!
//! Nothing is asked of the nodes while nobody looks, and for all who look once. A node that does not answer costs a round its patience and
//! no more; what it said last stays, with its age.

pub(crate) mod access;
pub(crate) mod fleet;
pub(crate) mod live;
pub(crate) mod nodes;
mod routes;
pub(crate) mod snapshot;
pub(crate) mod tail;

/// Where the page is.
pub(crate) const PAGE: &str = "/cluster";
/// Where its stream is.
pub(crate) const LIVE: &str = "/cluster/live";
/// Where one signs in.
pub(crate) const SIGN_IN: &str = "/cluster/sign-in";
/// Where one leaves.
pub(crate) const SIGN_OUT: &str = "/cluster/sign-out";

/// All of them.
pub(crate) const PATHS: [&str; 4] = [PAGE, LIVE, SIGN_IN, SIGN_OUT];
