//! The bytes of a connection, in the clear or over TLS, with a count of those that came: whether any did decides whether a request may be
//! sent again. Of HTTP/2 the frames that come are looked at as well ([`Frames`]).

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::frames::{Breach, Frames};

/// How many bytes came over a connection, and what ended it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    read: AtomicU64,
    breach: OnceLock<Breach>,
}

impl Traffic {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// What the origin did that it must not, if that was the end of it.
    pub(crate) fn breach(&self) -> Option<Breach> {
        self.breach.get().copied()
    }
}

/// A connection to an origin.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    traffic: Arc<Traffic>,
    /// What comes, and how many bytes were sent.
    frames: Option<(Frames, u64)>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), traffic: Arc::default(), frames: None }
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), traffic: Arc::default(), frames: None }
    }

    /// The same, over which HTTP/2 is spoken from the first byte.
    pub(crate) fn of_frames(self) -> Self {
        Self { frames: Some((Frames::new(), 0)), ..self }
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some((_, sent)), Poll::Ready(Ok(bytes))) = (&mut self.frames, &written) {
            *sent += *bytes as u64;
        }
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        let came = &buffer.filled()[before..];
        this.traffic.read.fetch_add(came.len() as u64, Ordering::Release);
        if let Some((frames, sent)) = &mut this.frames
            && let Err(breach) = frames.came(came, *sent)
        {
            let breach = *this.traffic.breach.get_or_init(|| breach);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, breach)));
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.count(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        };
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
