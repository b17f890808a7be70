//! The streams of an HTTP/2 connection: spawned, counted, and cut off where the client takes nothing.
//!
//! On HTTP/1.1 a client that does not read is seen as a write that does not go on ([`guard`](super::guard)). On HTTP/2 it
//! is not: a client may leave one stream's window closed while the connection itself is lively. hyper then does not
//! touch the stream's body at all, so the body cannot complain; but hyper runs every stream as a task of the executor
//! that it is given. This is that executor, and each task watches over its own stream.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{sleep, timeout};

use crate::metrics::{ServingMetrics, add};

tokio::task_local! {
    static PROGRESS: Arc<StreamProgress>;
}

/// What the body of a stream reports to the task that watches it.
#[derive(Debug, Default)]
pub(crate) struct StreamProgress {
    polls: AtomicU64,
    /// Whether it is the client that is waited for: bytes were given to the connection, and no more were asked for.
    offered: AtomicBool,
}

impl StreamProgress {
    /// That of the HTTP/2 stream which this task serves; `None` on HTTP/1.1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        PROGRESS.try_with(Arc::clone).ok()
    }

    /// The body was asked for more, and had some or had none yet.
    pub(crate) fn polled(&self, ready: bool) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.offered.store(ready, Ordering::Relaxed);
    }
}

/// The streams of one connection, and the executor that runs them.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stall: Duration,
    started: AtomicU64,
    ended: AtomicU64,
    metrics: Arc<ServingMetrics>,
}

impl Streams {
    /// A stream may stand still for `stall`, and is cut off before twice that.
    pub(super) fn new(stall: Duration, metrics: Arc<ServingMetrics>) -> Self {
        let inner = Inner { stall, started: AtomicU64::new(0), ended: AtomicU64::new(0), metrics };
        Self { inner: Arc::new(inner) }
    }

    /// Completes when there was no stream for `idle`, give or take as much.
    pub(super) async fn idle(&self, idle: Duration) {
        loop {
            let started = self.inner.started.load(Ordering::Relaxed);
            sleep(idle).await;
            let same = started == self.inner.started.load(Ordering::Relaxed);
            if same && started == self.inner.ended.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let inner = Arc::clone(&self.inner);
        inner.started.fetch_add(1, Ordering::Relaxed);
        let progress = Arc::<StreamProgress>::default();
        let watched = async move {
            let _ended = Ended(&inner);
            watch(stream, &PROGRESS.get(), &inner).await;
        };
        tokio::spawn(PROGRESS.scope(progress, watched));
    }
}

/// Runs `stream` to its end, or until it stands still. Dropping it resets the stream.
async fn watch<F: Future>(stream: F, progress: &StreamProgress, streams: &Inner) {
    let mut stream = pin!(stream);
    loop {
        let polls = progress.polls.load(Ordering::Relaxed);
        if timeout(streams.stall, stream.as_mut()).await.is_ok() {
            return;
        }
        let offered = progress.offered.load(Ordering::Relaxed);
        if offered && polls == progress.polls.load(Ordering::Relaxed) {
            tracing::debug!("http2 stream cut off: the client takes nothing");
            add(&streams.metrics.connections_stalled, 1);
            return;
        }
    }
}

/// Counts a stream as ended, also if its task panics.
struct Ended<'a>(&'a Inner);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
