//! The body of a request over HTTP/2, as it comes. What was taken of it the client may send anew, and no more: so a handler that is slow
//! holds up its own stream.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::{exchange::Exchanges, reply::Reply};
use crate::BoxError;

/// A body that comes in.
pub(crate) struct Upload {
    stream: RecvStream,
    exchanges: Arc<Exchanges>,
    /// What is to come, if the request says so. That it is right is seen to by the framing.
    left: Option<u64>,
    /// There if the client waits to be told that the body is wanted (RFC 9110 §10.1.1).
    waiting: Option<Arc<Reply>>,
    data_ended: bool,
}

impl Upload {
    /// The body with `length` bytes in all if that is known. `waiting` is who is to be told that it is wanted.
    pub(super) fn new(stream: RecvStream, exchanges: Arc<Exchanges>, length: Option<u64>, waiting: Option<Arc<Reply>>) -> Self {
        Self { stream, exchanges, left: length, waiting, data_ended: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        while !self.data_ended {
            let polled = self.stream.poll_data(cx);
            // Whatever has come: who sends does not wait any more.
            if let Some(reply) = self.waiting.take()
                && polled.is_pending()
            {
                reply.interim(StatusCode::CONTINUE, &HeaderMap::new());
            }
            match ready!(polled) {
                Some(Ok(data)) => {
                    self.exchanges.heard();
                    // Fails if the stream is gone, which is seen with the next piece.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_ended = true,
            }
        }
        self.stream.poll_trailers(cx).map(|trailers| trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Also a reset with `NO_ERROR`: of a client it says nothing of the body having come to its end.
        self.get_mut().poll(cx).map(|polled| polled.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
