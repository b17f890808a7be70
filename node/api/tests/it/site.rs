//! A node to send requests to, and what comes back.

use std::sync::Arc;

use axum::{Router, body::Body};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, StatusCode, header::AUTHORIZATION, request::Builder};
use http_body_util::BodyExt;
use ncore_api::{ApiParts, router};
use ncore_control::ControlPlane;
use ncore_domain::{
    ExplainError, ExplainNodes, Explains, FoundLog, LogNode, LogParts, LogPeerError, LogPeers, Logs, SinceLog, ZoneQuestion,
};
use ncore_limits::{BoxError, LimitSettings, Limiter, LimiterParts, Nodes};
use ncore_model::{ClientId, NodeId, Query, Scope};
use ncore_telemetry::{AccessLog, AccessQuery};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::rig::{Plan, Rig};

pub(crate) struct Site {
    pub(crate) rig: Rig,
    pub(crate) router: Router,
    pub(crate) client: ClientId,
    /// A token of `client` with every scope.
    pub(crate) token: String,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let rig = Rig::with(plan);
        let router = router(parts(&rig, LimitSettings::default()));
        let client = rig.bare_client();
        let token = token_of(&rig, &client, &rig.scopes()).await;
        Self { rig, router, client, token }
    }

    pub(crate) async fn token(&self, scopes: &[Scope]) -> String {
        token_of(&self.rig, &self.client, scopes).await
    }

    /// Another client, and a token of it.
    pub(crate) async fn another_client(&self) -> String {
        token_of(&self.rig, &self.rig.bare_client(), &self.rig.scopes()).await
    }

    /// A client that came when the cluster was at its highest level, in place of the first.
    pub(crate) async fn at_the_highest_level() -> Self {
        let mut site = Self::new().await;
        site.rig.raise_schema();
        site.client = site.rig.bare_client();
        site.token = token_of(&site.rig, &site.client, &Scope::ALL).await;
        site
    }

    /// A request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> Builder {
        Request::builder().method(method).uri(path).header(AUTHORIZATION, format!("Bearer {}", self.token))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty())).await
    }

    pub(crate) async fn send(&self, request: http::Result<Request<Body>>) -> Answer {
        let response = self.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: head.status, headers: head.headers, body: body.to_vec() }
    }

    /// Uploads to a path, with further headers.
    pub(crate) async fn put(&self, path: &str, content: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.send(self.upload(&[text("path", path), file("name.bin", content)], headers)).await
    }

    /// The request of an upload with these parts.
    pub(crate) fn upload(&self, parts: &[Vec<u8>], headers: &[(&str, &str)]) -> http::Result<Request<Body>> {
        let body = form(parts);
        let request = self.request(Method::POST, "/api/v2/assets/upload").header("content-type", MULTIPART);
        let request = request.header("content-length", body.len());
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::from(body))
    }

    /// A request with a JSON body.
    pub(crate) fn json(&self, method: Method, path: &str, body: &Value, headers: &[(&str, &str)]) -> http::Result<Request<Body>> {
        let request = self.request(method, path).header("content-type", "application/json");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::from(body.to_string()))
    }

    /// How many assets there are.
    pub(crate) fn assets(&self) -> usize {
        self.rig.plane.replica().versions_from(0, 1_000).expect("versions").len()
    }
}

/// What the API of a node alone stands on, with these limits.
pub(crate) fn parts(rig: &Rig, settings: LimitSettings) -> ApiParts {
    let limits = LimiterParts { own: NodeId(1), incarnation: 1, settings, nodes: Arc::new(Alone), metrics: Arc::default() };
    let (limiter, explains) = (Limiter::new(limits), Arc::new(Explains::new(Arc::new(Explaining))));
    ApiParts { domain: Arc::clone(&rig.domain), usage: Arc::default(), limiter, logs: no_logs(), explains }
}

/// Two nodes, of which the first says what it is asked, and the second nothing.
struct Explaining;

impl ExplainNodes for Explaining {
    fn nodes(&self) -> Vec<LogNode> {
        [(1, "one"), (2, "two")].map(|(id, name)| LogNode { id: NodeId(id), name: name.into() }).into()
    }

    fn own(&self) -> NodeId {
        NodeId(1)
    }

    fn ask<'a>(&'a self, node: NodeId, question: &'a ZoneQuestion) -> BoxFuture<'a, Result<Value, ExplainError>> {
        let fields: Vec<_> = question.fields.iter().map(|(name, _)| name).collect();
        let said = json!({ "host": question.host, "target": question.target, "fields": fields });
        Box::pin(async move { if node == NodeId(1) { Ok(said) } else { Err(ExplainError::Away("a secret address".into())) } })
    }
}

struct Alone;

impl Nodes for Alone {
    fn members(&self) -> Result<Vec<NodeId>, BoxError> {
        Ok(vec![NodeId(1)])
    }

    fn channel(&self, node: NodeId) -> Result<tonic::transport::Channel, BoxError> {
        Err(format!("there is no {node}").into())
    }
}

/// A log that nothing is recorded in, of a node that has no others. Who follows it is at the end at once.
pub(crate) fn no_logs() -> Arc<Logs> {
    struct Alone;

    impl LogPeers for Alone {
        fn others(&self) -> Vec<LogNode> {
            Vec::new()
        }

        fn find<'a>(&'a self, node: NodeId, _query: &'a AccessQuery, _max: usize) -> BoxFuture<'a, Result<FoundLog, LogPeerError>> {
            Box::pin(async move { Err(LogPeerError { node, source: "there is none".into() }) })
        }

        fn since<'a>(
            &'a self,
            node: NodeId,
            _after: Option<u64>,
            _query: &'a AccessQuery,
        ) -> BoxFuture<'a, Result<SinceLog, LogPeerError>> {
            Box::pin(async move { Err(LogPeerError { node, source: "there is none".into() }) })
        }
    }

    let stopping = CancellationToken::new();
    stopping.cancel();
    let node = LogNode { id: NodeId(1), name: "one".into() };
    Arc::new(Logs::new(LogParts { node, log: Arc::new(AccessLog::new(0)), peers: Arc::new(Alone), stopping }))
}

async fn token_of(rig: &Rig, client: &ClientId, scopes: &[Scope]) -> String {
    let client = rig.plane.replica().client(client).expect("a state").expect("a client");
    rig.domain.tokens().issue(&client, Some(scopes)).await.expect("a token").token
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        assert!(!self.header("x-request-id").is_empty());
        assert!(self.header("x-ncore-revision").starts_with("1."), "{self:?}");
        self
    }

    /// The answer, which must be this problem, complete in all its parts.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.ok(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let document = answer.json();
        assert_eq!(document["code"], code, "{document}");
        assert_eq!(document["status"], status);
        assert_eq!(document["type"], format!("urn:ncore:problem:{code}"));
        assert_eq!(document["request_id"], answer.header("x-request-id"));
        assert_eq!(document["detail"], document["message"]);
        for member in ["title", "detail", "instance"] {
            assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {document}");
        }
        assert_eq!(answer.header("retry-after").is_empty(), status != 503, "{answer:?}");
        answer
    }
}

pub(crate) const MULTIPART: &str = "multipart/form-data; boundary=XBOUNDARYX";

/// A form of these parts.
pub(crate) fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(b"--XBOUNDARYX\r\n");
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XBOUNDARYX--\r\n");
    body
}

pub(crate) fn text(name: &str, value: &str) -> Vec<u8> {
    format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}").into_bytes()
}

pub(crate) fn file(name: &str, content: &[u8]) -> Vec<u8> {
    let head =
        format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n");
    [head.as_bytes(), content].concat()
}
