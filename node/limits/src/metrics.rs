//! What is counted. Written with relaxed atomics, read by whoever renders metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::Class;

/// Counts of a [`Limiter`](crate::Limiter).
#[derive(Debug, Default)]
pub struct LimitMetrics {
    /// Requests that were refused for the limit of all requests of a token.
    pub refused_default: AtomicU64,
    /// Purges that were refused for theirs.
    pub refused_purge: AtomicU64,
    /// Requests without a good token that were refused.
    pub refused_anonymous: AtomicU64,
    /// Requests of version 1 of the API that were refused, of its three limits.
    pub refused_v1: AtomicU64,
    /// Requests that were decided by this node's share, because the home of the token did not answer.
    pub decided_by_share: AtomicU64,
    /// Asks that were not answered in time.
    pub asks_failed: AtomicU64,
    /// Asks that this node answered as a home.
    pub asks_served: AtomicU64,
}

impl LimitMetrics {
    pub(crate) fn refused(&self, class: Class) {
        add(match class {
            Class::Default => &self.refused_default,
            Class::Purge => &self.refused_purge,
            Class::Anonymous => &self.refused_anonymous,
            Class::V1Reads | Class::V1Writes | Class::V1Purges => &self.refused_v1,
        });
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
