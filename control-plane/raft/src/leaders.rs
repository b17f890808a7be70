//! Who leads, for those who wait for somebody else to.

use std::future;

use openraft::async_runtime::watch::WatchReceiver;

use crate::types::ServerMetricsWatch;

/// Follows who leads. Much cheaper than a [`StatusWatch`](crate::StatusWatch): it wakes at elections and changes of the membership
/// only.
#[derive(Clone)]
pub struct Leaders {
    metrics: ServerMetricsWatch,
}

impl Leaders {
    pub(crate) fn new(metrics: ServerMetricsWatch) -> Self {
        Self { metrics }
    }

    /// The leader, if one is known. It may be gone without this node having noticed.
    pub fn current(&self) -> Option<u64> {
        self.metrics.borrow_watched().current_leader
    }

    /// The present term, and who leads in it.
    pub fn in_term(&self) -> (u64, Option<u64>) {
        let metrics = self.metrics.borrow_watched();
        (metrics.vote.leader_id.term, metrics.current_leader)
    }

    /// Waits for an election, or a change of the membership; `false` once the node has stopped. Cancel safe.
    pub async fn changed(&mut self) -> bool {
        self.metrics.changed().await.is_ok()
    }

    /// Waits until a node leads that is not `known`. Never resolves once the node has stopped. Cancel safe.
    pub async fn another_than(&mut self, known: Option<u64>) -> u64 {
        loop {
            // Marks the value as seen, so that `changed` waits for a newer one.
            let leader = self.metrics.borrow_and_update().current_leader;
            match leader {
                Some(leader) if known != Some(leader) => return leader,
                _ if self.metrics.changed().await.is_ok() => {}
                _ => future::pending().await,
            }
        }
    }
}
