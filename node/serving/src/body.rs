//! The body of every response: of assets, of problems, and of the API. One type, so that a response in memory costs no
//! box, and one place where the bytes of assets are counted.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use ncore_telemetry::Tally;

use crate::{
    BoxError,
    access::Pending,
    metrics::{ServingMetrics, add},
    serve::{SliceBody, SliceError},
};

/// A body that an [`ApiService`](crate::ApiService) answers with.
pub type ApiBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body as it is given to a connection.
pub(crate) struct ResponseBody {
    source: Source,
    /// There for the bytes of assets and zones, which are what `bytes_out` counts.
    meter: Option<BodyMeter>,
    /// There if requests are recorded.
    record: Option<Pending>,
}

/// Where bytes are counted: for the node, and for the client whose asset or zone it is.
pub(crate) struct BodyMeter {
    pub(crate) metrics: Arc<ServingMetrics>,
    pub(crate) client: Tally,
}

enum Source {
    Empty,
    /// All of it is here.
    Once(Bytes),
    Slices(Box<SliceBody>),
    Api(ApiBody),
    /// Of a zone, as it comes.
    Zone {
        body: ApiBody,
        /// Bytes that are left of it, if its length is known.
        left: Option<u64>,
        ended: bool,
    },
}

/// Why a body broke off. The connection, or on HTTP/2 the stream, is cut, so that the client knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The next slice of the asset could not be had verified.
    #[error("the next slice of the asset could not be had")]
    Slice(#[source] SliceError),
    /// The body of the API broke off.
    #[error("the body of the answer broke off")]
    Api(#[source] BoxError),
    /// The content of a zone cannot be had to its end.
    #[error("the content cannot be had to its end")]
    Zone(#[source] BoxError),
}

impl ResponseBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::of(Source::Empty, None)
    }

    /// A text that is not content.
    pub(crate) fn text(text: Vec<u8>) -> Self {
        Self::of(Source::Once(Bytes::from(text)), None)
    }

    /// Bytes of an asset, all of them here.
    pub(crate) fn content(bytes: Bytes, meter: BodyMeter) -> Self {
        Self::of(Source::Once(bytes), Some(meter))
    }

    /// Bytes of an asset, slice by slice.
    pub(crate) fn slices(slices: SliceBody, meter: BodyMeter) -> Self {
        Self::of(Source::Slices(Box::new(slices)), Some(meter))
    }

    pub(crate) fn api(body: ApiBody) -> Self {
        Self::of(Source::Api(body), None)
    }

    /// Content of a zone, all of it here.
    pub(crate) fn here(bytes: Bytes) -> Self {
        Self::of(Source::Once(bytes), None)
    }

    /// Content of a zone, as it comes.
    pub(crate) fn streamed(body: ApiBody) -> Self {
        Self::of(Source::Zone { body, left: None, ended: false }, None)
    }

    /// Counts its bytes, of which there are `length` if that is known, for the client whose zone it is.
    pub(crate) fn meter(&mut self, metrics: Arc<ServingMetrics>, client: Tally, length: Option<u64>) {
        self.meter = Some(BodyMeter { metrics, client });
        if let Source::Zone { left, .. } = &mut self.source {
            *left = length;
        }
    }

    fn of(source: Source, meter: Option<BodyMeter>) -> Self {
        Self { source, meter, record: None }
    }

    /// Takes the record of its request, which is complete when the body is gone.
    pub(crate) fn keep(&mut self, record: Pending) {
        self.record = Some(record);
    }

    /// How long it is, if all of it is here.
    pub(crate) fn length_here(&self) -> Option<usize> {
        match &self.source {
            Source::Empty => Some(0),
            Source::Once(bytes) => Some(bytes.len()),
            Source::Slices(_) | Source::Api(_) | Source::Zone { .. } => None,
        }
    }

    /// All of it that is here.
    pub(crate) fn take_here(&mut self) -> Bytes {
        let Source::Once(bytes) = &mut self.source else { return Bytes::new() };
        let bytes = std::mem::take(bytes);
        self.count_sent(bytes.len() as u64);
        bytes
    }

    /// The next frame. Of what is here it has no more than so many bytes.
    pub(crate) fn poll_piece(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.poll_source(cx, bytes_max);
        if let Poll::Ready(polled) = &polled {
            self.count(polled.as_ref());
        }
        polled
    }

    fn poll_source(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Once(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Once(bytes) => {
                let frame = bytes.split_to(bytes.len().min(bytes_max));
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            Source::Slices(slices) => {
                slices.poll_bytes(cx, bytes_max).map(|polled| polled.map(|bytes| bytes.map(Frame::data).map_err(BodyError::Slice)))
            }
            Source::Api(body) => Pin::new(body).poll_frame(cx).map(|polled| polled.map(|frame| frame.map_err(BodyError::Api))),
            Source::Zone { body, left, ended } => {
                let polled = Pin::new(body).poll_frame(cx);
                match &polled {
                    Poll::Ready(None) => *ended = true,
                    Poll::Ready(Some(Ok(frame))) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                        *left = left.map(|left| left.saturating_sub(bytes));
                    }
                    _ => {}
                }
                polled.map(|polled| polled.map(|frame| frame.map_err(BodyError::Zone)))
            }
        }
    }

    fn count(&mut self, polled: Option<&Result<Frame<Bytes>, BodyError>>) {
        match polled {
            Some(Ok(frame)) => self.count_sent(frame.data_ref().map_or(0, Bytes::len) as u64),
            Some(Err(error)) => {
                let Some(meter) = &self.meter else { return };
                tracing::warn!(error = error as &dyn std::error::Error, "response broken off");
                add(&meter.metrics.responses_broken, 1);
            }
            None => {}
        }
    }

    fn count_sent(&mut self, bytes: u64) {
        if let Some(record) = &mut self.record {
            record.sent(bytes);
        }
        if let Some(BodyMeter { metrics, client }) = &self.meter {
            add(&metrics.bytes_out, bytes);
            client.sent(bytes);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // HTTP/1.1 is best served by as much as there is.
        self.poll_piece(cx, usize::MAX)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Once(bytes) => bytes.is_empty(),
            Source::Slices(slices) => slices.remaining() == 0,
            Source::Api(body) => body.is_end_stream(),
            Source::Zone { body, left, ended } => *ended || *left == Some(0) || body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Once(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Slices(slices) => SizeHint::with_exact(slices.remaining()),
            Source::Api(body) | Source::Zone { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter
            && !self.is_end_stream()
        {
            add(&meter.metrics.responses_abandoned, 1);
        }
    }
}
