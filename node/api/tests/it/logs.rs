//! `GET /api/v2/logs` and its stream: who sees what, page by page, from the nodes that answer.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Method, Request, header::AUTHORIZATION};
use http_body_util::BodyExt;
use ncore_api::{ApiParts, router};
use ncore_domain::{FoundLog, LogNode, LogParts, LogPeerError, LogPeers, Logs, SinceLog};
use ncore_limits::LimitSettings;
use ncore_model::{NodeId, Scope};
use ncore_telemetry::{AccessHead, AccessLog, AccessQuery, AccessRecord, AccessWriter, PathClass};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::site::{Site, parts};

const PATIENCE: Duration = Duration::from_secs(20);

/// Another node that answers, and one that fails, or says nothing if it is asked for paths below [`HANGS`].
struct Others {
    log: Arc<AccessLog>,
}

const ANSWERS: u64 = 2;
const FAILS: u64 = 3;
const HANGS: &str = "/hangs";

impl LogPeers for Others {
    fn others(&self) -> Vec<LogNode> {
        [(ANSWERS, "two"), (FAILS, "three")].map(|(id, name)| LogNode { id: NodeId(id), name: name.into() }).to_vec()
    }

    fn find<'a>(&'a self, node: NodeId, query: &'a AccessQuery, max: usize) -> BoxFuture<'a, Result<FoundLog, LogPeerError>> {
        Box::pin(async move {
            if node.0 == FAILS {
                if query.prefix.as_deref() == Some(HANGS) {
                    std::future::pending::<()>().await;
                }
                return Err(LogPeerError { node, source: "it is away".into() });
            }
            Ok(FoundLog { records: self.log.find(query, node.0, max), oldest_us: self.log.oldest_us() })
        })
    }

    fn since<'a>(&'a self, node: NodeId, after: Option<u64>, query: &'a AccessQuery) -> BoxFuture<'a, Result<SinceLog, LogPeerError>> {
        Box::pin(async move {
            if node.0 == FAILS {
                return Err(LogPeerError { node, source: "it is away".into() });
            }
            let Some(after) = after else { return Ok(SinceLog { after: self.log.newest(), ..SinceLog::default() }) };
            sleep(Duration::from_millis(5)).await;
            let followed = self.log.since(after, query, node.0).expect("it is asked often enough");
            Ok(SinceLog { records: followed.records, after: followed.after, missed: 0 })
        })
    }
}

struct Rig {
    site: Site,
    own: Arc<AccessLog>,
    other: Arc<AccessLog>,
    stopping: CancellationToken,
    _writers: [AccessWriter; 2],
}

impl Rig {
    async fn new(keep: usize) -> Self {
        let mut site = Site::new().await;
        let (own, other) = (Arc::new(AccessLog::new(keep)), Arc::new(AccessLog::new(keep)));
        let stopping = CancellationToken::new();
        let logs = Arc::new(Logs::new(LogParts {
            node: LogNode { id: NodeId(1), name: "one".into() },
            log: Arc::clone(&own),
            peers: Arc::new(Others { log: Arc::clone(&other) }),
            stopping: stopping.clone(),
        }));
        site.router = router(ApiParts { logs, ..parts(&site.rig, LimitSettings::default()) });
        let writers = [&own, &other].map(|log| AccessWriter::start(Arc::clone(log), None, "one").expect("a thread"));
        Self { site, own, other, stopping, _writers: writers }
    }

    /// Records a request of the client that asks at a node, and waits until it is there.
    async fn record(&self, log: &AccessLog, client: Option<&str>, path: &str, status: u16, ended_us: u64) {
        let head = AccessHead {
            method: "GET",
            host: "cdn.example",
            path,
            request_id: "req-1",
            agent: b"curl/8",
            remote: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            class: PathClass::Asset,
        };
        let before = log.taken();
        log.record(AccessRecord { client: client.map(Arc::from), status, ended_us, bytes: 5, took_us: 9, ..AccessRecord::new(&head) });
        timeout(PATIENCE, async {
            while log.taken() == before {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("taken");
    }

    async fn page(&self, query: &str) -> Value {
        self.site.get(&format!("/api/v2/logs{query}")).await.ok(200).json()
    }
}

fn paths(page: &Value) -> Vec<&str> {
    page["logs"].as_array().expect("logs").iter().map(|line| line["path"].as_str().expect("a path")).collect()
}

#[tokio::test]
async fn a_client_sees_its_own_requests_of_all_nodes_that_answer() {
    let rig = Rig::new(100).await;
    let (own, other) = (rig.site.client.as_str(), rig.site.rig.bare_client());
    rig.record(&rig.own, Some(own), "/assets/1", 200, 1_000_000).await;
    rig.record(&rig.other, Some(own), "/assets/2", 404, 2_000_000).await;
    rig.record(&rig.own, Some(other.as_str()), "/assets/theirs", 200, 3_000_000).await;
    rig.record(&rig.other, None, "/assets/nobodys", 200, 3_000_000).await;
    rig.record(&rig.own, Some(own), "/assets/3", 503, 4_000_000).await;

    let page = rig.page("").await;
    assert_eq!(paths(&page), ["/assets/3", "/assets/2", "/assets/1"]);
    assert_eq!((&page["has_more"], &page["next_cursor"]), (&Value::Bool(false), &Value::Null));
    let nodes: Vec<_> =
        page["nodes"].as_array().expect("nodes").iter().map(|node| (node["node"].clone(), node["answered"].clone())).collect();
    assert_eq!(nodes, [("one".into(), true.into()), ("two".into(), true.into()), ("three".into(), false.into())]);
    assert_eq!((&page["nodes"][0]["since"], &page["nodes"][2]["since"]), (&1.into(), &Value::Null));
    let line = serde_json::json!({
        "time": "1970-01-01T00:00:02.000000Z", "ts": 2, "node": "two", "client_id": own, "method": "GET", "host": "cdn.example",
        "path": "/assets/2", "status": 404, "bytes": 5, "duration_us": 9, "cache": null, "remote": "127.0.0.1", "request_id": "req-1",
        "user_agent": "curl/8",
    });
    assert_eq!(page["logs"][1], line);

    for (query, expected) in [
        ("?status=404", vec!["/assets/2"]),
        ("?status=5xx", vec!["/assets/3"]),
        ("?from=2", vec!["/assets/3", "/assets/2"]),
        ("?to=2", vec!["/assets/1"]),
        ("?from=2&to=3", vec!["/assets/2"]),
        ("?prefix=/assets/3", vec!["/assets/3"]),
        ("?prefix=%2Fassets%2Ftheirs", vec![]),
    ] {
        assert_eq!(paths(&rig.page(query).await), expected, "{query}");
    }
    for wrong in ["status=6xx", "status=99", "status=ok", "from=x", "from=2&to=2", "limit=0", "from=1&from=2"] {
        let answer = rig.site.get(&format!("/api/v2/logs?{wrong}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &"invalid_query".into()), "{wrong}");
    }
}

#[tokio::test]
async fn an_administrator_sees_all() {
    let mut rig = Rig::new(10).await;
    rig.site.rig.raise_schema();
    let (_, token) = rig.site.rig.domain.administrators().add("ops".to_owned(), None).await.expect("an administrator");
    rig.record(&rig.own, Some(rig.site.client.as_str()), "/assets/1", 200, 1).await;
    rig.record(&rig.other, None, "/assets/2", 404, 2).await;
    token.expose_secret().clone_into(&mut rig.site.token);
    assert_eq!(paths(&rig.page("").await), ["/assets/2", "/assets/1"]);
    let mut body = stream(&rig, "").await;
    rig.record(&rig.own, None, "/assets/3", 404, 3).await;
    let mut seen = until(&mut body, "/assets/3").await;
    assert!(seen.contains("event: log"));
    for path in ["/api/v2/logs", "/api/v2/logs/stream"] {
        let bad = rig.site.request(Method::GET, path).header("x-ncore-revision", "{}").body(Body::empty());
        rig.site.send(bad).await.problem(400, "invalid_header");
    }
    // Of the node that does not answer it is told so, and the other is followed too.
    if !seen.contains("three") {
        seen += &until(&mut body, "three").await;
    }
    assert!(seen.contains("event: node\ndata: {\"heard\":false,\"node\":\"three\"}"), "{seen}");
    rig.record(&rig.other, None, "/assets/4", 404, 4).await;
    assert!(until(&mut body, "/assets/4").await.contains("\"node\":\"two\""));
    "nca_forged".clone_into(&mut rig.site.token);
    assert_eq!(rig.site.get("/api/v2/logs").await.status.as_u16(), 401);
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps() {
    let rig = Rig::new(100).await;
    let own = rig.site.client.as_str();
    let mut expected = Vec::new();
    for number in 0..7 {
        // Some at the same time, at both nodes.
        let log = if number % 2 == 0 { &rig.own } else { &rig.other };
        rig.record(log, Some(own), &format!("/assets/{number}"), 200, 1_000_000 + number / 3).await;
        expected.push(format!("/assets/{number}"));
    }
    let mut seen: Vec<String> = Vec::new();
    let mut query = "?limit=2&status=2xx".to_owned();
    loop {
        let answer = rig.site.get(&format!("/api/v2/logs{query}")).await.ok(200);
        let link = answer.headers.get("link").map(|link| link.to_str().expect("text").to_owned());
        let page = answer.json();
        seen.extend(paths(&page).into_iter().map(str::to_owned));
        assert_eq!(page["has_more"], link.is_some());
        let Some(link) = link else { break };
        let next = link.strip_prefix("</api/v2/logs").and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).expect("a link");
        assert!(next.contains("status=2xx") && next.contains(page["next_cursor"].as_str().expect("a cursor")), "{next}");
        query = next.to_owned();
    }
    seen.sort();
    assert_eq!(seen, expected, "each once");
    for other in ["?status=404&cursor=", "?cursor="] {
        let cursor = query.split("cursor=").nth(1).expect("a cursor");
        let answer = rig.site.get(&format!("/api/v2/logs{other}{cursor}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &"invalid_cursor".into()));
    }
}

#[tokio::test]
async fn a_node_that_says_nothing_is_not_waited_for_for_long() {
    let rig = Rig::new(10).await;
    let page = timeout(PATIENCE, rig.page(&format!("?prefix={HANGS}"))).await.expect("an answer");
    assert_eq!((&page["nodes"][1]["answered"], &page["nodes"][2]["answered"]), (&true.into(), &false.into()));
}

#[tokio::test]
async fn a_token_is_needed_that_may_see_figures() {
    let rig = Rig::new(10).await;
    let without = rig.site.token(&[Scope::AssetsRead]).await;
    for path in ["/api/v2/logs", "/api/v2/logs/stream"] {
        for (token, status) in [(None, 401), (Some("nonsense"), 401), (Some(without.as_str()), 403)] {
            let request = Request::builder().uri(path);
            let request = token.into_iter().fold(request, |request, token| request.header(AUTHORIZATION, format!("Bearer {token}")));
            assert_eq!(rig.site.send(request.body(Body::empty())).await.status.as_u16(), status, "{path} {token:?}");
        }
    }
}

/// What has come of a stream, until it has what is looked for or ends.
async fn until(body: &mut Body, found: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(found) {
            let Some(frame) = body.frame().await else { return };
            text.push_str(str::from_utf8(frame.expect("a frame").data_ref().expect("data")).expect("text"));
        }
    };
    timeout(PATIENCE, read).await.expect("in time");
    text
}

async fn stream(rig: &Rig, query: &str) -> Body {
    let request = rig.site.request(Method::GET, &format!("/api/v2/logs/stream{query}")).body(Body::empty()).expect("a request");
    let response = tower::ServiceExt::oneshot(rig.site.router.clone(), request).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers()["content-type"].as_bytes()), (200, b"text/event-stream".as_slice()));
    response.into_body()
}

#[tokio::test]
async fn a_stream_has_what_is_the_viewers_and_ends_with_the_token_and_with_the_node() {
    let rig = Rig::new(100).await;
    rig.site.rig.raise_schema();
    let own = rig.site.client.as_str();
    rig.record(&rig.own, Some(own), "/assets/before", 200, 1).await;
    let (mut body, mut filtered) = (stream(&rig, "").await, stream(&rig, "?status=4xx").await);
    rig.record(&rig.own, Some("cl_other"), "/assets/theirs", 200, 2).await;
    rig.record(&rig.own, Some(own), "/assets/now", 200, 3).await;
    rig.record(&rig.own, Some(own), "/assets/none", 404, 4).await;
    let seen = until(&mut body, "/assets/none").await;
    assert!(seen.starts_with("retry: 3000\n\n") && seen.contains("event: log\ndata: {\"time\""), "{seen}");
    assert!(seen.contains("/assets/now") && !seen.contains("theirs") && !seen.contains("before"), "{seen}");
    let seen = until(&mut filtered, "/assets/none").await;
    assert!(!seen.contains("/assets/now"), "{seen}");

    let revoked = rig.site.rig.domain.tokens().revoke(&rig.site.token, Some(&rig.site.client), ncore_domain::AckLevel::Committed).await;
    revoked.expect("revoked");
    rig.record(&rig.own, Some(own), "/assets/later", 200, 5).await;
    assert_eq!(until(&mut body, "never").await, "", "it has ended, and said nothing more");

    rig.stopping.cancel();
    let other = Rig::new(10).await;
    let mut body = stream(&other, "").await;
    other.stopping.cancel();
    assert_eq!(until(&mut body, "never").await, "retry: 3000\n\n");
}

#[tokio::test]
async fn who_is_too_slow_hears_so_and_is_let_go() {
    let rig = Rig::new(3).await;
    let mut body = stream(&rig, "").await;
    for at in 0..5 {
        rig.record(&rig.own, Some(rig.site.client.as_str()), "/assets/x", 200, at).await;
    }
    let seen = until(&mut body, "never").await;
    assert!(seen.ends_with("event: overtaken\ndata: {\"missed\":2,\"node\":\"one\"}\n\n"), "{seen}");
}

#[tokio::test]
async fn followers_are_bounded() {
    let rig = Rig::new(3).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(stream(&rig, "").await);
    }
    let answer = rig.site.get("/api/v2/logs/stream").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (503, &"busy".into()));
    open.pop();
    open.push(stream(&rig, "").await);
}
