//! What the data plane asks of this node's view of the cluster.

use crate::serve::ViewAge;

/// This node's view of the cluster. It is asked for every request: nothing here may wait.
pub trait View: Send + Sync {
    /// The revision of the last change that this node has applied.
    fn revision(&self) -> u64;

    /// Whether the view may be too old to act on.
    fn age(&self) -> ViewAge;

    /// The revision of the newest purge that is about a path, with its query, of a zone; 0 if there is none. What was asked for before that
    /// revision was applied is not reused.
    fn newest_purge(&self, zone: u64, path_and_query: &str) -> u64;
}
