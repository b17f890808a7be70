//! The other nodes, as this crate needs them: how near they are, and a way to call them.

use futures_util::future::BoxFuture;
use ncore_model::NodeId;
use tonic::transport::Channel;

/// An error of a part that this crate knows nothing about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The other nodes of the cluster.
pub trait Peers: Send + Sync + 'static {
    /// Every node that was not removed, without this one, nearest first: by measured round trip, and where none was measured, those
    /// of the same region first. Called for each fetch: it must not block for long.
    fn nearest_first(&self) -> Vec<Peer>;

    /// A connection to a node. It may be made lazily, so that only the first call over it shows whether the node is there.
    fn channel(&self, node: NodeId) -> BoxFuture<'_, Result<Channel, PeerError>>;

    /// The nodes that are known to have had this blob when it was put. They are asked before others that are as far away. Not
    /// knowing any is fine.
    fn holders(&self, hash: &blake3::Hash) -> Vec<NodeId> {
        let _ = hash;
        Vec::new()
    }
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Which node.
    pub node: NodeId,
    /// Where it stands.
    pub region: String,
    /// Whether this node stands there too.
    pub same_region: bool,
    /// Whether it answered lately. One that did not is asked last.
    pub reachable: bool,
    /// Whether it takes new copies: it does not once it is being drained.
    pub takes_copies: bool,
}

/// Why there is no connection to a node.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It is not, or no longer, a node of this cluster. Do not ask again.
    #[error("node {0} is not of this cluster")]
    Unknown(NodeId),
    /// It cannot be reached now. Worth a retry.
    #[error("node {node} cannot be reached")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// Why.
        #[source]
        source: BoxError,
    },
}
