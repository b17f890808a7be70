//! How many requests to one origin are under way, and how many wait for their turn: both bounded, and the waiting in time.
//!
//! Requests with a content take as long as their viewers like. So they have at most half of the turns, and of the connections: viewers who are slow
//! on purpose keep nobody from reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::{ErrorKind, OriginError};
use crate::settings::Limits;

/// The turns of one origin.
#[derive(Debug)]
pub(crate) struct Gate {
    turns: Queue,
    /// Those of requests with a content. One that has a connection for itself takes several.
    contents: Queue,
    for_a_connection: u32,
}

/// Turns, and those who wait for one.
#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// What a request takes while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// It has no content.
    Bare,
    /// It has one, and its connection is shared with others.
    Content,
    /// It has one, and a connection for itself.
    ContentAlone,
}

/// A turn. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _turn: OwnedSemaphorePermit,
    _content: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let Limits { connections, requests, waiting } = limits;
        let for_a_connection = u32::try_from(requests.div_ceil(connections)).unwrap_or(u32::MAX);
        let contents = (requests / 2).max(for_a_connection as usize);
        Self { turns: Queue::new(requests, waiting), contents: Queue::new(contents, waiting / 2), for_a_connection }
    }

    /// Waits for a turn until then.
    pub(crate) async fn enter(&self, load: Load, until: Instant) -> Result<Turn, OriginError> {
        let content = match load {
            Load::Bare => None,
            Load::Content => Some(self.contents.take(1, until).await?),
            Load::ContentAlone => Some(self.contents.take(self.for_a_connection, until).await?),
        };
        Ok(Turn { _turn: self.turns.take(1, until).await?, _content: content })
    }
}

impl Queue {
    fn new(turns: usize, most_waiting: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)), waiting: AtomicUsize::new(0), most_waiting }
    }

    async fn take(&self, turns: u32, until: Instant) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_many_owned(turns) {
            return Ok(permit);
        }
        let waiting = Waiting(&self.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= self.most_waiting {
            return Err(OriginError::new(ErrorKind::Busy));
        }
        match timeout_at(until, Arc::clone(&self.turns).acquire_many_owned(turns)).await {
            Ok(Ok(permit)) => Ok(permit),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Gate, Load};
    use crate::settings::Limits;

    #[tokio::test(start_paused = true)]
    async fn contents_take_half_of_what_there_is() {
        let gate = Gate::new(Limits { connections: 4, requests: 16, waiting: 8 });
        let soon = || Instant::now() + Duration::from_secs(1);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(gate.enter(Load::ContentAlone, soon()).await.expect("half of the connections"));
        }
        assert!(gate.enter(Load::ContentAlone, soon()).await.is_err(), "more than half of the connections");
        for _ in 0..14 {
            held.push(gate.enter(Load::Bare, soon()).await.expect("a turn"));
        }
        assert!(gate.enter(Load::Bare, soon()).await.is_err(), "more than all");
        held.clear();
        for _ in 0..8 {
            held.push(gate.enter(Load::Content, soon()).await.expect("half of the turns"));
        }
        assert!(gate.enter(Load::Content, soon()).await.is_err(), "more than half of the turns");
    }
}
