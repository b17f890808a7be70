//! Short names for what the tests of hubs need.

use ncore_freshness::{Boottime, Child, Hub, PingSeq, RoundOutcome, Settings};
use ncore_model::{NodeId, Revision};

/// The hold of the default settings, in milliseconds.
pub(crate) const HOLD_MS: u64 = 5_005;

pub(crate) fn at(millis: u64) -> Boottime {
    Boottime::from_millis(millis)
}

pub(crate) const fn revision(index: u64) -> Revision {
    Revision { lineage: 1, index }
}

pub(crate) const fn child(node: u64, incarnation: u64) -> Child {
    Child { node: NodeId(node), incarnation }
}

pub(crate) fn hub(applied: u64) -> Hub {
    Hub::new(Settings::default(), revision(applied))
}

pub(crate) const fn upstream(read: u64) -> RoundOutcome {
    RoundOutcome::Upstream { read: revision(read) }
}

/// A round begins at `now` that takes up a ping of the child.
pub(crate) fn grant(hub: &mut Hub, child: Child, seq: u64, now: Boottime) {
    hub.ping(child, PingSeq(seq));
    let round = hub.begin_round(now);
    assert_eq!(hub.end_round(round, upstream(0), now).len(), 1);
}
