//! HTTP/2 over TLS.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use h2::Reason;
use http::{Method, Request, StatusCode, Version};
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    client::{Http2, tls},
    node::{Kept, Node, PATIENCE, bytes, eventually},
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

/// CVE-2023-44487: requests that are taken back as soon as the node works on them.
#[tokio::test]
async fn a_client_that_gives_up_all_the_time_is_cut_off() {
    let node = Node::start_with(|settings| settings.http2.resets_max = 50);
    node.world.put("a", &bytes(LARGE), Kept::GatedFrom(0));
    let (client, connection) = h2::client::handshake(tls(node.https, &node.certificate, b"h2").await).await.expect("begun");
    tokio::spawn(connection);
    let given_up = async {
        for number in 1.. {
            let Ok(mut client) = client.clone().ready().await else { return number };
            let request = Request::get("https://localhost/assets/a").body(()).expect("a request");
            let Ok((_response, mut stream)) = client.send_request(request, true) else { return number };
            let resetting = &node.metrics.connections_resetting;
            eventually("worked on", || node.world.loads() >= number || resetting.load(Ordering::Relaxed) > 0).await;
            stream.send_reset(Reason::CANCEL);
        }
        0
    };
    let requests = timeout(PATIENCE, given_up).await.expect("cut off");
    assert!(requests > 50, "{requests} requests");
    assert_eq!(node.metrics.connections_resetting.load(Ordering::Relaxed), 1);
}

/// CVE-2024-27316: a head that goes on and on.
#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let node = Node::start();
    let mut stream = tls(node.https, &node.certificate, b"h2").await;
    let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, id], payload].concat()
    };
    let fields = b"\x00\x01a\x01b".repeat(3_000);
    let begun = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b""), &frame(1, 1, 1, &fields)].concat();
    stream.write_all(&begun).await.expect("written");
    let goes_on = async {
        let mut sent = 0;
        while stream.write_all(&frame(9, 0, 1, &fields)).await.is_ok() && stream.flush().await.is_ok() {
            sent += fields.len();
        }
        sent
    };
    let sent = timeout(PATIENCE, goes_on).await.expect("cut off");
    assert!(sent < 32 << 20, "{sent} bytes");
    let active = &node.metrics.connections_active;
    eventually("closed", || active.load(Ordering::Relaxed) == 0).await;
}
