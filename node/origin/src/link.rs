//! A connection that requests are sent over: HTTP/1.1, one request after the other, or HTTP/2, many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{ErrorKind, OriginError};
use crate::frames::Breach;
use crate::request::SentBody;
use crate::wire::{Traffic, Wire};

/// Fields of the head of a response, at most.
pub(crate) const MOST_FIELDS: usize = 128;

/// The longest head of a response, in bytes.
const LONGEST_HEAD: u32 = 64 * 1024;

/// What is read ahead of one connection, at most.
const READ_AHEAD: usize = 256 * 1024;

/// Streams of one HTTP/2 connection, at most. Where the origin allows fewer, the rest wait within the connection.
const MOST_STREAMS: usize = 100;

/// The place that a connection takes, at its origin and in this node. Whoever waits for a place is told when it goes.
#[derive(Debug)]
pub(crate) struct Slot {
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    changed: Arc<Notify>,
}

impl Slot {
    pub(crate) const fn new(origin: OwnedSemaphorePermit, node: OwnedSemaphorePermit, changed: Arc<Notify>) -> Self {
        Self { permits: Some((origin, node)), changed }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.permits.take());
        self.changed.notify_one();
    }
}

/// The task that moves a connection's bytes. The connection ends with this.
#[derive(Debug)]
pub(crate) struct Driver(AbortHandle);

impl Driver {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Single {
    pub(crate) sender: http1::SendRequest<SentBody>,
    pub(crate) traffic: Arc<Traffic>,
    /// Whether a response came over it before.
    pub(crate) used: bool,
    pub(crate) idle_since: Instant,
    _driver: Driver,
    _slot: Slot,
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Multi {
    sender: http2::SendRequest<SentBody>,
    traffic: Arc<Traffic>,
    active: AtomicUsize,
    used: AtomicBool,
    idle_since: parking_lot::Mutex<Instant>,
    _driver: Driver,
    _slot: Slot,
}

/// A stream of an HTTP/2 connection. It ends with this.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Arc<Multi>,
    changed: Arc<Notify>,
}

/// What a new connection is.
#[derive(Debug)]
pub(crate) enum Fresh {
    /// HTTP/1.1.
    Single(Single),
    /// HTTP/2.
    Multi(Arc<Multi>),
}

/// Speaks HTTP/1.1 over a wire.
pub(crate) async fn speak_http1(wire: Wire, slot: Slot) -> Result<Fresh, OriginError> {
    let traffic = wire.traffic();
    let (sender, connection) = http1::Builder::new()
        .max_headers(MOST_FIELDS)
        .max_header_size(LONGEST_HEAD as usize)
        .max_buf_size(READ_AHEAD)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|error| OriginError::because(ErrorKind::Unreachable, error))?;
    let driver = Driver::spawn(async move {
        // What ends it is told to whoever waits for a response or its body.
        let _ = connection.with_upgrades().await;
    });
    Ok(Fresh::Single(Single { sender, traffic, used: false, idle_since: Instant::now(), _driver: driver, _slot: slot }))
}

/// Speaks HTTP/2 over a wire.
pub(crate) async fn speak_http2(wire: Wire, slot: Slot) -> Result<Fresh, OriginError> {
    let traffic = wire.traffic();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(LONGEST_HEAD)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .handshake(TokioIo::new(wire.of_frames()))
        .await
        .map_err(|error| OriginError::because(ErrorKind::Unreachable, error))?;
    let driver = Driver::spawn(async move {
        let _ = connection.await;
    });
    let multi = Multi {
        sender,
        traffic,
        active: AtomicUsize::new(0),
        used: AtomicBool::new(false),
        idle_since: parking_lot::Mutex::new(Instant::now()),
        _driver: driver,
        _slot: slot,
    };
    Ok(Fresh::Multi(Arc::new(multi)))
}

impl Single {
    /// Whether it can be kept at this time: it is open, and was not kept for too long.
    pub(crate) fn is_fit(&self, now: Instant, keep: Duration) -> bool {
        self.sender.is_ready() && !self.sender.is_closed() && now.duration_since(self.idle_since) < keep
    }
}

impl Multi {
    pub(crate) fn is_fit(&self, now: Instant, keep: Duration) -> bool {
        !self.sender.is_closed() && (!self.is_idle() || now.duration_since(*self.idle_since.lock()) < keep)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.active.load(Ordering::Acquire) == 0
    }

    /// A stream, if it has room for one. Called with the pool locked, so no other comes between.
    pub(crate) fn open(self: &Arc<Self>, changed: &Arc<Notify>) -> Option<Stream> {
        if self.active.load(Ordering::Acquire) >= MOST_STREAMS {
            return None;
        }
        Some(self.first(changed))
    }

    /// A stream, whether or not there is room: of a new connection the first.
    pub(crate) fn first(self: &Arc<Self>, changed: &Arc<Notify>) -> Stream {
        self.active.fetch_add(1, Ordering::AcqRel);
        Stream { connection: Arc::clone(self), changed: Arc::clone(changed) }
    }
}

impl Stream {
    pub(crate) fn sender(&self) -> http2::SendRequest<SentBody> {
        self.connection.sender.clone()
    }

    /// Whether a response came over its connection before.
    pub(crate) fn is_used(&self) -> bool {
        self.connection.used.load(Ordering::Relaxed)
    }

    /// What ended its connection, if it was what the origin did.
    pub(crate) fn breach(&self) -> Option<Breach> {
        self.connection.traffic.breach()
    }

    /// A response came.
    pub(crate) fn mark_used(&self) {
        self.connection.used.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        *self.connection.idle_since.lock() = Instant::now();
        self.connection.active.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
    }
}
