//! A socket whose peer has to keep taking what is written to it.
//!
//! hyper puts no bound on a write: a client that requests much and reads nothing holds its connection, and the bytes
//! queued for it, for as long as it likes. Here a stretch begins with the first write that the kernel has no room for,
//! and ends when all is written. In a stretch, every window of [`StallBound::window`] must move at least
//! [`StallBound::bytes_min`] bytes, or writes fail.
//!
//! The bound is on progress and not on the whole: a slow reader of a large asset is fine.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::metrics::{ServingMetrics, add};

/// The least that a peer has to take.
#[derive(Debug, Clone, Copy)]
pub(super) struct StallBound {
    pub(super) window: Duration,
    pub(super) bytes_min: usize,
}

/// `S` under a [`StallBound`].
#[derive(Debug)]
pub(super) struct Guarded<S> {
    socket: S,
    bound: StallBound,
    metrics: Arc<ServingMetrics>,
    /// The end of the window; kept from one stretch to the next for its allocation.
    timer: Option<Pin<Box<Sleep>>>,
    /// What was written in this window; `None` outside of a stretch.
    written: Option<usize>,
}

impl<S> Guarded<S> {
    pub(super) fn new(socket: S, bound: StallBound, metrics: Arc<ServingMetrics>) -> Self {
        Self { socket, bound, metrics, timer: None, written: None }
    }

    /// Judges the result of a write.
    fn judge(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                if let Some(written) = &mut self.written {
                    *written = written.saturating_add(bytes);
                }
                polled
            }
            Poll::Ready(Err(_)) => polled,
            Poll::Pending => self.wait(cx),
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.written.is_none() {
            self.begin_window();
        }
        while let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            if self.written.unwrap_or(0) < self.bound.bytes_min {
                add(&self.metrics.connections_stalled, 1);
                let stalled = io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing");
                return Poll::Ready(Err(stalled));
            }
            self.begin_window();
        }
        Poll::Pending
    }

    fn begin_window(&mut self) {
        self.written = Some(0);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + self.bound.window),
            None => self.timer = Some(Box::pin(sleep(self.bound.window))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Whoever writes flushes when it has nothing left to write, so here a stretch is over.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        if polled.is_ready() {
            self.written = None;
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, sync::atomic::Ordering, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, sleep},
    };

    use super::{Guarded, StallBound};
    use crate::metrics::ServingMetrics;

    const WINDOW: Duration = Duration::from_secs(10);

    fn guarded() -> (Guarded<DuplexStream>, DuplexStream, Arc<ServingMetrics>) {
        let (socket, peer) = duplex(1_024);
        let bound = StallBound { window: WINDOW, bytes_min: 100 };
        let metrics = Arc::<ServingMetrics>::default();
        (Guarded::new(socket, bound, Arc::clone(&metrics)), peer, metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_cut_off() {
        let (mut socket, _peer, metrics) = guarded();
        let start = Instant::now();
        let error = socket.write_all(&[0; 4_096]).await.expect_err("stalled");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), WINDOW);
        assert_eq!(metrics.connections_stalled.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_too_little_is_cut_off() {
        let (mut socket, mut peer, _) = guarded();
        let start = Instant::now();
        let drip = tokio::spawn(async move {
            loop {
                sleep(WINDOW / 20).await;
                peer.read_u8().await.expect("a byte");
            }
        });
        socket.write_all(&[0; 4_096]).await.expect_err("stalled");
        assert_eq!(start.elapsed(), WINDOW);
        drip.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_served_to_the_end() {
        let (mut socket, mut peer, metrics) = guarded();
        let start = Instant::now();
        let reader = tokio::spawn(async move {
            let mut taken = 0;
            let mut piece = [0; 300];
            while taken < 40_000 {
                sleep(WINDOW / 2).await;
                taken += peer.read(&mut piece).await.expect("bytes");
            }
        });
        socket.write_all(&[0; 40_000]).await.expect("written");
        assert!(start.elapsed() > 10 * WINDOW);
        reader.await.expect("reader");
        assert_eq!(metrics.connections_stalled.load(Ordering::Relaxed), 0);
    }

    /// The time between two responses belongs to no stretch.
    #[tokio::test(start_paused = true)]
    async fn idleness_is_not_a_stall() {
        let (mut socket, mut peer, _) = guarded();
        for _ in 0..3 {
            let write = async {
                socket.write_all(&[0; 1_100]).await.expect("written");
                socket.flush().await.expect("flushed");
            };
            let mut taken = [0; 1_100];
            let (_, read) = tokio::join!(write, peer.read_exact(&mut taken));
            read.expect("read");
            sleep(10 * WINDOW).await;
        }
    }
}
