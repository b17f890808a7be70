//! The bounds on what a connection may cost.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::Method;

use crate::{
    client::{Http1, Raw, tls},
    node::{Kept, Node, bytes, certify, eventually},
};

/// Longer than a busy machine keeps a client from what it does in time.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let node = Node::start_with(|settings| settings.head_deadline = SOON);
    for begun in ["", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut raw = Raw::connect(node.http).await;
        raw.write(begun).await;
        raw.read_to_end().await;
    }
    // Nor is the next request of a connection that had one.
    let mut raw = Raw::connect(node.http).await;
    raw.write("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(raw.read_to_end().await.contains("two"));
}

#[tokio::test]
async fn heads_are_bounded() {
    let node = Node::start();
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    for request in [long, many] {
        let mut raw = Raw::connect(node.http).await;
        raw.write(&request).await;
        assert!(raw.read_to_end().await.starts_with("HTTP/1.1 431"));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let node = Node::start_with(|settings| settings.stall_window = SOON);
    let mut raw = Raw::connect(node.http).await;
    raw.write("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    let answer = raw.read_until("came for").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// The reader takes nothing of an asset that no kernel buffers.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let node = Node::start_with(|settings| settings.stall_window = SOON);
    let slice = bytes(1 << 20);
    node.world.put_sized("a", &slice, 1 << 30, Kept::Repeated);
    let mut raw = Raw::connect(node.http).await;
    raw.write("GET /assets/a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let metrics = Arc::clone(&node.metrics);
    eventually("cut off", || {
        metrics.connections_stalled.load(Ordering::Relaxed) == 1 && metrics.connections_active.load(Ordering::Relaxed) == 0
    })
    .await;
    assert_eq!(metrics.responses_abandoned.load(Ordering::Relaxed), 1);
    assert!(metrics.bytes_out.load(Ordering::Relaxed) < 1 << 27);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let node = Node::start_with(|settings| settings.handshake_deadline = SOON);
    let mut silent = Raw::connect(node.https).await;
    silent.read_to_end().await;
    let mut plain = Raw::connect(node.https).await;
    plain.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    plain.0.readable().await.expect("answered");
    let failed = &node.metrics.handshakes_failed;
    eventually("counted", || failed.load(Ordering::Relaxed) == 2).await;
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_their_turn() {
    let node = Node::start_with(|settings| settings.connections_max = 2);
    let mut first = Http1::connect(node.http).await;
    first.get("/stream", &[]).await;
    let mut second = Http1::connect(node.http).await;
    second.get("/stream", &[]).await;

    let mut third = Http1::connect(node.http).await;
    let waiting = tokio::spawn(async move { third.get("/stream", &[]).await });
    let accepted = &node.metrics.connections_accepted;
    assert_eq!(accepted.load(Ordering::Relaxed), 2);
    drop(first);
    assert_eq!(waiting.await.expect("no panic").body, "one two");
    assert_eq!(accepted.load(Ordering::Relaxed), 3);
    assert!(second.get("/stream", &[]).await.whole);
}

#[tokio::test]
async fn connections_beyond_the_cap_are_refused_in_the_end() {
    let node = Node::start_with(|settings| {
        settings.connections_max = 1;
        settings.admission_deadline = SOON;
    });
    let mut first = Http1::connect(node.http).await;
    first.get("/stream", &[]).await;
    let mut second = Raw::connect(node.http).await;
    assert_eq!(second.read_to_end().await, "");
    let refused = &node.metrics.connections_refused;
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    assert!(first.get("/stream", &[]).await.whole);
}

#[tokio::test]
async fn tls_with_http1() {
    let node = Node::start();
    let content = bytes(3 << 20);
    node.world.put("a", &content, Kept::Disk);
    let mut client = Http1::connect_tls(node.https, &node.certificate).await;
    assert!(client.get("/assets/a", &[]).await.body == content);
    let echo = client.ask(Method::GET, "/echo", &[]).await;
    assert!(echo.body.ends_with(b"true 127.0.0.1"));
}

#[tokio::test]
async fn a_certificate_is_replaced_while_connections_stay() {
    let node = Node::start();
    let mut before = Http1::connect_tls(node.https, &node.certificate).await;
    before.get("/stream", &[]).await;
    let (certificate, key) = certify();
    let chain = vec![certificate.clone()];
    node.identity.replace(chain, key).expect("usable");
    let after = tls(node.https, &certificate, b"http/1.1").await;
    let shown = after.get_ref().1.peer_certificates().expect("a chain");
    assert_eq!(shown, [certificate]);
    assert!(before.get("/stream", &[]).await.whole);

    let (certificate, _) = certify();
    let (_, key_of_another) = certify();
    let mismatch = node.identity.replace(vec![certificate], key_of_another);
    mismatch.expect_err("a key of another certificate");
}
