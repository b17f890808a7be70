//! A request on its way to an origin: what stays the same over several tries, and its body, which is sent once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::{BoxError, ErrorKind, OriginError};
use crate::fields::{prepare_request, remove_overrides};
use crate::replay::Replay;
use crate::url::Scheme;
use crate::viewer::{OnInformational, ViewerInfo};

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody(UnsyncBoxBody<Bytes, BoxError>);

impl RequestBody {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Empty::new().map_err(|never| match never {}).boxed_unsync())
    }

    /// A body that is streamed. Its size hint, if exact, is the length that the origin is told.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Full::new(bytes).map_err(|never| match never {}).boxed_unsync())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// How far the body of a request is, for whoever waits for the response.
#[derive(Debug)]
pub(crate) struct Progress {
    at: Mutex<Instant>,
    step: AtomicU8,
}

/// Where the body of a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// With the connection, which takes it or not.
    Sending,
    /// With the viewer, who has more to say.
    Waiting,
    /// It failed.
    Failed,
}

impl Progress {
    fn new() -> Self {
        Self { at: Mutex::new(Instant::now()), step: AtomicU8::new(Step::Sending as u8) }
    }

    fn note(&self, step: Step) {
        *self.at.lock() = Instant::now();
        self.step.store(step as u8, Ordering::Relaxed);
    }

    /// When something last happened.
    pub(crate) fn at(&self) -> Instant {
        *self.at.lock()
    }

    pub(crate) fn step(&self) -> Step {
        match self.step.load(Ordering::Relaxed) {
            1 => Step::Waiting,
            2 => Step::Failed,
            _ => Step::Sending,
        }
    }
}

/// The body of a request as a connection reads it.
#[derive(Debug)]
pub(crate) struct SentBody {
    body: RequestBody,
    progress: Arc<Progress>,
    waiting: bool,
    replay: Option<Arc<Replay>>,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending if self.waiting => {}
            Poll::Pending => {
                self.waiting = true;
                self.progress.note(Step::Waiting);
            }
            Poll::Ready(Some(Err(_))) => self.progress.note(Step::Failed),
            Poll::Ready(sent) => {
                self.waiting = false;
                self.progress.note(Step::Sending);
                self.copy(sent.as_ref().and_then(|sent| sent.as_ref().ok()));
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl SentBody {
    /// Notes what is being sent: a piece, or the end.
    fn copy(&self, piece: Option<&Frame<Bytes>>) {
        let Some(replay) = &self.replay else { return };
        if let Some(piece) = piece {
            replay.note(piece);
        }
        if piece.is_none() || self.body.is_end_stream() {
            replay.end();
        }
    }
}

/// The protocol that a viewer wants to change to, if the request is for that.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// A response.
    Exchange,
    /// A change to this protocol, as the field `Upgrade` names it.
    Upgrade(HeaderValue),
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    host: Option<HeaderValue>,
    informational: Option<OnInformational>,
    pub(crate) purpose: Purpose,
    body: BodyState,
}

/// What is left of a body.
#[derive(Debug)]
enum BodyState {
    /// There is none: it can be sent as often as one likes.
    None,
    /// Nothing of it was sent.
    Whole(RequestBody),
    /// Some of it may have been sent. If that may happen twice, with a copy.
    Begun(Option<Arc<Replay>>),
}

impl Outgoing {
    pub(crate) fn new(request: Request<RequestBody>, purpose: Purpose) -> Result<Self, OriginError> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(OriginError::new(ErrorKind::Unsendable));
        }
        let target = match parts.uri.path_and_query() {
            Some(target) => target.clone(),
            None => PathAndQuery::from_static("/"),
        };
        let viewer = parts.extensions.remove::<ViewerInfo>();
        let host = match &viewer {
            Some(viewer) => HeaderValue::try_from(&*viewer.host).ok(),
            None => parts.headers.get(header::HOST).cloned(),
        };
        prepare_request(&mut parts.headers, viewer.as_ref());
        if matches!(parts.method, Method::GET | Method::HEAD) {
            remove_overrides(&mut parts.headers);
        }
        let body = if body.is_end_stream() { BodyState::None } else { BodyState::Whole(body) };
        Ok(Self { method: parts.method, target, headers: parts.headers, host, informational: parts.extensions.remove(), purpose, body })
    }

    /// What the viewer said as `Host`.
    pub(crate) const fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    pub(crate) const fn informational(&self) -> Option<&OnInformational> {
        self.informational.as_ref()
    }

    /// Whether it can be sent again, if nothing of it was taken in before.
    pub(crate) const fn is_whole(&self) -> bool {
        matches!(self.body, BodyState::None | BodyState::Whole(_))
    }

    /// Whether it has a content, which may take its time.
    pub(crate) const fn has_content(&self) -> bool {
        !matches!(self.body, BodyState::None)
    }

    /// Whether it can be sent again although it may have been carried out.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method.is_idempotent()
            && match &self.body {
                BodyState::None => true,
                BodyState::Whole(_) | BodyState::Begun(None) => false,
                BodyState::Begun(Some(replay)) => replay.whole().is_some(),
            }
    }

    /// Whether it asked for what a response of this status is: one without content, or with a part of it, is for who said so.
    pub(crate) fn allows(&self, status: StatusCode) -> bool {
        let has = |names: &[HeaderName]| names.iter().any(|name| self.headers.contains_key(name));
        match status {
            StatusCode::NOT_MODIFIED => {
                has(&[header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE])
            }
            StatusCode::PARTIAL_CONTENT => has(&[header::RANGE]),
            _ => true,
        }
    }

    /// The request as HTTP/1.1 has it. Takes the body.
    pub(crate) fn for_http1(&mut self, host: HeaderValue) -> (Request<SentBody>, Arc<Progress>) {
        let mut headers = self.headers.clone();
        headers.remove(header::TE);
        join_cookies(&mut headers);
        headers.insert(header::HOST, host);
        if let Purpose::Upgrade(protocol) = &self.purpose {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol.clone());
        }
        let uri = Uri::from(self.target.clone());
        self.request(uri, Version::HTTP_11, headers)
    }

    /// The request as HTTP/2 has it. Takes the body.
    pub(crate) fn for_http2(&mut self, host: &HeaderValue, scheme: Scheme) -> Result<(Request<SentBody>, Arc<Progress>), OriginError> {
        let unsendable = |error: http::Error| OriginError::because(ErrorKind::Unsendable, error);
        let authority = Authority::try_from(host.as_bytes()).map_err(|error| unsendable(error.into()))?;
        let uri = Uri::builder().scheme(scheme.as_str()).authority(authority).path_and_query(self.target.clone());
        let uri = uri.build().map_err(unsendable)?;
        let headers = self.headers.clone();
        Ok(self.request(uri, Version::HTTP_2, headers))
    }

    fn request(&mut self, uri: Uri, version: Version, mut headers: HeaderMap) -> (Request<SentBody>, Arc<Progress>) {
        let body = match std::mem::replace(&mut self.body, BodyState::None) {
            BodyState::None => {
                if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
                    // Where a body is looked for, that there is none is said (RFC 9110 §8.6).
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                }
                None
            }
            BodyState::Whole(body) => Some(body),
            BodyState::Begun(replay) => Some(replay.and_then(|replay| replay.whole()).map_or_else(RequestBody::empty, RequestBody::from)),
        };
        let replay = (body.is_some() && self.method.is_idempotent()).then(|| Arc::new(Replay::new()));
        if body.is_some() {
            self.body = BodyState::Begun(replay.clone());
        }
        let body = body.unwrap_or_else(RequestBody::empty);
        let progress = Arc::new(Progress::new());
        let mut request = Request::new(SentBody { body, progress: Arc::clone(&progress), waiting: false, replay });
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        (request, progress)
    }

    /// The connection gave the request back: nothing of it was sent.
    pub(crate) fn give_back(&mut self, request: Request<SentBody>) {
        if matches!(self.body, BodyState::Begun(_)) {
            self.body = BodyState::Whole(request.into_body().body);
        }
    }
}

/// HTTP/2 lets a viewer split its cookies, HTTP/1.1 does not (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}
