//! Connections that a balancer passes on, and the bound on those of one address.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{
    client::{Http1, Raw},
    node::{Node, eventually},
};

fn behind_a_balancer() -> Node {
    Node::start_with(|settings| settings.proxies = vec!["127.0.0.0/8".parse().expect("a network")])
}

#[tokio::test]
async fn the_address_in_the_header_is_the_viewers() {
    let node = behind_a_balancer();
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x01\x02\x03\x04\x10\x20\x01\xbb";
    let headers = [
        (&b"PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n"[..], "192.0.2.7"),
        (&v2[..], "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ];
    for (header, viewer) in headers {
        let mut raw = Raw::connect(node.http).await;
        raw.write_bytes(header).await;
        raw.write("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let answer = raw.read_to_end().await;
        assert!(answer.ends_with(&format!("false {viewer}")), "{answer}");
    }
}

#[tokio::test]
async fn a_balancer_that_says_nothing_gets_nothing() {
    let node = behind_a_balancer();
    for begun in ["GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 1.2.3.4\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut raw = Raw::connect(node.http).await;
        raw.write(begun).await;
        assert_eq!(raw.read_to_end().await, "");
    }
    assert_eq!(node.metrics.proxy_headers_failed.load(Ordering::Relaxed), 2);
    let late = Node::start_with(|settings| {
        settings.proxies = vec!["127.0.0.1/32".parse().expect("a network")];
        settings.handshake_deadline = Duration::from_millis(200);
    });
    let mut raw = Raw::connect(late.http).await;
    raw.write("PROXY TCP4 ").await;
    assert_eq!(raw.read_to_end().await, "");
}

/// Whoever is not named as a balancer cannot pass for anybody.
#[tokio::test]
async fn a_header_from_anybody_else_is_no_request() {
    let node = Node::start_with(|settings| settings.proxies = vec!["192.0.2.0/24".parse().expect("a network")]);
    let mut raw = Raw::connect(node.http).await;
    raw.write("PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(raw.read_to_end().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let node = Node::start_with(|settings| settings.connections_per_address = 2);
    let mut held = [Http1::connect(node.http).await, Http1::connect(node.http).await];
    for client in &mut held {
        assert!(client.get("/stream", &[]).await.whole);
    }
    let mut third = Raw::connect(node.http).await;
    assert_eq!(third.read_to_end().await, "");
    assert_eq!(node.metrics.connections_refused_address.load(Ordering::Relaxed), 1);
    drop(held);
    let active = &node.metrics.connections_active;
    eventually("gone", || active.load(Ordering::Relaxed) == 0).await;
    assert!(Http1::connect(node.http).await.get("/stream", &[]).await.whole);
}

/// Behind a balancer it is the viewers that are counted.
#[tokio::test]
async fn viewers_behind_a_balancer_count_each_for_itself() {
    let node = Node::start_with(|settings| {
        settings.proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.connections_per_address = 1;
    });
    let mut held = Vec::new();
    for (viewer, admitted) in [("192.0.2.1", true), ("192.0.2.2", true), ("192.0.2.1", false)] {
        let mut raw = Raw::connect(node.http).await;
        raw.write(&format!("PROXY TCP4 {viewer} 198.51.100.2 1 443\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        if admitted {
            raw.read_until("two").await;
            held.push(raw);
        } else {
            assert_eq!(raw.read_to_end().await, "");
        }
    }
}
