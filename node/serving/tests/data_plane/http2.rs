//! HTTP/2 over TLS.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{Method, StatusCode, Version};

use crate::{
    client::Http2,
    node::{Kept, Node, bytes, eventually},
};

const LARGE: usize = (2 << 20) + 77_777;

#[tokio::test]
async fn assets_on_concurrent_streams() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::Disk);
    let client = Http2::connect(node.https, &node.certificate).await;
    let streams = (0..8).map(|index| {
        let (mut client, content) = (client.clone(), content.clone());
        tokio::spawn(async move {
            let range = format!("bytes={index}-");
            let answer = client.ask(Method::GET, "/assets/a", &[("range", &range)]).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
            assert!(answer.whole && answer.body == content[index..]);
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.expect("served");
    }
    assert_eq!(node.metrics.connections_accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn heads_problems_and_the_api() {
    let node = Node::start();
    let content = bytes(1_000);
    node.world.put("a", &content, Kept::Memory);
    let mut client = Http2::connect(node.https, &node.certificate).await;
    let whole = client.ask(Method::GET, "/assets/a", &[]).await;
    assert_eq!(whole.body, content);
    assert_eq!(whole.header("content-length"), "1000");
    let head = client.ask(Method::HEAD, "/assets/a", &[]).await;
    assert_eq!(head.header("content-length"), "1000");
    assert!(head.body.is_empty());
    let missing = client.ask(Method::HEAD, "/assets/b", &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.is_empty());
    let unchanged = [("if-none-match", "*")];
    let unchanged = client.ask(Method::GET, "/assets/a", &unchanged).await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    let echo = client.send(Method::GET, "/echo", &[]).await;
    assert_eq!(echo.version(), Version::HTTP_2);
    assert_eq!(echo.headers()["server"], "ncore");
    let panicked = client.ask(Method::GET, "/panic", &[]).await;
    assert_eq!(panicked.problem()["code"], "panicked");
    assert_eq!(client.ask(Method::GET, "/stream", &[]).await.body, "one two");
}

/// A lost slice resets its stream and no other.
#[tokio::test]
async fn a_body_that_cannot_go_on_resets_its_stream() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::LostFrom(1));
    let mut client = Http2::connect(node.https, &node.certificate).await;
    let answer = client.ask(Method::GET, "/assets/a", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.whole);
    assert!(answer.body.len() <= 1 << 20);
    assert!(content.starts_with(&answer.body));
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
}

/// A stream whose client takes nothing is reset; the connection, on which others move, is not.
#[tokio::test]
async fn a_stream_that_stands_still_is_reset() {
    let node = Node::start_with(|settings| settings.stall_window = Duration::from_secs(1));
    let slice = bytes(1 << 20);
    node.world.put_sized("a", &slice, 1 << 30, Kept::Repeated);
    let mut client = Http2::connect(node.https, &node.certificate).await;
    let unread = client.send(Method::GET, "/assets/a", &[]).await;
    let stalled = Arc::clone(&node.metrics);
    eventually("reset", || stalled.connections_stalled.load(Ordering::Relaxed) == 1).await;
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
    drop(unread);
    let abandoned = Arc::clone(&node.metrics);
    eventually("counted", || abandoned.responses_abandoned.load(Ordering::Relaxed) == 1).await;
}

/// Waiting for this node's own disk is not the client's stall.
#[tokio::test]
async fn a_stream_that_waits_for_the_node_is_not_reset() {
    let window = Duration::from_millis(500);
    let node = Node::start_with(|settings| settings.stall_window = window);
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::GatedFrom(1));
    let mut client = Http2::connect(node.https, &node.certificate).await;
    let world = Arc::clone(&node.world);
    let opens = tokio::spawn(async move {
        // Several windows pass while the slice is not there.
        tokio::time::sleep(3 * window).await;
        world.open_gate();
    });
    let answer = client.ask(Method::GET, "/assets/a", &[]).await;
    assert!(answer.whole && answer.body == content);
    opens.await.expect("opened");
}

#[tokio::test]
async fn a_connection_without_streams_is_closed() {
    let idle = Duration::from_secs(1);
    let node = Node::start_with(|settings| settings.http2.idle_max = idle);
    let mut client = Http2::connect(node.https, &node.certificate).await;
    client.ask(Method::GET, "/stream", &[]).await;
    eventually("closed", || client.is_closed()).await;
    let active = &node.metrics.connections_active;
    eventually("gone", || active.load(Ordering::Relaxed) == 0).await;
}
