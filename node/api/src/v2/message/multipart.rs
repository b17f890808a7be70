//! The parts of an upload, as they come.
//!
//! The parser takes whatever its source has ready, and looks for the end of a part's head without a bound. So between it and
//! the body stands a gate: it lets a burst of bytes through at a time, and a head that does not end within its bound is an
//! error. What is in memory of an upload is a burst, however fast it comes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::Body as _;
use multer::Multipart;
use tokio::time::timeout;

use crate::{
    BoxError,
    problem::{Kind, Problem},
};

/// A form that comes in.
pub(in crate::v2) struct Parts {
    parts: Multipart<'static>,
    unclaimed: Arc<AtomicUsize>,
}

/// One part of it.
pub(in crate::v2) struct Part {
    field: multer::Field<'static>,
    unclaimed: Arc<AtomicUsize>,
}

impl Parts {
    /// The form in `body`.
    pub(in crate::v2) fn new(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let mime = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(mime).map_err(|error| match error {
            multer::Error::NoBoundary => invalid("the Content-Type has no boundary"),
            _ => Problem::new(Kind::UnsupportedMediaType, "an upload is multipart/form-data"),
        })?;
        // RFC 2046, section 5.1.1.
        if !(1..=70).contains(&boundary.len()) {
            return Err(invalid("a boundary has 1 to 70 characters"));
        }
        let unclaimed = Arc::new(AtomicUsize::new(0));
        let gate = Gate { body, unclaimed: Arc::clone(&unclaimed), burst: 0 };
        Ok(Self { parts: Multipart::new(gate, boundary), unclaimed })
    }

    /// The next part. The one before must have been dropped.
    pub(in crate::v2) async fn next(&mut self) -> Result<Option<Part>, Problem> {
        let field = in_time(self.parts.next_field()).await?;
        self.unclaimed.store(0, Ordering::Relaxed);
        Ok(field.map(|field| Part { field, unclaimed: Arc::clone(&self.unclaimed) }))
    }
}

impl Part {
    /// What the form calls it.
    pub(in crate::v2) fn name(&self) -> Option<&str> {
        self.field.name()
    }

    /// What the client calls the file.
    pub(in crate::v2) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The next bytes of it.
    pub(in crate::v2) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = in_time(self.field.chunk()).await?;
        self.unclaimed.store(0, Ordering::Relaxed);
        Ok(chunk)
    }

    /// All of it, as text of at most `bytes_max`.
    pub(in crate::v2) async fn text(mut self, bytes_max: usize) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > bytes_max {
                return Err(invalid(format!("the part {} has more than {bytes_max} bytes", self.name().unwrap_or_default())));
            }
        }
        String::from_utf8(bytes).map_err(|_| invalid("a part is not text in UTF-8"))
    }
}

async fn in_time<T>(read: impl Future<Output = multer::Result<T>>) -> Result<T, Problem> {
    match timeout(PAUSE_MAX, read).await {
        Ok(result) => result.map_err(not_read),
        Err(_) => Err(Problem::new(Kind::IncompleteBody, format!("nothing came for {} s", PAUSE_MAX.as_secs()))),
    }
}

fn not_read(error: multer::Error) -> Problem {
    match error {
        multer::Error::StreamReadFailed(source) if source.is::<HeadTooLong>() => invalid(HeadTooLong.to_string()),
        multer::Error::StreamReadFailed(_) => Problem::new(Kind::IncompleteBody, "the body broke off"),
        multer::Error::IncompleteStream | multer::Error::IncompleteHeaders | multer::Error::IncompleteFieldData { .. } => {
            Problem::new(Kind::IncompleteBody, "the form ends before its last boundary")
        }
        other => invalid(format!("the form is not valid: {other}")),
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::InvalidBody, detail)
}

/// Between a body and the parser.
struct Gate {
    body: Body,
    /// Bytes that the parser took since it last gave something.
    unclaimed: Arc<AtomicUsize>,
    /// Bytes that went through since the last pause.
    burst: usize,
}

/// A form that is nothing but head.
#[derive(Debug, thiserror::Error)]
#[error("what comes before a part, or its head, is too long")]
struct HeadTooLong;

impl Stream for Gate {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.burst >= BURST_BYTES {
            // The parser asks until there is nothing: here it is told so, and comes back at once.
            this.burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.unclaimed.load(Ordering::Relaxed) > HEAD_BYTES_MAX {
            return Poll::Ready(Some(Err(HeadTooLong.into())));
        }
        loop {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => frame,
            };
            // Trailers mean nothing here.
            if let Ok(data) = frame.into_data() {
                this.burst += data.len();
                this.unclaimed.fetch_add(data.len(), Ordering::Relaxed);
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}

/// How long a client may stand still.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Bytes that are taken at once.
const BURST_BYTES: usize = 256 << 10;
/// The most that may come without being content: whatever stands before a part, and the head of one. More than a burst, because
/// a burst of content is unclaimed too, for a moment.
const HEAD_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use axum::body::Body;
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};
    use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

    use super::{BURST_BYTES, HEAD_BYTES_MAX, Parts};
    use crate::problem::Kind;

    const CHUNK: usize = 16 << 10;

    /// A form that begins with `start` and then never ends, as fast as it is asked for; and how many bytes were asked for.
    fn endless(start: &'static str) -> (Parts, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let body =
            stream::once(async move { Bytes::from_static(start.as_bytes()) }).chain(stream::repeat(Bytes::from_static(&[b'x'; CHUNK])));
        let body = body.inspect(move |bytes| {
            count.fetch_add(bytes.len(), Ordering::Relaxed);
        });
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=b"))]);
        let parts = Parts::new(&headers, Body::from_stream(body.map(Ok::<_, Infallible>))).unwrap_or_else(|_| panic!("a form"));
        (parts, taken)
    }

    #[tokio::test]
    async fn content_comes_in_bursts() {
        let (mut parts, taken) = endless("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n");
        let mut part = parts.next().await.ok().flatten().expect("a part");
        let mut given = 0;
        while given < 8 << 20 {
            given += part.chunk().await.ok().flatten().expect("content").len();
            let held = taken.load(Ordering::Relaxed) - given;
            assert!(held <= BURST_BYTES + 2 * CHUNK, "{held} bytes are held");
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_given_up() {
        for start in ["", "--b\r\nContent-Disposition: form-data; name=\"", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nX: "] {
            let (mut parts, taken) = endless(start);
            let problem = parts.next().await.err().expect("refused");
            assert_eq!(problem.kind(), Kind::InvalidBody, "{start:?}");
            assert!(taken.load(Ordering::Relaxed) <= HEAD_BYTES_MAX + 2 * CHUNK);
        }
    }
}
