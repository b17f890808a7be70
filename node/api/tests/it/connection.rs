//! Over real connections: what a client gets to see when it is refused, and what it leaves when it goes away.

use std::{net::SocketAddr, time::Duration};

use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    rig::{Plan, until},
    site::{MULTIPART, Site, file},
};

/// Serves the site over HTTP/1.1.
async fn serve(site: &Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = site.router.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

fn head(site: &Site, length: usize, more: &str) -> String {
    format!(
        "POST /api/v2/assets/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {MULTIPART}\r\nContent-Length: {length}\r\n{more}\r\n",
        site.token
    )
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("in time");
    read.expect("the connection ends in order");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn site_with_a_small_limit() -> Plan {
    let mut plan = Plan::default();
    plan.settings.max_upload_bytes = 1 << 20;
    plan
}

/// The client sends everything before it looks for an answer, as simple clients do.
#[tokio::test]
async fn a_client_that_only_sends_still_gets_its_answer() {
    let site = Site::with(site_with_a_small_limit()).await;
    let mut stream = connect(serve(&site).await).await;
    let length = 12 << 20;
    let start = format!("--XBOUNDARYX\r\n{}", String::from_utf8(file("f", b"")).expect("text"));
    stream.write_all(head(&site, length, "").as_bytes()).await.expect("sent");
    stream.write_all(start.as_bytes()).await.expect("sent");
    let mut left = length - start.len();
    while left > 0 {
        let now = left.min(64 << 10);
        timeout(Duration::from_secs(10), stream.write_all(&vec![7; now])).await.expect("in time").expect("taken");
        left -= now;
    }
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"upload_too_large\""), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_not_told_to_send() {
    let site = Site::with(site_with_a_small_limit()).await;
    let mut stream = connect(serve(&site).await).await;
    stream.write_all(head(&site, 12 << 20, "Expect: 100-continue\r\n").as_bytes()).await.expect("sent");
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_small_body_that_is_refused_costs_no_connection() {
    let site = Site::new().await;
    let mut stream = connect(serve(&site).await).await;
    for _ in 0..3 {
        let body = "{\"pattern\":\"x\"}";
        let request = format!(
            "POST /api/v2/cache/purge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut bytes = vec![0; 4_096];
        let read = timeout(Duration::from_secs(5), stream.read(&mut bytes)).await.expect("in time").expect("read");
        let answer = String::from_utf8_lossy(&bytes[..read]);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let site = Site::new().await;
    let mut stream = connect(serve(&site).await).await;
    stream.write_all(head(&site, 3 << 20, "").as_bytes()).await.expect("sent");
    stream.write_all(b"--XBOUNDARYX\r\n").await.expect("sent");
    stream.write_all(&file("f", &[7; 1 << 20])).await.expect("sent");
    until("the upload is on its way", async || site.rig.files_incoming() == 2).await;
    drop(stream);
    until("nothing is left of it", async || site.rig.files_incoming() == 0).await;
    assert_eq!((site.assets(), site.rig.pins().await), (0, (0, 0)));
    assert!(site.rig.store.iter_blobs(None, 10).await.expect("blobs").is_empty());
}
