//! The console: which requests are its own, and what they get.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode, Uri,
    header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use ncore_domain::{Directory, Domain, NodeStatus, PublicIndex, percent};
use ncore_telemetry::{AccessLog, Events, History};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    BoxError,
    files::Files,
    live::{Figures, Live},
    page,
    snapshot::Snapshot,
};

/// The body of an answer.
pub type PageBody = UnsyncBoxBody<Bytes, BoxError>;

/// What the console stands on.
pub struct ConsoleParts {
    /// What can be known of the cluster.
    pub domain: Arc<Domain>,
    /// The figures of this node.
    pub history: Arc<History>,
    /// What happened to it.
    pub events: Arc<Events>,
    /// What is recorded of its requests.
    pub access: Arc<AccessLog>,
    /// What does not change while it runs.
    pub node: NodeInfo,
    /// The OpenAPI document of the API.
    pub reference: Value,
    /// Cancelled when the node is about to stop.
    pub stopping: CancellationToken,
}

/// What does not change while a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its public base URL.
    pub url: String,
    /// Whether it serves TLS itself.
    pub tls: bool,
}

/// The page of a node.
pub struct Console {
    parts: ConsoleParts,
    files: Files,
    live: Live,
    known: Mutex<Option<(Instant, Arc<Known>)>>,
}

/// What was read from the state; `None` where it could not be.
pub(crate) struct Known {
    pub(crate) status: Option<NodeStatus>,
    pub(crate) directory: Option<Directory>,
    pub(crate) index: Option<PublicIndex>,
}

/// For how long what was read from the state will do.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// Assets on a page of the browser.
const INDEX_PAGE: usize = 20;

impl Console {
    /// The console over these parts. [`run`](Self::run) has to be running for its streams to have news.
    #[must_use]
    pub fn new(parts: ConsoleParts) -> Self {
        let figures = Figures { history: Arc::clone(&parts.history), events: Arc::clone(&parts.events), access: Arc::clone(&parts.access) };
        let live = Live::new(figures, parts.stopping.clone());
        Self { files: Files::new(), live, known: Mutex::new(None), parts }
    }

    /// Writes the news for those who look, until the node stops.
    pub async fn run(&self) {
        self.live.run().await;
    }

    /// The answer, if the path is one of ours.
    pub fn answer(self: &Arc<Self>, method: &Method, uri: &Uri) -> Option<BoxFuture<'static, Response<PageBody>>> {
        let path = uri.path();
        let file = self.files.answer(path);
        if file.is_none() && path != "/" && path != "/live" {
            return None;
        }
        if method != Method::GET && method != Method::HEAD {
            let mut refused = empty(StatusCode::METHOD_NOT_ALLOWED);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(Box::pin(async move { refused }));
        }
        if let Some(file) = file {
            return Some(Box::pin(async move { guarded(file.map(whole)) }));
        }
        if path == "/live" {
            let stream = self.stream(method);
            return Some(Box::pin(async move { stream }));
        }
        let (console, after) = (Arc::clone(self), after(uri));
        Some(Box::pin(async move { console.page(after).await }))
    }

    async fn page(&self, after: Option<String>) -> Response<PageBody> {
        let known = self.known().await;
        let further = match after {
            Some(after) => Some(self.index(Some(after)).await),
            None => None,
        };
        let html = page::render(&page::Content {
            files: &self.files,
            node: &self.parts.node,
            snapshot: &Snapshot::of(&self.parts.history, &self.parts.events, &self.parts.access),
            known: &known,
            reference: &self.parts.reference,
            index: further.as_ref().unwrap_or(&known.index).as_ref(),
            further: further.is_some(),
        });
        let mut response = Response::new(whole(Bytes::from(html)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        guarded(response)
    }

    fn stream(&self, method: &Method) -> Response<PageBody> {
        let body = if method == Method::HEAD { None } else { self.live.watch() };
        let mut response = match body {
            Some(stream) => Response::new(StreamBody::new(stream).boxed_unsync()),
            None if method == Method::HEAD => empty(StatusCode::OK),
            None => {
                let mut full = empty(StatusCode::SERVICE_UNAVAILABLE);
                full.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
                full
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        guarded(response)
    }

    /// What is known of the state: read anew if it is too old, once for all who ask meanwhile.
    async fn known(&self) -> Arc<Known> {
        let mut known = self.known.lock().await;
        if let Some((at, known)) = &*known
            && at.elapsed() < KNOWN_FOR
        {
            return Arc::clone(known);
        }
        let directory = self.parts.domain.public().directory(self.parts.domain.now_s());
        let (status, directory, index) = tokio::join!(self.parts.domain.status(), directory, self.index(None));
        let fresh = Arc::new(Known { status: status.ok().map(|seen| seen.value), directory: directory.ok().map(|seen| seen.value), index });
        *known = Some((Instant::now(), Arc::clone(&fresh)));
        fresh
    }

    async fn index(&self, after: Option<String>) -> Option<PublicIndex> {
        match self.parts.domain.public().index(after, INDEX_PAGE).await {
            Ok(seen) => Some(seen.value),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the public index cannot be read");
                None
            }
        }
    }
}

/// The path after which a page of the browser begins.
fn after(uri: &Uri) -> Option<String> {
    let after = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("after="))?;
    percent::decoded(after)
}

/// What is true of every answer: nothing from elsewhere, nothing inline, in no frame.
fn guarded(mut response: Response<PageBody>) -> Response<PageBody> {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    response
}

fn empty(status: StatusCode) -> Response<PageBody> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn whole(bytes: Bytes) -> PageBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn where_a_page_begins() {
        for (uri, expected) in [
            ("/", None),
            ("/?x=1&after=pub%2Fa%20b", Some("pub/a b")),
            ("/?after=pub/a+b", Some("pub/a b")),
            ("/?after=%", None),
            ("/?after=%zz", None),
            ("/?after=%ff", None),
        ] {
            assert_eq!(after(&uri.parse().expect("a URI")).as_deref(), expected, "{uri}");
        }
    }
}
