//! The body of a request over HTTP/3, as it comes.
//!
//! What a request says of the length of its body has to be right (RFC 9114 §4.1.2): a body that is longer or shorter is broken.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::server::RequestStream;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::quic::{RecvStream, StreamState};
use crate::BoxError;

/// The receiving end of a request.
pub(super) type Receiving = RequestStream<RecvStream, Bytes>;

/// A body that comes in.
pub(super) struct Upload {
    /// There until this is dropped.
    stream: Option<Receiving>,
    state: Arc<StreamState>,
    /// What had come when the request was taken up.
    first: Option<Bytes>,
    /// What is to come, if the request says so.
    left: Option<u64>,
    step: Step,
    /// Where the stream goes when the body is not wanted any more: to close it would disturb the response.
    back: Option<oneshot::Sender<Receiving>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Data,
    Trailers,
    Ended,
}

/// A body is not as long as the request says.
#[derive(Debug, thiserror::Error)]
#[error("the body is not as long as its Content-Length says")]
struct WrongLength;

impl Upload {
    /// The body of which `first` is here, with `length` bytes in all if that is known; and where its stream goes afterwards.
    pub(super) fn new(
        stream: Receiving,
        state: Arc<StreamState>,
        first: Option<Bytes>,
        length: Option<u64>,
    ) -> (Self, oneshot::Receiver<Receiving>) {
        let (back, after) = oneshot::channel();
        (Self { stream: Some(stream), state, first, left: length, step: Step::Data, back: Some(back) }, after)
    }

    /// No body.
    pub(super) fn none(stream: Receiving, state: Arc<StreamState>) -> (Self, oneshot::Receiver<Receiving>) {
        let (mut upload, after) = Self::new(stream, state, None, Some(0));
        upload.step = Step::Ended;
        (upload, after)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if self.step == Step::Data {
            let polled = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => ready!(poll_data(stream, &self.state, cx)),
            };
            match polled {
                Ok(Some(data)) => {
                    let length = data.len() as u64;
                    if self.left.is_some_and(|left| left < length) {
                        return Poll::Ready(Some(Err(WrongLength.into())));
                    }
                    self.left = self.left.map(|left| left - length);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(None) if self.left.is_some_and(|left| left > 0) => return Poll::Ready(Some(Err(WrongLength.into()))),
                Ok(None) => self.step = Step::Trailers,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        if self.step == Step::Ended {
            return Poll::Ready(None);
        }
        let trailers = ready!(stream.poll_recv_trailers(cx));
        self.step = Step::Ended;
        Poll::Ready(trailers.map_err(Into::into).map(|trailers| trailers.map(Frame::trailers)).transpose())
    }
}

/// The next piece of a body.
pub(super) fn poll_data(stream: &mut Receiving, state: &StreamState, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
    let data = ready!(stream.poll_recv_data(cx))?.map(|mut data| data.copy_to_bytes(data.remaining()));
    state.given(data.as_ref().map_or(0, Bytes::len));
    Poll::Ready(Ok(data))
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        // What has failed has ended.
        if let Poll::Ready(Some(Err(_))) = &polled {
            this.step = Step::Ended;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.step == Step::Ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody wants it if the response has ended.
            let _ = back.send(stream);
        }
    }
}
