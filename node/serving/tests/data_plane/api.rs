//! Requests that are not for assets, and what is true of every response.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use ncore_serving::Outcome;

use crate::{
    client::{Http1, Raw},
    node::Node,
};

#[tokio::test]
async fn the_api_gets_what_is_no_asset() {
    let node = Node::start();
    let mut client = Http1::connect(node.http).await;
    let id = ("x-request-id", "given.id_1");
    let echo = client.get("/echo", &[id]).await;
    assert_eq!(echo.body, "given.id_1 false 127.0.0.1");
    assert_eq!(echo.header("x-request-id"), "given.id_1");
    assert_eq!(echo.header("server"), "ncore");
    let stream = client.get("/stream", &[]).await;
    assert!(stream.whole);
    assert_eq!(stream.body, "one two");
    for path in ["/", "/assets", "/assetsx/a", "/api/v2/assets/a"] {
        let answer = client.ask(Method::DELETE, path, &[]).await;
        assert_eq!(answer.body, "0 bytes", "{path}");
    }
    assert_eq!(node.metrics.requests(Outcome::Api), 6);
    assert_eq!(node.metrics.bytes_out.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn request_ids_are_made_where_none_is_given() {
    let node = Node::start();
    let mut client = Http1::connect(node.http).await;
    let first = client.get("/echo", &[]).await;
    let insane = client.get("/echo", &[("x-request-id", "no spaces")]).await;
    let ids = [first, insane].map(|answer| {
        let id = answer.header("x-request-id").to_owned();
        assert!(answer.body.starts_with(id.as_bytes()));
        assert_eq!(id.len(), 36);
        id
    });
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let node = Node::start();
    let mut client = Http1::connect(node.http).await;
    let answer = client.get("/panic", &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let problem = answer.problem();
    assert_eq!(problem["code"], "panicked");
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    // The connection goes on.
    assert_eq!(client.get("/stream", &[]).await.body, "one two");
    assert_eq!(node.metrics.requests(Outcome::Panicked), 1);
    assert_eq!(node.metrics.connections_accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_body_of_the_api_that_breaks_off_breaks_the_connection() {
    let node = Node::start();
    let mut raw = Raw::connect(node.http).await;
    raw.write("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // Without the chunk that would say that it is all.
    assert!(!raw.read_to_end().await.contains("0\r\n\r\n"));
}

/// RFC 9112 §3.2.
#[tokio::test]
async fn host_is_required_once() {
    let node = Node::start();
    let cases = [
        ("GET /echo HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        ("GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400"),
        ("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"),
        ("GET /echo HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
    ];
    for (request, expected) in cases {
        let mut raw = Raw::connect(node.http).await;
        raw.write(request).await;
        let answer = raw.read_until("\r\n\r\n").await;
        assert!(answer.starts_with(expected), "{request}: {answer}");
        assert!(answer.contains("x-request-id: "));
    }
}
