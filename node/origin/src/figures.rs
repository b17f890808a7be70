//! What is counted. Written with relaxed atomics, read by whoever renders metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ErrorKind;

/// Counts of all origins together.
#[derive(Debug, Default)]
pub struct Figures {
    /// Requests of callers.
    pub requests: AtomicU64,
    /// Requests that went over a connection that had been used before.
    pub reused: AtomicU64,
    /// Connections made, TLS included.
    pub connects: AtomicU64,
    /// Connections that are HTTP/2, of those.
    pub connects_http2: AtomicU64,
    /// Requests that were sent again.
    pub retries: AtomicU64,
    /// Requests that could have been sent again, had the budget allowed it.
    pub retries_denied: AtomicU64,
    /// Informational responses that came.
    pub informational: AtomicU64,
    /// Connections that were handed over to another protocol.
    pub upgrades: AtomicU64,
    /// Times an origin was left out.
    pub ejections: AtomicU64,
    /// Health checks that an origin passed.
    pub checks_passed: AtomicU64,
    /// Health checks that an origin failed.
    pub checks_failed: AtomicU64,
    errors: [AtomicU64; ErrorKind::ALL.len()],
}

impl Figures {
    /// How many requests, or bodies of responses, ended with an error of this kind. Those that were then sent again count as well.
    #[must_use]
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        self.errors.get(kind.index()).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn count_error(&self, kind: ErrorKind) {
        if let Some(count) = self.errors.get(kind.index()) {
            add(count);
        }
    }
}

/// Adds one to a counter.
pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
