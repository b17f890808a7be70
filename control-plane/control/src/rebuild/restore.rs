//! From a backup.

use std::path::Path;

use ncore_identity::NodeIdentity;
use ncore_model::{Founder, NodeId, UpdateNode};

use super::{Beginning, RebuildError, Rebuilt, applied, begin, replica_of};
use crate::control::SelfDescription;

/// What to restore, and as what.
pub struct Restoration<'a> {
    /// A checkpoint of the state. It stays as it is.
    pub checkpoint: &'a Path,
    /// An empty directory, on the same file system, for what is built.
    pub target: &'a Path,
    /// Who the first node of the new cluster is. Its id is [`beginning_after`](super::beginning_after) the index of the checkpoint.
    pub identity: &'a NodeIdentity,
    /// What it says of itself.
    pub description: SelfDescription,
    /// The number of the new lineage; by default the one after that of the checkpoint.
    pub number: Option<u32>,
    /// Now, in Unix milliseconds.
    pub at_ms: u64,
}

/// Builds a cluster of one, with a name and an authority of its own, that has the content of a checkpoint.
///
/// # Errors
/// [`RebuildError`]. The directory of the target is to be removed then.
pub fn restore(restoration: Restoration<'_>) -> Result<Rebuilt, RebuildError> {
    let Restoration { checkpoint, target, identity, description, number, at_ms } = restoration;
    let replica = replica_of(target, checkpoint)?;
    let state = applied(&replica)?;
    let node = UpdateNode {
        node: NodeId(identity.node_id()),
        name: description.name,
        region: description.region,
        cluster_address: description.cluster_address.clone(),
        http_address: description.http_address,
        schema: description.schema,
        software: description.software,
        incarnation: description.incarnation,
    };
    let beginning = Beginning {
        target,
        identity,
        address: description.cluster_address,
        founder: Founder::Stranger { cluster_id: identity.cluster_id().0, node },
        number,
        term: state.term,
        last: state.index,
        at_ms,
    };
    begin(&replica, beginning)
}
