//! Knowing that a shared thing is really gone.
//!
//! openraft drops its log store and state machine in tasks nobody can join. Whoever wants to open the same directory
//! again, or to know that no call is under way any more, waits for the signal that was dropped with the thing.

use std::time::Duration;

use tokio::sync::oneshot;

/// Dropped as the last part of what it belongs to.
#[derive(Debug)]
pub(crate) struct ClosedSignal {
    _closed: oneshot::Sender<()>,
}

/// Resolves when the signal was dropped.
#[derive(Debug)]
pub(crate) struct Closed {
    closed: oneshot::Receiver<()>,
}

pub(crate) fn closing() -> (ClosedSignal, Closed) {
    let (sender, receiver) = oneshot::channel();
    (ClosedSignal { _closed: sender }, Closed { closed: receiver })
}

impl Closed {
    /// Waits for the signal's end; `false` if `limit` passes first.
    pub(crate) async fn wait(self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.closed).await.is_ok()
    }
}
