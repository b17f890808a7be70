//! Hears of changes of the replica before their revision is announced, and passes on what concerns this node's caches.

use std::sync::Arc;

use ncore_model::{Revision, Table};
use ncore_replica::{Change, Observer};
use tokio::sync::Notify;

use super::{cache::EntryCache, hosts::Hosts};

/// The observer. It runs on the thread that applies, so it only drops entries and rings a bell.
pub(crate) struct Watcher {
    pub(crate) entries: Arc<EntryCache>,
    pub(crate) hosts: Arc<Hosts>,
    /// Rung when there may be new purges.
    pub(crate) purges: Arc<Notify>,
    /// Rung when there may be new versions of assets.
    pub(crate) versions: Arc<Notify>,
}

impl Observer for Watcher {
    fn changed(&self, _: Revision, changes: &[Change]) {
        for change in changes {
            match change.table {
                // A key that is no text is no path that anybody can ask for.
                Table::Assets => {
                    if let Ok(path) = str::from_utf8(&change.key) {
                        self.entries.invalidate(path);
                    }
                }
                Table::Clients | Table::Nodes => self.hosts.invalidate(),
                Table::Purges => self.purges.notify_one(),
                Table::Versions => self.versions.notify_one(),
                _ => {}
            }
        }
    }

    fn replaced(&self, _: Revision) {
        self.entries.clear();
        self.hosts.invalidate();
        self.purges.notify_one();
        self.versions.notify_one();
    }
}
