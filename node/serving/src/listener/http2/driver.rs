//! One connection: reads what comes, begins what is asked for, and sends what there is to be sent.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Connection, SendResponse},
};
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::ReusableBoxFuture;

use super::{
    Http2Error,
    exchange::{self, Exchanges},
    pulse::Pulse,
    wire::Wire,
};
use crate::listener::settings::Http2Settings;

/// A connection that is served.
pub(super) struct Driver<S> {
    connection: Connection<Wire<S>, Bytes>,
    wire: Wire<S>,
    exchanges: Arc<Exchanges>,
    pulse: Pulse,
    /// Requests so far.
    begun: u64,
    rest: Rest,
    is_leaving: bool,
}

/// How long there was no request.
struct Rest {
    timer: Pin<Box<Sleep>>,
    max: Duration,
    /// How many requests had begun when the timer was set.
    begun: u64,
}

/// The place of an exchange, which the next one takes if this one has not come to be a task.
type Seat = Option<ReusableBoxFuture<'static, ()>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(
        mut connection: Connection<Wire<S>, Bytes>,
        wire: Wire<S>,
        exchanges: Arc<Exchanges>,
        limits: &Http2Settings,
    ) -> Self {
        let pings = connection.ping_pong().expect("nobody has taken it before");
        let pulse = Pulse::new(pings, limits.ping_interval, limits.ping_deadline);
        let rest = Rest { timer: Box::pin(sleep(limits.idle_max)), max: limits.idle_max, begun: 0 };
        Self { connection, wire, exchanges, pulse, begun: 0, rest, is_leaving: false }
    }

    /// Takes no more requests, and ends when those under way have been answered.
    pub(super) fn leave(&mut self) {
        if !self.is_leaving {
            self.is_leaving = true;
            self.connection.graceful_shutdown();
        }
    }

    /// Goes on, until the connection has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Http2Error>> {
        let signs = || self.begun + self.exchanges.signs();
        if self.pulse.poll_lost(cx, signs).is_ready() {
            return Poll::Ready(Err(Http2Error::Silent));
        }
        if !self.is_leaving && self.rest.poll(cx, self.begun, self.connection.has_streams()).is_ready() {
            self.leave();
        }
        let ended = self.take_all(cx);
        // Only now: what was answered leaves together.
        match self.wire.poll_send(cx) {
            Poll::Ready(Err(error)) if ended.is_pending() => Poll::Ready(Err(Http2Error::Write(error))),
            _ => ended,
        }
    }

    /// Begins all that is asked for, and hands over to the wire all that has been answered.
    fn take_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Http2Error>> {
        let mut seat = None;
        for _ in 0..AT_ONCE_MAX {
            match self.connection.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond, &mut seat, cx),
            }
        }
        // Others are to have their turn as well.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins one. What is at hand is answered now; what is not goes on in a task.
    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>, seat: &mut Seat, cx: &mut Context<'_>) {
        self.begun += 1;
        let exchange = exchange::run(Arc::clone(&self.exchanges), request, respond);
        let mut begun = match seat.take() {
            Some(mut seat) => {
                seat.set(exchange);
                seat
            }
            None => ReusableBoxFuture::new(exchange),
        };
        // The router catches what panics in it, and tokio what panics in a task. What is caught here is the body of a response, which must not
        // take the connection with it.
        match catch_unwind(AssertUnwindSafe(|| begun.poll(cx))) {
            Ok(Poll::Ready(())) => *seat = Some(begun),
            // It ends by itself when its stream is gone.
            Ok(Poll::Pending) => drop(tokio::spawn(begun)),
            Err(_) => tracing::error!("the body of a response panicked"),
        }
    }
}

impl Rest {
    /// Completes when there was no request for so long, give or take as much.
    fn poll(&mut self, cx: &mut Context<'_>, begun: u64, has_streams: bool) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if begun == self.begun && !has_streams {
                return Poll::Ready(());
            }
            self.begun = begun;
            self.timer.as_mut().reset(Instant::now() + self.max);
        }
        Poll::Pending
    }
}

/// After so many requests what was answered is sent, though there are more.
const AT_ONCE_MAX: usize = 256;
