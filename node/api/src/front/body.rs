//! The body of a request that was refused before it was read.
//!
//! A client that is still sending when the connection closes under it may never see the answer. So what a handler left is read
//! on, after the answer is on its way, up to a bound; on HTTP/1.1 the answer says that the connection closes then. A client that
//! waits to be asked for its body (`Expect: 100-continue`) is not asked.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use http::{
    HeaderValue, Version,
    header::{CONNECTION, EXPECT},
};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::oneshot, task, time::timeout};

/// Reads what the handler left of the body.
pub(super) async fn read_what_nobody_wants(request: Request, next: Next) -> Response {
    let is_http_1 = request.version() < Version::HTTP_2;
    let waits_to_be_asked = request.headers().contains_key(EXPECT);
    let (give_back, mut given_back) = oneshot::channel();
    let request = request.map(|inner| Body::new(Returned { inner: Some(inner), was_polled: false, give_back: Some(give_back) }));
    let mut response = next.run(request).await;
    // The handler is done, so its body was dropped, and came back here unless it was read to its end.
    let Ok(Leftover { mut body, was_polled }) = given_back.try_recv() else {
        return response;
    };
    let is_asked = was_polled || !waits_to_be_asked;
    if is_asked && body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL_BYTES) && drain(&mut body, SMALL_TIME).await {
        return response;
    }
    if is_http_1 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if is_asked {
        task::spawn(async move { drain(&mut body, LINGER_TIME).await });
    }
    response
}

/// Reads on and forgets, within bounds. Whether it came to the end.
async fn drain(body: &mut Body, time: Duration) -> bool {
    let read = async {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return true };
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > LINGER_BYTES {
                return false;
            }
        }
        true
    };
    timeout(time, read).await.unwrap_or(false)
}

/// A body that comes back if it is dropped before its end.
struct Returned {
    inner: Option<Body>,
    was_polled: bool,
    give_back: Option<oneshot::Sender<Leftover>>,
}

struct Leftover {
    body: Body,
    was_polled: bool,
}

impl http_body::Body for Returned {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        this.was_polled = true;
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            this.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.inner.take().filter(|body| !body.is_end_stream()), self.give_back.take()) {
            // Nobody takes it if the client is gone.
            let _ = give_back.send(Leftover { body, was_polled: self.was_polled });
        }
    }
}

/// A body up to this is read before the answer, and the connection is kept.
const SMALL_BYTES: u64 = 64 << 10;
const SMALL_TIME: Duration = Duration::from_secs(1);
/// How much, and for how long, is read after the answer.
const LINGER_BYTES: usize = 64 << 20;
const LINGER_TIME: Duration = Duration::from_secs(10);
