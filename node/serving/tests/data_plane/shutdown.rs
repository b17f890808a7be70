//! How serving ends.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use ncore_serving::Drained;
use tokio::net::TcpStream;

use crate::{
    client::{Http1, Http2, Raw},
    node::{Kept, Node, bytes, eventually},
};

const LARGE: usize = (2 << 20) + 77_777;

/// Requests under way finish, on either protocol; idle connections close; new ones are refused.
#[tokio::test]
async fn what_is_under_way_finishes() {
    let mut node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::GatedFrom(1));
    let mut idle = Raw::connect(node.http).await;
    idle.write("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await;
    idle.read_until("two").await;
    let mut unused = Raw::connect(node.http).await;
    let mut http1 = Http1::connect(node.http).await;
    let mut http2 = Http2::connect(node.https, &node.certificate).await;
    let under_way = [http1.send(Method::GET, "/assets/a", &[]).await, http2.send(Method::GET, "/assets/a", &[]).await];

    node.shutdown.cancel();
    // Connections without a request end before their deadlines.
    idle.read_to_end().await;
    unused.read_to_end().await;
    let addr = node.http;
    let refused = async || TcpStream::connect(addr).await.is_err();
    while !refused().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    node.world.open_gate();
    for response in under_way {
        let body = response.into_body().collect().await.expect("all of it");
        assert!(body.to_bytes() == content);
    }
    assert_eq!(node.ended().await, Drained { cut_off: 0 });
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off() {
    let mut node = Node::start_with(|settings| settings.drain_deadline = Duration::from_millis(50));
    node.world.put("a", &bytes(LARGE), Kept::GatedFrom(1));
    let mut client = Http1::connect(node.http).await;
    let response = client.send(Method::GET, "/assets/a", &[]).await;
    node.shutdown.cancel();
    assert_eq!(node.ended().await, Drained { cut_off: 1 });
    assert!(response.into_body().collect().await.is_err());
    let active = &node.metrics.connections_active;
    eventually("closed", || active.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
}
