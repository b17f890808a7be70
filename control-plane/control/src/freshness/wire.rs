//! Acknowledgements between their form on the wire and that of the rules.

use ncore_freshness::{Ack, Laggard};
use ncore_model::{NodeId, Revision};
use ncore_proto::hub::v1 as wire;

pub(crate) fn revision(revision: Revision) -> wire::Revision {
    wire::Revision { lineage: revision.lineage, index: revision.index }
}

/// What is absent is before everything.
pub(crate) fn revision_of(revision: Option<wire::Revision>) -> Revision {
    revision.map_or(Revision { lineage: 0, index: 0 }, |revision| Revision { lineage: revision.lineage, index: revision.index })
}

pub(crate) fn ack(ack: &Ack) -> wire::Ack {
    let laggard = |laggard: &Laggard| wire::Laggard { node_id: laggard.node.0, applied: Some(revision(laggard.applied)) };
    wire::Ack {
        applied: Some(revision(ack.applied)),
        subtree_applied: Some(revision(ack.subtree_min_applied)),
        subtree_count: ack.subtree_count,
        laggards: ack.laggards.iter().map(laggard).collect(),
    }
}

pub(crate) fn ack_of(ack: wire::Ack) -> Ack {
    let laggard = |laggard: wire::Laggard| Laggard { applied: revision_of(laggard.applied), node: NodeId(laggard.node_id) };
    Ack {
        applied: revision_of(ack.applied),
        subtree_min_applied: revision_of(ack.subtree_applied),
        subtree_count: ack.subtree_count,
        laggards: ack.laggards.into_iter().take(ncore_freshness::MAX_LAGGARDS).map(laggard).collect(),
    }
}
