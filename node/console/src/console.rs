//! The console: which requests are its own, and what they get.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use ncore_domain::{Directory, Domain, Logs, NodeStatus, PublicIndex, Seen, StateError, percent};
use ncore_telemetry::{AccessLog, Events, History};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    BoxError,
    answer::{Forms, document, empty, guarded, not_allowed, whole},
    cluster::{self, fleet::Fleet, live::ClusterLive, nodes::Nodes, tail::Tail},
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
    /// What is recorded at all nodes.
    pub logs: Arc<Logs>,
    /// All nodes.
    pub nodes: Arc<dyn Nodes>,
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
    /// Its id.
    pub id: u64,
    /// Its public base URL.
    pub url: String,
    /// Whether it serves TLS itself.
    pub tls: bool,
}

/// From where a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameFrom {
    /// The address of the other end.
    pub address: IpAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
}

/// The page of a node.
pub struct Console {
    pub(crate) parts: ConsoleParts,
    pub(crate) files: Files,
    live: Live,
    pub(crate) cluster: Arc<ClusterLive>,
    known: Mutex<Option<(Instant, Arc<Known>)>>,
    directory: Mutex<Option<KeptDirectory>>,
}

/// What was read from the state; `None` where it could not be.
pub(crate) struct Known {
    pub(crate) status: Option<NodeStatus>,
    pub(crate) directory: Option<Directory>,
    pub(crate) index: Option<PublicIndex>,
}

/// The directory, and until when it will do.
struct KeptDirectory {
    until: Instant,
    directory: Option<Directory>,
}

/// For how long what was read from the state will do.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// The directory takes a look at every client. It is kept for so many times as long as that took, so that whoever looks at the page all
/// the time costs a hundredth of a thread,
const DIRECTORY_TIMES: u32 = 100;
/// and for so long at most.
const DIRECTORY_FOR_MAX: Duration = Duration::from_secs(5 * 60);
/// Assets on a page of the browser.
const INDEX_PAGE: usize = 20;

impl Console {
    /// The console over these parts. [`run`](Self::run) has to be running for its streams to have news.
    #[must_use]
    pub fn new(parts: ConsoleParts) -> Self {
        let figures = Figures { history: Arc::clone(&parts.history), events: Arc::clone(&parts.events), access: Arc::clone(&parts.access) };
        let live = Live::new(figures, parts.stopping.clone());
        let (fleet, tail) = (Fleet::new(Arc::clone(&parts.nodes)), Tail::new(Arc::clone(&parts.logs)));
        let cluster = Arc::new(ClusterLive::new(Arc::clone(&parts.domain), fleet, tail, parts.stopping.clone()));
        Self { files: Files::new(), live, cluster, known: Mutex::new(None), directory: Mutex::new(None), parts }
    }

    /// Writes the news for those who look, until the node stops.
    pub async fn run(&self) {
        tokio::join!(self.live.run(), self.cluster.run());
    }

    /// Whether a path is one of ours.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.answer(path).is_some() || ["/", "/live"].contains(&path) || cluster::PATHS.contains(&path)
    }

    /// The answer to a request for a path that is one of ours.
    pub fn answer<B>(self: &Arc<Self>, request: Request<B>, from: CameFrom) -> BoxFuture<'static, Response<PageBody>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let console = Arc::clone(self);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path();
            if cluster::PATHS.contains(&path) {
                return console.answer_cluster(head, body, from).await;
            }
            if head.method != Method::GET && head.method != Method::HEAD {
                return not_allowed("GET, HEAD");
            }
            match path {
                "/live" => console.stream(&head.method),
                "/" => console.page(after(&head.uri)).await,
                path => console.files.answer(path).map_or_else(|| empty(StatusCode::NOT_FOUND), |file| guarded(file.map(whole))),
            }
        })
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
        document(StatusCode::OK, html, Forms::None)
    }

    fn stream(&self, method: &Method) -> Response<PageBody> {
        if method == Method::HEAD {
            return streaming(empty(StatusCode::OK));
        }
        self.live.watch().map_or_else(full, |stream| streaming(Response::new(StreamBody::new(stream).boxed_unsync())))
    }

    /// What is known of the state: read anew if it is too old, once for all who ask meanwhile.
    pub(crate) async fn known(&self) -> Arc<Known> {
        let mut known = self.known.lock().await;
        if let Some((at, known)) = &*known
            && at.elapsed() < KNOWN_FOR
        {
            return Arc::clone(known);
        }
        let (status, directory, index) = tokio::join!(self.parts.domain.status(), self.directory(), self.index(None));
        let fresh = Arc::new(Known { status: status.ok().map(|seen| seen.value), directory, index });
        *known = Some((Instant::now(), Arc::clone(&fresh)));
        fresh
    }

    async fn directory(&self) -> Option<Directory> {
        let mut kept = self.directory.lock().await;
        if let Some(kept) = &*kept
            && Instant::now() < kept.until
        {
            return kept.directory.clone();
        }
        let start = Instant::now();
        let read: Result<Seen<Directory>, StateError> = self.parts.domain.public().directory(self.parts.domain.now_s()).await;
        let directory = read.ok().map(|seen| seen.value);
        let good_for = (start.elapsed() * DIRECTORY_TIMES).clamp(KNOWN_FOR, DIRECTORY_FOR_MAX);
        *kept = Some(KeptDirectory { until: Instant::now() + good_for, directory: directory.clone() });
        directory
    }

    pub(crate) async fn index(&self, after: Option<String>) -> Option<PublicIndex> {
        match self.parts.domain.public().index(after, INDEX_PAGE).await {
            Ok(seen) => Some(seen.value),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the public index cannot be read");
                None
            }
        }
    }
}

/// An answer that is a stream of events.
pub(crate) fn streaming(mut response: Response<PageBody>) -> Response<PageBody> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    guarded(response)
}

/// What is answered when as many look as may.
pub(crate) fn full() -> Response<PageBody> {
    let mut full = empty(StatusCode::SERVICE_UNAVAILABLE);
    full.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
    streaming(full)
}

/// The path after which a page of the browser begins.
pub(crate) fn after(uri: &Uri) -> Option<String> {
    parameter(uri, "after")
}

/// A parameter of a query.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    percent::decoded(pairs.into_iter().find(|(found, _)| *found == name)?.1)
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
