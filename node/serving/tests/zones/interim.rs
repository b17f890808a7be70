//! Interim responses of an origin: on to the viewer for whom it was asked, as they come, and kept for nobody.

use std::{future::poll_fn, net::SocketAddr};

use http::{Request, StatusCode};
use ncore_origin::SetSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    secure,
    site::{PATIENCE, Site},
};

const ANSWER: &str = "HTTP/1.1 100 Continue\r\n\r\n\
    HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n\
    HTTP/1.1 102 Processing\r\n\r\n\
    HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";

/// What a viewer of the site gets before the final response: nothing, or both that are for viewers.
const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";

/// An origin that answers every request with [`ANSWER`].
async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while socket.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        socket.write_all(ANSWER.as_bytes()).await.expect("the node reads");
                    }
                }
            });
        }
    });
    addr
}

async fn get(site: &Site, version: &str, method: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(site.addr).await.expect("connected");
    let request = format!("{method} {path} {version}\r\nHost: zone.test\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("in time").expect("text");
    answer
}

#[tokio::test]
async fn they_go_to_who_asked_and_are_not_kept() {
    let addr = origin().await;
    let set = |_: &_| SetSettings::of(format!("http://{addr}").parse().expect("an address"));
    let site = Site::start_before(set, None, |_| {}).await;
    let first = get(&site, "HTTP/1.1", "GET", "/a").await;
    assert!(first.starts_with(&format!("{EARLY}HTTP/1.1 200 OK\r\n")), "{first}");
    assert!(first.contains("x-cache: MISS") && first.ends_with("\r\n\r\nok"), "{first}");
    let second = get(&site, "HTTP/1.1", "GET", "/a").await;
    assert!(second.starts_with("HTTP/1.1 200 OK\r\n") && second.contains("x-cache: HIT") && !second.contains("preload"), "{second}");
    let written = get(&site, "HTTP/1.1", "DELETE", "/a").await;
    assert!(written.starts_with(&format!("{EARLY}HTTP/1.1 200 OK\r\n")), "{written}");
    let old = get(&site, "HTTP/1.0", "GET", "/old").await;
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n") && old.contains("x-cache: MISS"), "{old}");
}

/// Over HTTP/2 they are heads of the stream; others on the connection have none.
#[tokio::test]
async fn they_go_over_http2_as_well() {
    let addr = origin().await;
    let set = |_: &_| SetSettings::of(format!("http://{addr}").parse().expect("an address"));
    let (identity, certificate) = secure::identity("zone.test");
    let site = Site::start_before(set, Some(identity), |_| {}).await;
    let socket = secure::connect(site.https.expect("asked for"), certificate, "zone.test").await;
    let (client, connection) = h2::client::handshake(socket).await.expect("begun");
    tokio::spawn(connection);
    for (path, expected) in [("/a", [103, 102].as_slice()), ("/a", &[]), ("/b", &[103, 102])] {
        let mut client = client.clone().ready().await.expect("open");
        let request = Request::get(format!("https://zone.test{path}")).body(()).expect("a request");
        let (mut response, _) = client.send_request(request, true).expect("sent");
        for status in expected {
            let early = timeout(PATIENCE, poll_fn(|cx| response.poll_informational(cx))).await.expect("in time");
            let early = early.expect("one more").expect("a head");
            assert_eq!(early.status().as_u16(), *status, "{path}");
            assert!(!early.headers().contains_key("x-hop") && !early.headers().contains_key("connection"));
            assert_eq!(early.headers().contains_key("link"), *status == 103);
        }
        let response = timeout(PATIENCE, response).await.expect("in time").expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-cache"], if expected.is_empty() { "HIT" } else { "MISS" });
    }
}
