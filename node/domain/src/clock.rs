//! What time it is: for the life of tokens and of pins, and for nothing that the cluster agrees on.

use std::time::{SystemTime, UNIX_EPOCH};

/// A clock of wall time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds of the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}
