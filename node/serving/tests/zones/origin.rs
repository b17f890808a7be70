//! An origin that answers each path with what it was told to, in order, and the last of it again and again.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ncore_serving::BoxError;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What the origin answers.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Bytes,
    /// Opened by closing it. The head waits for the first, the body for the second.
    head_gate: Option<Arc<Semaphore>>,
    body_gate: Option<Arc<Semaphore>>,
    breaks: bool,
    ranges: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, fields: Vec::new(), body: body.into(), head_gate: None, body_gate: None, breaks: false, ranges: false }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn cached(self, directives: &str) -> Self {
        self.field("cache-control", directives)
    }

    /// Its head comes when the gate is opened.
    pub(crate) fn behind(self, gate: &Arc<Semaphore>) -> Self {
        Self { head_gate: Some(Arc::clone(gate)), ..self }
    }

    /// Of its body one half comes at once, and the other when the gate is opened.
    pub(crate) fn halved(self, gate: &Arc<Semaphore>) -> Self {
        Self { body_gate: Some(Arc::clone(gate)), ..self }
    }

    /// It breaks off in the middle of its body.
    pub(crate) fn broken(self) -> Self {
        Self { breaks: true, ..self }
    }

    /// It has ranges, and knows its version by the tag or the date among its fields. With `x-careless` it does not heed `If-Range`.
    pub(crate) fn ranged(self) -> Self {
        Self { ranges: true, ..self }
    }

    /// What of it a request with these fields gets.
    fn cut(self, request: &HeaderMap) -> Self {
        let of = |name: &str| self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let asked = |name: &str| request.get(name).map(|value| value.to_str().expect("ASCII"));
        if !self.ranges || self.status != 200 {
            return self;
        }
        if asked("if-none-match").is_some_and(|tag| of("etag") == Some(tag)) {
            return Self { status: 304, body: Bytes::new(), ..self };
        }
        let is_careless = of("x-careless").is_some();
        if asked("if-range").is_some_and(|version| !is_careless && of("etag") != Some(version) && of("last-modified") != Some(version)) {
            return self;
        }
        let range = asked("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let size = self.body.len();
        let (first, end) = match range.map(|(first, last)| (first.parse::<usize>().ok(), last.parse::<usize>().ok())) {
            Some((Some(first), last)) => (first, last.map_or(size, |last| size.min(last + 1))),
            Some((None, Some(length))) => (size.saturating_sub(length), size),
            _ => return self,
        };
        if first >= size {
            return Self { status: 416, body: Bytes::new(), ..self }.field("content-range", format!("bytes */{size}"));
        }
        let body = self.body.slice(first..end);
        Self { status: 206, body, ..self }.field("content-range", format!("bytes {first}-{}/{size}", end - 1))
    }

    async fn response(self, head_only: bool) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, Infallible> {
        if let Some(gate) = &self.head_gate {
            let _ = gate.acquire().await;
        }
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.fields {
            response = response.header(*name, value);
        }
        let is_chunked = self.fields.iter().any(|(name, _)| *name == "x-chunked");
        if !is_chunked && !matches!(self.status, 204 | 304) {
            response = response.header("content-length", self.body.len());
        }
        let middle = self.body.len() / 2;
        let (first, second) = if head_only { (Bytes::new(), Bytes::new()) } else { (self.body.slice(..middle), self.body.slice(middle..)) };
        let (gate, breaks) = (self.body_gate, self.breaks);
        let frames = stream::unfold((0, first, second, gate), move |(step, first, second, gate)| async move {
            let frame = match step {
                0 => Ok(Frame::data(first.clone())),
                1 => {
                    if let Some(gate) = &gate {
                        let _ = gate.acquire().await;
                    }
                    if breaks { Err("as told".into()) } else { Ok(Frame::data(second.clone())) }
                }
                _ => return None,
            };
            Some((frame, (step + 1, first, second, gate)))
        });
        Ok(response.body(StreamBody::new(frames).boxed_unsync()).expect("a response"))
    }
}

/// A request as it came to the origin.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
}

/// The origin. It stops when it is dropped.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    accepting: JoinHandle<()>,
    stopped: CancellationToken,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let addr = listener.local_addr().expect("bound");
        let script = Arc::<Mutex<Script>>::default();
        let stopped = CancellationToken::new();
        let accepting = tokio::spawn({
            let (script, stopped) = (Arc::clone(&script), stopped.clone());
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let script = Arc::clone(&script);
                    let service = service_fn(move |request| answer(Arc::clone(&script), request));
                    let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                    let stopped = stopped.clone();
                    tokio::spawn(async move { stopped.run_until_cancelled(connection).await });
                }
            }
        });
        Self { addr, script, accepting, stopped }
    }

    /// Adds what it answers a path with.
    pub(crate) fn reply(&self, path: &str, reply: Reply) {
        self.script.lock().expect("no panic").replies.entry(path.to_owned()).or_default().push_back(reply);
    }

    /// What it answers a path with from now on.
    pub(crate) fn answer_with(&self, path: &str, reply: Reply) {
        self.script.lock().expect("no panic").replies.insert(path.to_owned(), [reply].into());
    }

    /// Leaves out the next answer to a path.
    pub(crate) fn skip(&self, path: &str) {
        let mut script = self.script.lock().expect("no panic");
        script.replies.get_mut(path).and_then(VecDeque::pop_front).expect("an answer");
    }

    /// Takes no connections any more, and closes those that there are.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        self.accepting.abort();
    }

    /// What it was asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.lock().expect("no panic").seen.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.script.lock().expect("no panic").seen.len()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(script: Arc<Mutex<Script>>, request: Request<Incoming>) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let fields = head.headers.clone();
    let reply = {
        let mut script = script.lock().expect("no panic");
        let target = head.uri.to_string();
        let replies = script.replies.entry(head.uri.path().to_owned()).or_default();
        let reply = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
        script.seen.push(Seen { method: head.method.clone(), target, headers: head.headers, body });
        reply.unwrap_or_else(|| Reply::new(404, "nothing here").cached("no-store"))
    };
    reply.cut(&fields).response(head.method == Method::HEAD).await
}
