//! quinn's streams as `h3` wants them, at either end: tests have their client from here.
//!
//! There is a crate for it, h3-quinn. This is here in its place because of what it does not do:
//!
//! * **Bound what is read.** `h3` collects a whole HEADERS frame, or one of an unknown type, however long it says it is, and reads on
//!   with each piece of a body that it gives out. Here a stream may have so many bytes more read than given out, and is then cut.
//! * **Cut a response short.** A stream of quinn that is dropped *ends*; to a client half a response would be a whole one. Here it is reset.
//! * **Know when all has arrived**, so that a connection is closed after its last response and not in it.
//! * It panics when a client is told to stop sending while its body is read.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::{ConnectionError, ReadError, StoppedError, VarInt, WriteError};

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;
type Waited<T> = Option<Waiting<Result<T, ConnectionError>>>;

/// A connection.
pub(crate) struct Connection {
    inner: quinn::Connection,
    requests: Waited<(quinn::SendStream, quinn::RecvStream)>,
    streams: Waited<quinn::RecvStream>,
    opener: Opener,
    newest: Newest,
}

/// The request that was accepted last, for whoever answers it.
pub(crate) type Newest = Arc<Mutex<Option<Accepted>>>;

/// What is known of the stream of a request beside what `h3` tells.
pub(crate) struct Accepted {
    pub(crate) stream: Arc<StreamState>,
    /// Completes when nobody waits for the response any more, or has all of it.
    pub(crate) stopped: Waiting<Result<Option<VarInt>, StoppedError>>,
}

/// What both ends of a stream share.
#[derive(Debug)]
pub(crate) struct StreamState {
    /// Bytes that may be read beyond those that were given out.
    ahead_max: u64,
    read: AtomicU64,
    given: AtomicU64,
    /// Whether to end before [`quic::SendStream::poll_finish`] is to be cut short.
    answering: AtomicBool,
}

/// The sending end of a stream.
pub(crate) struct SendStream {
    inner: quinn::SendStream,
    state: Arc<StreamState>,
    writing: Option<WriteBuf<Bytes>>,
    /// Of a stream that is finished: until all has arrived.
    arriving: Option<Waiting<Result<Option<VarInt>, StoppedError>>>,
    ended: bool,
}

/// The receiving end of a stream.
pub(crate) struct RecvStream {
    inner: quinn::RecvStream,
    state: Arc<StreamState>,
}

/// The stream of a request.
pub(crate) struct BidiStream {
    send: SendStream,
    recv: RecvStream,
}

/// A stream is read further than it may be.
#[derive(Debug, thiserror::Error)]
#[error("too much is sent outside of a body")]
struct TooFar;

/// Somebody writes to a stream that is not ready: a defect.
#[derive(Debug, thiserror::Error)]
#[error("the stream is not ready to be written to")]
struct NotReady;

impl Connection {
    /// `inner`, whose requests may have heads of `head_bytes_max`; and where the newest of them is to be found.
    pub(crate) fn new(inner: quinn::Connection, head_bytes_max: u32) -> (Self, Newest) {
        let newest = Newest::default();
        let given = Arc::clone(&newest);
        let opener = Opener::new(inner.clone(), head_bytes_max.into());
        (Self { inner, requests: None, streams: None, opener, newest }, given)
    }
}

impl StreamState {
    fn new(ahead_max: u64) -> Arc<Self> {
        let (read, given) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { ahead_max, read, given, answering: AtomicBool::new(false) })
    }

    /// From now on to drop the stream before it is finished cuts it short.
    pub(crate) fn answering(&self) {
        self.answering.store(true, Ordering::Relaxed);
    }

    /// So many bytes of the body were given out.
    pub(crate) fn given(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many were read. What frames themselves take is some of a body, but not much of it.
    fn read(&self, bytes: usize) -> Result<(), TooFar> {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let given = self.given.load(Ordering::Relaxed);
        let ahead_max = self.ahead_max + READ_BYTES as u64 + (given / 4).min(FRAMING_MAX);
        if read - given.min(read) > ahead_max { Err(TooFar) } else { Ok(()) }
    }
}

impl quic::Connection<Bytes> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let inner = &self.inner;
        let accepted = poll_waited(&mut self.streams, cx, || {
            let inner = inner.clone();
            Box::pin(async move { inner.accept_uni().await })
        });
        accepted.map(|stream| Ok(RecvStream::new(stream.map_err(broken)?, StreamState::new(CONTROL_BYTES_MAX))))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        let inner = &self.inner;
        let accepted = poll_waited(&mut self.requests, cx, || {
            let inner = inner.clone();
            Box::pin(async move { inner.accept_bi().await })
        });
        let (send, recv) = ready!(accepted).map_err(broken)?;
        let state = StreamState::new(self.opener.head_bytes_max);
        let accepted = Accepted { stream: Arc::clone(&state), stopped: Box::pin(send.stopped()) };
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted);
        Poll::Ready(Ok(BidiStream::new(send, recv, state)))
    }

    fn opener(&self) -> Opener {
        self.opener.clone()
    }
}

impl quic::OpenStreams<Bytes> for Connection {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

/// Opens streams of a connection: those of the protocol itself, and requests where this is the client.
pub(crate) struct Opener {
    inner: quinn::Connection,
    requests: Waited<(quinn::SendStream, quinn::RecvStream)>,
    streams: Waited<quinn::SendStream>,
    head_bytes_max: u64,
}

impl Opener {
    fn new(inner: quinn::Connection, head_bytes_max: u64) -> Self {
        Self { inner, requests: None, streams: None, head_bytes_max }
    }
}

impl Clone for Opener {
    /// Waits for nothing yet.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.head_bytes_max)
    }
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        let opened = poll_waited(&mut self.requests, cx, || {
            let inner = self.inner.clone();
            Box::pin(async move { inner.open_bi().await })
        });
        opened.map(|streams| streams.map(|(send, recv)| BidiStream::new(send, recv, StreamState::new(self.head_bytes_max))).map_err(lost))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let opened = poll_waited(&mut self.streams, cx, || {
            let inner = self.inner.clone();
            Box::pin(async move { inner.open_uni().await })
        });
        opened.map(|stream| Ok(SendStream::new(stream.map_err(lost)?, StreamState::new(0))))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.inner.close(var_int(code.value()), reason);
    }
}

impl SendStream {
    fn new(inner: quinn::SendStream, state: Arc<StreamState>) -> Self {
        Self { inner, state, writing: None, arriving: None, ended: false }
    }
}

impl quic::SendStream<Bytes> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(writing) = &mut self.writing {
            if !writing.has_remaining() {
                self.writing = None;
                break;
            }
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, writing.chunk()));
            writing.advance(written.map_err(unwritten)?);
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown(Box::new(NotReady)));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    /// Completes when all has arrived.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(self.poll_ready(cx))?;
        if !self.ended {
            self.ended = true;
            // Fails if the client has stopped it, which is found out next.
            let _ = self.inner.finish();
        }
        let inner = &self.inner;
        let arriving = self.arriving.get_or_insert_with(|| Box::pin(inner.stopped()));
        Poll::Ready(match ready!(arriving.as_mut().poll(cx)) {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }),
            Err(StoppedError::ConnectionLost(error)) => Err(lost(error)),
            Err(error @ StoppedError::ZeroRttRejected) => Err(StreamErrorIncoming::Unknown(Box::new(error))),
        })
    }

    fn reset(&mut self, code: u64) {
        self.ended = true;
        // Fails if it has ended.
        let _ = self.inner.reset(var_int(code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.inner.id())
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if !self.ended && self.state.answering.load(Ordering::Relaxed) {
            let _ = self.inner.reset(var_int(Code::H3_INTERNAL_ERROR.value()));
        }
    }
}

impl RecvStream {
    fn new(inner: quinn::RecvStream, state: Arc<StreamState>) -> Self {
        Self { inner, state }
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        // Nothing is set aside while a stream waits, and each piece takes what it is long: of a head that comes a byte at a time every piece is
        // kept until it is whole.
        let mut buffer = [0; READ_BYTES];
        let read = match ready!(self.inner.poll_read(cx, &mut buffer)) {
            Ok(0) => return Poll::Ready(Ok(None)),
            Ok(read) => read,
            Err(ReadError::Reset(code)) => {
                return Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }));
            }
            Err(ReadError::ConnectionLost(error)) => return Poll::Ready(Err(lost(error))),
            Err(error) => return Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error)))),
        };
        let data = Bytes::copy_from_slice(&buffer[..read]);
        if let Err(error) = self.state.read(read) {
            tracing::debug!(stream = %self.inner.id(), "stream cut off: {error}");
            let _ = self.inner.stop(var_int(Code::H3_EXCESSIVE_LOAD.value()));
            return Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error))));
        }
        Poll::Ready(Ok(Some(data)))
    }

    fn stop_sending(&mut self, code: u64) {
        // Fails if it has ended.
        let _ = self.inner.stop(var_int(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.inner.id())
    }
}

impl BidiStream {
    fn new(send: quinn::SendStream, recv: quinn::RecvStream, state: Arc<StreamState>) -> Self {
        Self { send: SendStream::new(send, Arc::clone(&state)), recv: RecvStream::new(recv, state) }
    }
}

impl quic::BidiStream<Bytes> for BidiStream {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream, RecvStream) {
        (self.send, self.recv)
    }
}

impl quic::SendStream<Bytes> for BidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Goes on with what is waited for, or begins it.
fn poll_waited<T>(
    waiting: &mut Waited<T>,
    cx: &mut Context<'_>,
    begin: impl FnOnce() -> Waiting<Result<T, ConnectionError>>,
) -> Poll<Result<T, ConnectionError>> {
    let polled = waiting.get_or_insert_with(begin).as_mut().poll(cx);
    if polled.is_ready() {
        *waiting = None;
    }
    polled
}

fn unwritten(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn lost(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: broken(error) }
}

fn broken(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(closed) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: closed.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

/// # Panics
/// If there are more streams than QUIC can number.
fn stream_id(id: quinn::StreamId) -> StreamId {
    VarInt::from(id).into_inner().try_into().expect("a number that QUIC gave")
}

fn var_int(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;
/// On the control stream of a client, or one of QPACK: a few bytes a request, over all of a connection's life.
const CONTROL_BYTES_MAX: u64 = 1 << 20;
/// The most that frames of one body may take, beside what is in them.
const FRAMING_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::{READ_BYTES, StreamState};

    #[test]
    fn a_stream_is_read_no_further_than_it_may_be() {
        let head = StreamState::new(1_000);
        assert!(head.read(1_000 + READ_BYTES).is_ok());
        assert!(head.read(1).is_err());
    }

    /// A body of any length goes through, as long as most of it is a body.
    #[test]
    fn what_is_given_out_does_not_count() {
        let body = StreamState::new(1_000);
        for _ in 0..100_000 {
            assert!(body.read(1_200).is_ok());
            body.given(1_190);
        }
        let framing = StreamState::new(1_000);
        let far = (0..100_000).take_while(|_| {
            framing.given(1);
            framing.read(3).is_ok()
        });
        assert!(far.count() < 20_000, "two of three bytes are not of the body");
    }
}
