//! One request over HTTP/2, and what is answered: a future that needs no task until it has to wait.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderValue, Method, Request, Response, StatusCode, header::EXPECT};
use http_body::{Body, Frame};
use tokio::time::timeout;

use super::{reply::Reply, upload::Upload};
use crate::{
    body::ResponseBody,
    listener::{Interim, alternative, connection::Connections, fields, resets::Resets},
    metrics::{ServingMetrics, add},
    request_body::RequestBody,
    router::{PeerInfo, Router},
};

/// What the exchanges of a connection have in common.
pub(super) struct Exchanges {
    router: Arc<Router>,
    metrics: Arc<ServingMetrics>,
    peer: PeerInfo,
    /// What is said of HTTP/3.
    alternative: Option<HeaderValue>,
    stall: Duration,
    resets: Arc<Resets>,
    /// Pieces of bodies that came.
    pieces: AtomicU64,
}

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the request is malformed")]
    Malformed,
    #[error("the client does not want the response")]
    Unwanted,
    #[error("the client takes nothing")]
    Stalled,
    #[error("the body of the response broke off")]
    Body,
    #[error("the answer to CONNECT is none that there is")]
    Connect,
    #[error("the stream broke")]
    Stream(#[from] h2::Error),
}

/// Answers `request`. To drop it is to reset the stream, if that has not ended.
pub(super) async fn run(exchanges: Arc<Exchanges>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    if let Err(error) = exchanges.answer(request, respond).await {
        tracing::debug!(remote = %exchanges.peer.remote, error = &error as &dyn std::error::Error, "request over HTTP/2 failed");
    }
}

impl Exchanges {
    pub(super) fn new(connections: &Connections, peer: PeerInfo, resets: Arc<Resets>) -> Self {
        Self {
            router: Arc::clone(connections.router()),
            metrics: Arc::clone(connections.metrics()),
            peer,
            alternative: connections.alternative().filter(|_| peer.secure).cloned(),
            stall: connections.settings().stall_window,
            resets,
            pieces: AtomicU64::new(0),
        }
    }

    /// A piece of a body came.
    pub(super) fn heard(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// How many signs of life there were of that kind.
    pub(super) fn signs(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    async fn answer(self: &Arc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), Broken> {
        // What is malformed, and what cannot be sent any more, counts as given up.
        let answering = self.resets.answering();
        let Some(length) = fields::said_length(request.headers()) else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return Err(Broken::Malformed);
        };
        let asked = request.method();
        let (head_only, connects) = (*asked == Method::HEAD, *asked == Method::CONNECT);
        let reply = Arc::new(Reply::new(respond));
        let request = self.take_up(request, length, &reply);
        let response = {
            let mut routed = pin!(self.router.route(request, self.peer));
            let answered = poll_fn(|cx| match routed.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Ok(response)),
                Poll::Pending => reply.poll_unwanted(cx).map(|()| Err(Broken::Unwanted)),
            });
            answered.await?
        };
        if connects && response.status().is_success() {
            // A body would be taken for what comes through a tunnel.
            return Err(Broken::Connect);
        }
        let (mut head, body) = response.into_parts();
        let mut body = pin!(body);
        let bodiless = head_only || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || body.is_end_stream();
        fields::complete(&mut head.headers, if bodiless { None } else { body.size_hint().exact() });
        alternative::say(&mut head.headers, self.alternative.as_ref());
        let mut stream = reply.send(Response::from_parts(head, ()), bodiless)?;
        answering.done();
        if bodiless { Ok(()) } else { self.send(body.as_mut(), &mut stream).await }
    }

    /// A request as the router takes it.
    fn take_up(self: &Arc<Self>, request: Request<RecvStream>, length: Option<u64>, reply: &Arc<Reply>) -> Request<RequestBody> {
        let (head, stream) = request.into_parts();
        let upload = (!stream.is_end_stream()).then(|| {
            let waits = head.headers.get(EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"));
            Upload::new(stream, Arc::clone(self), length, waits.then(|| Arc::clone(reply)))
        });
        let body = RequestBody::http2(upload, self.stall).announcing(Some(Interim::over_http2(Arc::clone(reply))));
        Request::from_parts(head, body)
    }

    /// Sends a body to its end.
    async fn send(&self, mut body: Pin<&mut ResponseBody>, stream: &mut SendStream<Bytes>) -> Result<(), Broken> {
        if let Some(whole) = fitting(&mut body, stream) {
            return Ok(stream.send_data(whole, true)?);
        }
        loop {
            let frame = poll_fn(|cx| {
                if let Poll::Ready(reset) = stream.poll_reset(cx) {
                    return Poll::Ready(Err(reset.map_or_else(Broken::Stream, |_| Broken::Unwanted)));
                }
                body.as_mut().poll_piece(cx, PIECE_BYTES).map(Ok)
            });
            let Some(frame) = frame.await? else { return Ok(stream.send_data(Bytes::new(), true)?) };
            let Ok(frame) = frame else {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Err(Broken::Body);
            };
            match frame.into_data() {
                Ok(data) => {
                    let is_last = body.is_end_stream();
                    self.send_piece(data, is_last, stream).await?;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(frame) => return send_trailers(frame, stream),
            }
        }
    }

    /// Sends a piece as the client takes it, and waits for nobody who takes nothing.
    async fn send_piece(&self, mut data: Bytes, is_last: bool, stream: &mut SendStream<Bytes>) -> Result<(), Broken> {
        loop {
            let room = if data.is_empty() { 0 } else { self.room(data.len(), stream).await? };
            let piece = data.split_to(room.min(data.len()));
            stream.send_data(piece, is_last && data.is_empty())?;
            if data.is_empty() {
                return Ok(());
            }
        }
    }

    /// How much may be sent now, of so many bytes that are at hand. What is not at hand claims nothing of the connection's window, which others
    /// may be waiting for.
    async fn room(&self, wanted: usize, stream: &mut SendStream<Bytes>) -> Result<usize, Broken> {
        stream.reserve_capacity(wanted);
        loop {
            let room = stream.capacity();
            if room > 0 {
                return Ok(room);
            }
            let waited = timeout(self.stall, poll_fn(|cx| stream.poll_capacity(cx))).await;
            let Ok(given) = waited else {
                add(&self.metrics.connections_stalled, 1);
                return Err(Broken::Stalled);
            };
            given.ok_or(Broken::Unwanted)??;
        }
    }
}

/// All of a body, if it is here and the client has room for it: then it is no more than handed over, and nobody is waited for.
fn fitting(body: &mut Pin<&mut ResponseBody>, stream: &mut SendStream<Bytes>) -> Option<Bytes> {
    let length = body.length_here()?;
    stream.reserve_capacity(length);
    (stream.capacity() >= length).then(|| body.take_here())
}

fn send_trailers(frame: Frame<Bytes>, stream: &mut SendStream<Bytes>) -> Result<(), Broken> {
    let mut trailers = frame.into_trailers().unwrap_or_default();
    fields::strip(&mut trailers);
    stream.reserve_capacity(0);
    Ok(stream.send_trailers(trailers)?)
}

/// The most of a body that is taken up at once.
const PIECE_BYTES: usize = 64 << 10;
