//! Credentials are checked against a view that is fresh, or not at all.
//!
//! A node that is cut off does not hear that a token was revoked or a client suspended. So it refuses once its view may be too old,
//! and whoever revokes knows after that time that nobody is let in any more. A node that has just started, or was stopped for a
//! while, is fresh again after one round trip, for which a request waits.

use std::{sync::Arc, time::Duration};

use ncore_control::ControlPlane;
use ncore_freshness::{FenceAction, FenceReason, Fences, FreshState, Guarded};
use tokio::time::{Instant, timeout_at};

/// How long a request waits for the node to be fresh.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long is waited at once: what is announced may be a little late.
const LOOK: Duration = Duration::from_millis(25);

/// Lets checks of credentials through while this node is fresh.
#[derive(Clone)]
pub(crate) struct Gate {
    plane: Arc<dyn ControlPlane>,
    fences: Arc<Fences>,
}

/// The node is fenced and stayed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node has lost touch with the cluster ({}) and cannot check credentials now", reason.as_str())]
pub struct Fenced {
    /// Why.
    pub reason: FenceReason,
}

impl Gate {
    pub(crate) fn new(plane: Arc<dyn ControlPlane>, fences: Arc<Fences>) -> Self {
        Self { plane, fences }
    }

    /// Passes once the view is fresh. What is read from it after that has every change that any barrier has completed.
    ///
    /// # Errors
    /// [`Fenced`], after a short wait.
    pub(crate) async fn pass(&self) -> Result<(), Fenced> {
        if matches!(self.plane.fresh_state(), FreshState::Fresh { .. }) {
            return Ok(());
        }
        let end = Instant::now() + PATIENCE;
        let mut states = self.plane.freshness();
        loop {
            let state = self.plane.fresh_state();
            let FreshState::Fenced(fence) = state else { return Ok(()) };
            if Instant::now() >= end {
                return match self.fences.decide(Guarded::Credential, &state) {
                    FenceAction::Proceed | FenceAction::ServeStale => Ok(()),
                    FenceAction::Refuse | FenceAction::Revalidate => Err(Fenced { reason: fence.reason }),
                };
            }
            states.mark_unchanged();
            let _ = timeout_at(end.min(Instant::now() + LOOK), states.changed()).await;
        }
    }
}
