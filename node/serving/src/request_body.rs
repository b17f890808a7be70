//! The body of a request, with a bound on how long the client may pause.
//!
//! No protocol has a bound on how long the next byte of a body may take. Here a pause that is longer than the bound is an error, which a
//! handler meets like any other broken upload. The bound is on progress, not on the whole: a slow upload is fine as long
//! as it moves.
//!
//! It is hyper's on HTTP/1.1, on HTTP/2 one of our own, and on HTTP/3 a stream that is put together here, in a box: uploads over it are few.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::{
    BoxError,
    listener::{Interim, Upload},
};

/// The body of a request to the [`ApiService`](crate::ApiService).
pub struct RequestBody {
    inner: Inner,
    pause_max: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    interim: Option<Interim>,
}

enum Inner {
    Hyper(Incoming),
    /// None if the request ended with its head.
    Http2(Option<Upload>),
    #[cfg(feature = "http3")]
    Http3(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send + Sync>>),
}

/// Why a body ended early. Both are the client's doing, and the request has failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// The connection broke, or the body is malformed.
    #[error("the request body broke off")]
    Broken(#[source] BoxError),
    /// Nothing came for too long.
    #[error("nothing of the request body came for {} ms", .0.as_millis())]
    Stalled(Duration),
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, pause_max: Duration) -> Self {
        Self { inner: Inner::Hyper(inner), pause_max, pause: None, interim: None }
    }

    /// That of a request over HTTP/2, if it has one.
    pub(crate) fn http2(upload: Option<Upload>, pause_max: Duration) -> Self {
        Self { inner: Inner::Http2(upload), pause_max, pause: None, interim: None }
    }

    /// That of a request over HTTP/3.
    #[cfg(feature = "http3")]
    pub(crate) fn streamed(body: impl Body<Data = Bytes, Error = BoxError> + Send + Sync + 'static, pause_max: Duration) -> Self {
        Self { inner: Inner::Http3(Box::pin(body)), pause_max, pause: None, interim: None }
    }

    /// The body of a request before whose final response `interim` ones may be sent.
    pub(crate) fn announcing(self, interim: Option<Interim>) -> Self {
        Self { interim, ..self }
    }

    /// The way to send interim responses to this request, where its connection has one.
    pub(crate) fn interim(&self) -> Option<&Interim> {
        self.interim.as_ref()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("pause_max", &self.pause_max).finish_non_exhaustive()
    }
}

impl Inner {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Self::Http2(None) => Poll::Ready(None),
            Self::Http2(Some(body)) => Pin::new(body).poll_frame(cx),
            #[cfg(feature = "http3")]
            Self::Http3(body) => body.as_mut().poll_frame(cx),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            this.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Broken)));
        }
        let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(this.pause_max)));
        match pause.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(RequestBodyError::Stalled(this.pause_max)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Hyper(body) => body.is_end_stream(),
            Inner::Http2(body) => body.as_ref().is_none_or(Body::is_end_stream),
            #[cfg(feature = "http3")]
            Inner::Http3(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Hyper(body) => body.size_hint(),
            Inner::Http2(body) => body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint),
            #[cfg(feature = "http3")]
            Inner::Http3(body) => body.size_hint(),
        }
    }
}
