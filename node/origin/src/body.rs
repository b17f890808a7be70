//! The body of a response. It holds on to the connection, and to the request's turn, until the last byte; then the connection goes back to
//! the pool. Dropped before that, it ends the connection (HTTP/1.1) or the stream (HTTP/2).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::classify::body_error;
use crate::error::{ErrorKind, OriginError};
use crate::gate::Turn;
use crate::origin::{Origin, Ticket};
use crate::pool::Held;

/// The body of a response. A stall, a broken connection and a wrong length are errors, and never its end.
#[derive(Debug)]
pub struct OriginBody {
    incoming: Incoming,
    lease: Option<Lease>,
    origin: Arc<Origin>,
    idle: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    failed: bool,
}

/// What a response holds until it is complete.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) held: Held,
    pub(crate) turn: Turn,
    pub(crate) ticket: Ticket,
}

impl OriginBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease, origin: Arc<Origin>, idle: Duration) -> Self {
        let mut body = Self { incoming, lease: Some(lease), origin, idle, stall: None, waiting: false, failed: false };
        body.complete_if_at_end();
        body
    }

    fn complete_if_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.complete();
        }
    }

    fn complete(&mut self) {
        let Some(Lease { held, turn, mut ticket }) = self.lease.take() else { return };
        ticket.completed();
        if let Held::Single(single) = held {
            self.origin.pool().give_back(single);
        }
        drop(turn);
    }

    fn fail(&mut self, kind: ErrorKind, source: Option<hyper::Error>) -> OriginError {
        self.failed = true;
        if let Some(lease) = &mut self.lease.take() {
            lease.ticket.failed(kind);
        }
        let error = match source {
            Some(source) => OriginError::because(kind, source),
            None => OriginError::new(kind),
        };
        self.origin.figures().count_error(kind);
        error.at(self.origin.name())
    }

    fn is_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let idle = self.idle;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(idle)));
        if !self.waiting {
            self.waiting = true;
            stall.as_mut().reset(Instant::now() + idle);
        }
        stall.as_mut().poll(cx).is_ready()
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = &mut *self;
        if this.failed {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = false;
                this.complete_if_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                let kind = body_error(&error);
                Poll::Ready(Some(Err(this.fail(kind, Some(error)))))
            }
            Poll::Pending if this.is_stalled(cx) => Poll::Ready(Some(Err(this.fail(ErrorKind::BodyStalled, None)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
