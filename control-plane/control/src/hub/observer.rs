//! A sign that the row of some node has changed.

use ncore_model::{Revision, Table};
use ncore_replica::{Change, Observer};
use tokio::sync::watch;

/// Counts changes of the table of nodes. It counts before the entry that made the change goes to any child, so a session that looks
/// at the count first never sends a removed node the entry of its removal.
#[derive(Default)]
pub(super) struct NodeChanges(watch::Sender<u64>);

impl NodeChanges {
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Observer for NodeChanges {
    fn changed(&self, _revision: Revision, changes: &[Change]) {
        if changes.iter().any(|change| change.table == Table::Nodes) {
            self.0.send_modify(|count| *count += 1);
        }
    }

    fn replaced(&self, _revision: Revision) {
        self.0.send_modify(|count| *count += 1);
    }
}
