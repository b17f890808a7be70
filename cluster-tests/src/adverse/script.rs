//! What an origin does for a request, step by step.

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What an origin does for a request. If it neither closes nor resets the connection, the next request comes over the same.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
}

/// Bytes by their place: of a content that nobody has in memory.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn(u64, usize) -> Bytes + Send + Sync>);

/// Something that several scripts wait for.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

/// One thing that an origin does.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Send(Bytes),
    /// The same again and again, until the other side has enough of it.
    Flood(Bytes),
    /// So many bytes, in pieces of the first length, with a pause after each.
    Stream {
        source: Source,
        from: u64,
        to: u64,
        piece: usize,
        pause: Duration,
    },
    Hold(Gate),
    /// Nothing, until the other side ends the connection.
    Stall,
    Close,
    Reset,
}

impl Script {
    /// Nothing at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A response as it should be. `fields` are whole lines.
    #[must_use]
    pub fn answer(status: u16, fields: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
        Self::new().send(head).send(body)
    }

    /// Sends bytes.
    #[must_use]
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.with(Step::Send(Bytes::copy_from_slice(bytes.as_ref())))
    }

    /// Sends the same bytes until the other side has enough of it.
    #[must_use]
    pub fn flood(self, bytes: impl AsRef<[u8]>) -> Self {
        self.with(Step::Flood(Bytes::copy_from_slice(bytes.as_ref())))
    }

    /// Sends what is from one place of a source to another, `piece` bytes at a time, with a pause after each piece.
    #[must_use]
    pub fn stream(self, source: Source, (from, to): (u64, u64), piece: usize, pause: Duration) -> Self {
        self.with(Step::Stream { source, from, to, piece, pause })
    }

    /// Waits for a gate.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.with(Step::Hold(gate.clone()))
    }

    /// Does nothing more, until the other side ends the connection.
    #[must_use]
    pub fn stall(self) -> Self {
        self.with(Step::Stall)
    }

    /// Ends the connection in order.
    #[must_use]
    pub fn close(self) -> Self {
        self.with(Step::Close)
    }

    /// Ends the connection with a reset.
    #[must_use]
    pub fn reset(self) -> Self {
        self.with(Step::Reset)
    }

    /// Does this first.
    #[must_use]
    pub fn after(mut self, first: Self) -> Self {
        self.steps.splice(0..0, first.steps);
        self
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Source {
    /// What `bytes` gives for a place and a length.
    #[must_use]
    pub fn new(bytes: impl Fn(u64, usize) -> Bytes + Send + Sync + 'static) -> Self {
        Self(Arc::new(bytes))
    }

    /// The bytes at a place.
    #[must_use]
    pub fn at(&self, at: u64, length: usize) -> Bytes {
        (self.0)(at, length)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn shut() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub(super) async fn pass(&self) {
        // The sender is in this very handle.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
