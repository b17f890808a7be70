//! The nodes of the cluster, as this crate needs them.

use ncore_model::NodeId;
use tonic::transport::Channel;

/// An error of a part that this crate knows nothing about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The nodes of the cluster.
pub trait Nodes: Send + Sync + 'static {
    /// Every node that was not removed, this one included, as far as this node knows. It may read a disk.
    ///
    /// # Errors
    /// If that cannot be found out now; what was known before goes on to count.
    fn members(&self) -> Result<Vec<NodeId>, BoxError>;

    /// A connection to a node, which the first call over it may have to make.
    ///
    /// # Errors
    /// If there is no way to it.
    fn channel(&self, node: NodeId) -> Result<Channel, BoxError>;
}
