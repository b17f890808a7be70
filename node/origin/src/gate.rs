//! How many requests to one origin are under way, and how many wait for their turn: both bounded, and the waiting in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::{ErrorKind, OriginError};
use crate::settings::Limits;

/// The turns of one origin.
#[derive(Debug)]
pub(crate) struct Gate {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// A turn. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { turns: Arc::new(Semaphore::new(limits.requests)), waiting: AtomicUsize::new(0), most_waiting: limits.waiting }
    }

    /// Waits for a turn until then.
    pub(crate) async fn enter(&self, until: Instant) -> Result<Turn, OriginError> {
        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(Turn { _permit: permit });
        }
        let waiting = Waiting(&self.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= self.most_waiting {
            return Err(OriginError::new(ErrorKind::Busy));
        }
        match timeout_at(until, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(OriginError::new(ErrorKind::Busy)),
        }
    }
}

/// One that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
