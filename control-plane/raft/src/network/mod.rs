//! Raft between nodes, over gRPC.
//!
//! This crate neither dials nor listens: a [`PeerConnector`] gives connections whose far end it has verified, and the
//! server that hosts [`RaftService`] puts the caller's verified [`PeerIdentity`] into each request. What is checked here is
//! that the messages fit those identities: the cluster, the sender and the addressee.

mod append;
mod client;
mod granted;
mod pauses;
mod peers;
mod reach;
mod server;
mod touch;

use std::error::Error;

use futures_util::future::BoxFuture;
use tonic::transport::Channel;

pub use server::RaftService;

pub(crate) use client::Network;
pub(crate) use peers::Peers;
pub(crate) use touch::keep_open;

/// Gives connections to other nodes. Implemented where the cluster's TLS lives.
pub trait PeerConnector: Send + Sync + 'static {
    /// A connection to `node_id`, which was last known at `address` (host:port).
    ///
    /// The far end must have proved to be `node_id`. Nagle's algorithm must be off on both sides, and HTTP/2 keep-alive on,
    /// or a peer that vanished is noticed late. The channel may be shared with other callers and may reconnect by itself;
    /// channels for different lanes should be different connections, so that a heartbeat does not wait behind a snapshot.
    ///
    /// # Errors
    ///
    /// If there is no connection. The caller tries again later.
    fn channel<'a>(&'a self, node_id: u64, address: &'a str, lane: Lane) -> BoxFuture<'a, Result<Channel, ConnectError>>;
}

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, heartbeats, read indices: small and urgent.
    Control,
    /// Log entries.
    Log,
    /// Snapshot files: large and patient.
    Bulk,
}

/// A peer cannot be reached now.
#[derive(Debug, thiserror::Error)]
#[error("node {node_id} cannot be reached")]
pub struct ConnectError {
    /// The peer.
    pub node_id: u64,
    /// What went wrong.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// The verified node id of whoever sent a request. The server's TLS layer puts it into the request's extensions; requests
/// without it are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerIdentity {
    /// From the peer's certificate.
    pub node_id: u64,
}

/// The largest message accepted or sent, in bytes: a batch of entries at its limit and one entry more.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;
