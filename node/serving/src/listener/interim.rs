//! Interim responses (1xx, RFC 9110 §15.2).
//!
//! Over HTTP/2 they are a frame, which is put on the request's stream as it comes ([`Reply`]). On a connection that speaks HTTP/1.1 there is
//! more to it, for hyper sends the final response of a request, and nothing before it:
//!
//! ```text
//!   handler ── Interim::send: head ──► queue ──► Announcing::poll_flush ──► the connection
//!      │                                                  │
//!      └── goes on when the head is on its way ◄──────────┘
//! ```
//! hyper flushes only when it has handed over everything that it has itself, so a head that goes out then stands between two messages.
//! The handler waits for it, so the final response, which hyper writes when the handler has returned, comes behind it. Both run in the task
//! of the connection, which is why a head that is queued is always followed by a flush.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::Reply;

/// A connection on which interim responses may be sent.
pub(super) struct Announcing<S> {
    stream: S,
    queue: Arc<Queue>,
}

/// The way to send interim responses before the final one of a request.
#[derive(Debug, Clone)]
pub(crate) struct Interim(Way);

#[derive(Debug, Clone)]
enum Way {
    Http1(Arc<Queue>),
    Http2(Arc<Reply>),
}

/// What is on its way to a connection: one head at most, for its handler waits for it.
#[derive(Debug, Default)]
struct Queue {
    /// Whether there is anything, so that a flush without costs no lock.
    waits: AtomicBool,
    head: Mutex<Head>,
}

#[derive(Debug, Default)]
struct Head {
    rest: Bytes,
    handler: Option<Waker>,
}

impl<S> Announcing<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, queue: Arc::default() }
    }

    /// The way to send interim responses here.
    pub(super) fn interim(&self) -> Interim {
        Interim(Way::Http1(Arc::clone(&self.queue)))
    }
}

impl Interim {
    /// That of a request over HTTP/2.
    pub(super) fn over_http2(reply: Arc<Reply>) -> Self {
        Self(Way::Http2(reply))
    }

    /// Sends the head of an interim response. To be awaited by the handler of the request, before it gives its final response. It does not
    /// return when the connection is gone; the handler is dropped with it.
    pub(crate) async fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let queue = match &self.0 {
            Way::Http1(queue) => queue,
            Way::Http2(reply) => return reply.interim(status, headers),
        };
        let mut head = Some(encode(status, headers));
        poll_fn(|cx| {
            let mut queued = queue.head();
            if !queued.rest.is_empty() {
                queued.handler = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let Some(head) = head.take() else { return Poll::Ready(()) };
            *queued = Head { rest: head, handler: Some(cx.waker().clone()) };
            queue.waits.store(true, Ordering::Release);
            Poll::Pending
        })
        .await;
    }
}

impl Queue {
    fn head(&self) -> std::sync::MutexGuard<'_, Head> {
        // Every change under the lock is a few assignments.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits.
    fn poll_write(&self, stream: Pin<&mut impl AsyncWrite>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = stream;
        let mut head = self.head();
        while !head.rest.is_empty() {
            let written = ready!(stream.as_mut().poll_write(cx, &head.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            head.rest.advance(written);
        }
        self.waits.store(false, Ordering::Release);
        if let Some(handler) = head.handler.take() {
            handler.wake();
        }
        Poll::Ready(Ok(()))
    }
}

/// A head as HTTP/1.1 has it (RFC 9112 §4, §5).
pub(super) fn encode(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

impl<S: AsyncRead + Unpin> AsyncRead for Announcing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Announcing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.queue.waits.load(Ordering::Acquire) {
            ready!(this.queue.poll_write(Pin::new(&mut this.stream), cx))?;
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
    use http_body_util::Full;
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::Announcing;

    /// Every answer comes after two interim ones, whose fields say which request they are of.
    async fn answers(pipe_bytes: usize, requests: &str) -> String {
        let (mut client, server) = tokio::io::duplex(pipe_bytes);
        let announcing = Announcing::new(server);
        let interim = announcing.interim();
        let service = service_fn(move |request: Request<Incoming>| {
            let interim = interim.clone();
            async move {
                let path = HeaderValue::try_from(request.uri().path()).expect("a path");
                let headers = HeaderMap::from_iter([(http::header::LINK, path.clone())]);
                interim.send(StatusCode::EARLY_HINTS, &headers).await;
                tokio::task::yield_now().await;
                interim.send(StatusCode::PROCESSING, &headers).await;
                let body = Full::new(Bytes::from(format!("body of {}", path.to_str().expect("ASCII"))));
                Ok::<_, Infallible>(Response::new(body))
            }
        });
        let serving = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(announcing), service));
        let mut read = String::new();
        let (mut from, mut to) = tokio::io::split(&mut client);
        let write = async {
            to.write_all(requests.as_bytes()).await.expect("the node reads");
        };
        let (_, got) = tokio::join!(write, from.read_to_string(&mut read));
        got.expect("text");
        serving.await.expect("no panic").expect("no error");
        read
    }

    #[tokio::test]
    async fn they_come_before_the_final_response_and_in_order() {
        // The second request is there before the first is answered, and the pipe takes a few bytes at a time.
        let requests = "GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        for pipe_bytes in [7, 4096] {
            let read = answers(pipe_bytes, requests).await;
            let mut rest = read.as_str();
            for path in ["/a", "/b"] {
                let begins = format!(
                    "HTTP/1.1 103 Early Hints\r\nlink: {path}\r\n\r\nHTTP/1.1 102 Processing\r\nlink: {path}\r\n\r\nHTTP/1.1 200 OK\r\n"
                );
                assert!(rest.starts_with(&begins), "{path}, {pipe_bytes}: {rest:?}");
                let body = format!("body of {path}");
                rest = &rest[rest.find(&body).expect("its body") + body.len()..];
            }
            assert_eq!(rest, "");
        }
    }
}
