//! HTTP/3.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use ncore_serving::{Drained, Http3Settings, ListenerSettings};
use quinn::{ConnectionError, VarInt};
use tokio::time::timeout;

use crate::{
    client::{Http1, Http2, Http3, answer, quic},
    node::{Kept, Node, PATIENCE, bytes, eventually},
};

const LARGE: usize = (2 << 20) + 77_777;
const SOON: Duration = Duration::from_secs(1);

fn http3(settings: &mut ListenerSettings) -> &mut Http3Settings {
    settings.http3.as_mut().expect("on")
}

#[tokio::test]
async fn assets_on_concurrent_streams() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::Disk);
    let client = Http3::connect(node.https, &node.certificate).await;
    let streams = (0..100).map(|index| {
        let (mut client, content) = (client.clone(), content.clone());
        tokio::spawn(async move {
            let range = format!("bytes={}-", content.len() - 20_000 - index);
            let answer = client.ask(Method::GET, "/assets/a", &[("range", &range)]).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
            assert!(answer.whole && answer.body == content[content.len() - 20_000 - index..]);
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.expect("served");
    }
    let mut client = client;
    let whole = client.ask(Method::GET, "/assets/a", &[]).await;
    assert!(whole.whole && whole.body == content);
    assert_eq!(node.metrics.http3_accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn heads_problems_and_the_api() {
    let node = Node::start();
    let content = bytes(1_000);
    node.world.put("a", &content, Kept::Memory);
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let whole = client.ask(Method::GET, "/assets/a", &[]).await;
    assert_eq!(whole.body, content);
    assert_eq!(whole.header("content-length"), "1000");
    assert!(!whole.header("date").is_empty() && whole.header("server") == "ncore");
    let head = client.ask(Method::HEAD, "/assets/a", &[]).await;
    assert_eq!(head.header("content-length"), "1000");
    assert!(head.whole && head.body.is_empty());
    let missing = client.ask(Method::HEAD, "/assets/b", &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.is_empty());
    let unchanged = client.ask(Method::GET, "/assets/a", &[("if-none-match", "*")]).await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    assert!(unchanged.whole && unchanged.body.is_empty());
    let echo = client.ask(Method::GET, "/echo", &[]).await;
    assert!(echo.body.ends_with(b"true 127.0.0.1"));
    let panicked = client.ask(Method::GET, "/panic", &[]).await;
    assert_eq!(panicked.problem()["code"], "panicked");
    assert_eq!(client.ask(Method::GET, "/stream", &[]).await.body, "one two");
}

#[tokio::test]
async fn it_is_told_over_tls_and_nowhere_else() {
    let node = Node::start();
    let expected = format!("h3=\":{}\"; ma=86400", node.https.port());
    let mut over_tls = Http1::connect_tls(node.https, &node.certificate).await;
    assert_eq!(over_tls.get("/stream", &[]).await.header("alt-svc"), expected);
    let mut http2 = Http2::connect(node.https, &node.certificate).await;
    assert_eq!(http2.ask(Method::GET, "/stream", &[]).await.header("alt-svc"), expected);
    assert_eq!(Http1::connect(node.http).await.get("/stream", &[]).await.header("alt-svc"), "");
    let mut client = Http3::connect(node.https, &node.certificate).await;
    assert_eq!(client.ask(Method::GET, "/stream", &[]).await.header("alt-svc"), "");
    let off = Node::start_with(|settings| settings.http3 = None);
    let mut over_tls = Http1::connect_tls(off.https, &off.certificate).await;
    assert_eq!(over_tls.get("/stream", &[]).await.header("alt-svc"), "");
}

#[tokio::test]
async fn bodies_of_requests() {
    let node = Node::start();
    let mut client = Http3::connect(node.https, &node.certificate).await;
    for length in [None, Some("3000000")] {
        let fields: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
        let mut stream = client.begin(Method::POST, "/x", &fields).await;
        for _ in 0..30 {
            stream.send_data(Bytes::from(vec![7; 100_000])).await.expect("sent");
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-after", http::HeaderValue::from_static("all"));
        stream.send_trailers(trailers).await.expect("sent");
        stream.finish().await.expect("sent");
        assert_eq!(answer(&mut stream).await.body, "3000000 bytes");
    }
    assert_eq!(client.ask(Method::POST, "/x", &[]).await.body, "0 bytes");
    // A body that is not as long as it is said to be.
    for said in ["2", "4"] {
        let mut stream = client.begin(Method::POST, "/x", &[("content-length", said)]).await;
        stream.send_data(Bytes::from_static(b"abc")).await.expect("sent");
        stream.finish().await.expect("sent");
        assert_eq!(answer(&mut stream).await.status, StatusCode::BAD_REQUEST, "{said}");
    }
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
}

#[tokio::test]
async fn fields_about_connections_are_malformed() {
    let node = Node::start();
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let mut stream = client.begin(Method::GET, "/stream", &[("transfer-encoding", "chunked")]).await;
    let refused = timeout(PATIENCE, stream.recv_response()).await.expect("in time");
    refused.expect_err("malformed");
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
}

/// What is collected before it is understood has a bound, however large a client says that it is.
#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let node = Node::start();
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    // HEADERS, and a frame of a type that nobody knows.
    for kind in [0x01, 0x21] {
        let (mut send, _receive) = connection.open_bi().await.expect("opened");
        send.write_all(&[kind, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]).await.expect("written");
        let mut sent = 0;
        let stopped = async {
            while send.write_all(&[0; 10_000]).await.is_ok() {
                sent += 10_000;
            }
        };
        timeout(PATIENCE, stopped).await.expect("stopped");
        assert!(sent < 4 << 20, "{sent} bytes");
    }
}

#[tokio::test]
async fn a_body_that_cannot_go_on_resets_its_stream() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::LostFrom(1));
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let answer = client.ask(Method::GET, "/assets/a", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.whole);
    assert!(content.starts_with(&answer.body));
    assert!(!client.ask(Method::GET, "/broken", &[]).await.whole);
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
}

/// A stream whose client takes nothing is reset; the connection, on which others move, is not.
#[tokio::test]
async fn a_stream_that_stands_still_is_reset() {
    let node = Node::start_with(|settings| {
        settings.stall_window = SOON;
        http3(settings).send_window_bytes = 256 << 10;
    });
    let slice = bytes(1 << 20);
    node.world.put_sized("a", &slice, 1 << 30, Kept::Repeated);
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let mut unread = client.begin(Method::GET, "/assets/a", &[]).await;
    unread.finish().await.expect("sent");
    let stalled = Arc::clone(&node.metrics);
    eventually("reset", || stalled.connections_stalled.load(Ordering::Relaxed) == 1).await;
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
    let abandoned = &node.metrics.responses_abandoned;
    eventually("counted", || abandoned.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn what_does_not_come_is_not_waited_for() {
    let node = Node::start_with(|settings| {
        settings.stall_window = SOON;
        settings.head_deadline = SOON;
    });
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let mut body = client.begin(Method::POST, "/x", &[("content-length", "10")]).await;
    body.send_data(Bytes::from_static(b"abc")).await.expect("sent");
    assert_eq!(answer(&mut body).await.status, StatusCode::REQUEST_TIMEOUT);
    // A GET has no body only once it has ended.
    let mut endless = client.begin(Method::GET, "/stream", &[]).await;
    timeout(PATIENCE, endless.recv_response()).await.expect("in time").expect_err("reset");
    let (mut head, mut nothing) = client.connection.open_bi().await.expect("opened");
    head.write_all(&[0x01]).await.expect("written");
    timeout(PATIENCE, nothing.read_to_end(10)).await.expect("in time").expect_err("reset");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let node = Node::start_with(|settings| http3(settings).idle_max = SOON);
    let mut client = Http3::connect(node.https, &node.certificate).await;
    client.ask(Method::GET, "/stream", &[]).await;
    timeout(PATIENCE, client.connection.closed()).await.expect("closed");
    let active = &node.metrics.connections_active;
    eventually("gone", || active.load(Ordering::Relaxed) == 0).await;
}

/// CVE-2023-44487: requests that are taken back at once.
#[tokio::test]
async fn a_client_that_gives_up_all_the_time_is_cut_off() {
    let node = Node::start_with(|settings| http3(settings).resets_max = 50);
    node.world.put("a", &bytes(LARGE), Kept::GatedFrom(0));
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let given_up = async { while client.give_up("/assets/a").await {} };
    timeout(PATIENCE, given_up).await.expect("cut off");
    let resetting = &node.metrics.connections_resetting;
    eventually("counted", || resetting.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let node = Node::start_with(|settings| settings.connections_per_address = 1);
    let mut client = Http3::connect(node.https, &node.certificate).await;
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
    let (_endpoint, second) = quic(node.https, &node.certificate).await;
    let closed = timeout(PATIENCE, second.closed()).await.expect("closed");
    assert!(matches!(&closed, ConnectionError::ApplicationClosed(reason) if reason.error_code == VarInt::from_u32(0x107)), "{closed}");
    assert_eq!(node.metrics.connections_refused_address.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_address_is_proven_under_load() {
    let node = Node::start_with(|settings| http3(settings).unproven_max = 0);
    let mut client = Http3::connect(node.https, &node.certificate).await;
    assert!(client.ask(Method::GET, "/stream", &[]).await.whole);
    assert_eq!(node.metrics.http3_retries.load(Ordering::Relaxed), 1);
}

/// Requests under way finish, whatever their length; then the connection closes, and no other is begun.
#[tokio::test]
async fn what_is_under_way_finishes() {
    let mut node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::GatedFrom(1));
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let idle = Http3::connect(node.https, &node.certificate).await;
    let mut stream = client.begin(Method::GET, "/assets/a", &[]).await;
    stream.finish().await.expect("sent");
    let busy = Arc::clone(&node.world);
    eventually("under way", || busy.loads() >= 1).await;
    node.shutdown.cancel();
    timeout(PATIENCE, idle.connection.closed()).await.expect("closed");
    node.world.open_gate();
    let answer = answer(&mut stream).await;
    assert!(answer.whole && answer.body == content);
    let closed = timeout(PATIENCE, client.connection.closed()).await.expect("closed");
    assert!(matches!(&closed, ConnectionError::ApplicationClosed(reason) if reason.error_code == VarInt::from_u32(0x100)), "{closed}");
    assert_eq!(node.ended().await, Drained { cut_off: 0 });
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off() {
    let mut node = Node::start_with(|settings| settings.drain_deadline = Duration::from_millis(50));
    node.world.put("a", &bytes(LARGE), Kept::GatedFrom(1));
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let mut stream = client.begin(Method::GET, "/assets/a", &[]).await;
    stream.finish().await.expect("sent");
    assert_eq!(stream.recv_response().await.expect("a head").status(), StatusCode::OK);
    node.shutdown.cancel();
    assert_eq!(node.ended().await, Drained { cut_off: 1 });
    timeout(PATIENCE, client.connection.closed()).await.expect("closed");
}
