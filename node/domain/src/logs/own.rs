//! Following the log of this node as it grows. There is no queue: who is so slow that records are gone before it has seen them hears so.

use std::sync::Arc;

use ncore_model::NodeId;
use ncore_telemetry::{AccessLog, AccessQuery, AccessRecord};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The log of this node, from now on.
#[derive(Debug)]
pub(super) struct OwnLog {
    node: NodeId,
    log: Arc<AccessLog>,
    query: AccessQuery,
    after: u64,
    newest: watch::Receiver<u64>,
    stopping: CancellationToken,
    ended: bool,
}

impl OwnLog {
    pub(super) fn new(log: Arc<AccessLog>, query: AccessQuery, node: NodeId, stopping: CancellationToken) -> Self {
        let newest = log.watch();
        let after = log.newest();
        Self { node, log, query, after, newest, stopping, ended: false }
    }

    /// What is wanted.
    pub(super) fn query(&self) -> &AccessQuery {
        &self.query
    }

    /// Whether the node is about to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// What comes next, at least one record, or how many were missed, after which there is nothing; `None` when the node is about to
    /// stop. It may be dropped at any time, and then nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<AccessRecord>, u64>> {
        while !self.ended && !self.stopping.is_cancelled() {
            // Before the look, so that what comes during it wakes.
            self.newest.mark_unchanged();
            match self.log.since(self.after, &self.query, self.node.0) {
                Err(overtaken) => {
                    self.ended = true;
                    return Some(Err(overtaken.missed));
                }
                Ok(followed) => {
                    self.after = followed.after;
                    if !followed.records.is_empty() {
                        return Some(Ok(followed.records));
                    }
                    if followed.more {
                        tokio::task::yield_now().await;
                        continue;
                    }
                }
            }
            let changed = self.stopping.run_until_cancelled(self.newest.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                return None;
            }
        }
        None
    }
}
