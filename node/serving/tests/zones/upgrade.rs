//! WebSocket through a zone: a real client, a real server, and a node between them.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use futures_util::{SinkExt, StreamExt};
use ncore_origin::SetSettings;
use ncore_telemetry::Allowance;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async, tungstenite::Message};

use crate::site::{PATIENCE, Site, eventually};

/// An origin that says everything back.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = accept_async(socket).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_close() || socket.send(message).await.is_err() {
                        break;
                    }
                }
                let _ = socket.close(None).await;
            });
        }
    });
    addr
}

async fn site(origin: SocketAddr) -> Site {
    let settings = |_: &_| SetSettings::of(format!("http://{origin}").parse().expect("an address"));
    Site::start_before(settings, None, |_| {}).await
}

async fn connect(site: &Site) -> WebSocketStream<TcpStream> {
    let socket = TcpStream::connect(site.addr).await.expect("connected");
    let (socket, response) = client_async("ws://zone.test/chat?room=1", socket).await.expect("switched");
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["x-cache"], "BYPASS");
    assert!(response.headers().contains_key("x-request-id"));
    socket
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    timeout(PATIENCE, socket.next()).await.expect("in time").and_then(Result::ok)
}

#[tokio::test]
async fn both_ends_speak_and_bytes_are_counted() {
    let site = site(echo().await).await;
    let mut socket = connect(&site).await;
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.expect("sent");
        assert_eq!(next(&mut socket).await, Some(Message::text(text)));
    }
    let large = Message::binary(vec![7; 3 << 20]);
    let (mut sink, mut stream) = socket.split();
    let (sent, received) = tokio::join!(sink.send(large.clone()), stream.next());
    sent.expect("sent");
    assert_eq!(received.expect("a message").expect("whole"), large);
    assert_eq!(site.metrics.tunnels_active.load(Ordering::Relaxed), 1);
    sink.close().await.expect("closed");
    drop((sink, stream));
    eventually("the end", || site.metrics.tunnels_active.load(Ordering::Relaxed) == 0).await;
    let bytes: u64 = site.usage.collect().iter().map(|counts| counts.bytes_out).sum();
    assert!((3 << 20..(3 << 20) + 100).contains(&bytes), "{bytes}");
    let records = site.records(1).await;
    assert_eq!((records[0].status, records[0].path()), (101, "/chat"));
}

/// What the origin answers instead goes to the viewer, and the connection is good for another request.
#[tokio::test]
async fn an_origin_may_refuse() {
    let site = Site::start().await;
    site.origin.reply("/chat", crate::origin::Reply::new(403, "no"));
    let fields = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "x")];
    let answer = site.get("/chat", &fields).await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.cache()), (403, "no", "BYPASS"));
    let seen = site.origin.last();
    assert_eq!((seen.header("connection"), seen.header("upgrade"), seen.header("sec-websocket-key")), ("upgrade", "websocket", "x"));
    // Changes that are about the connection to this node are none of the origin's business.
    let answer = site.get("/chat", &[("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]).await;
    assert_eq!(answer.status.as_u16(), 403);
    assert_eq!(site.origin.last().header("upgrade"), "");
}

#[tokio::test]
async fn a_node_that_stops_ends_them_after_a_while_and_takes_no_more() {
    let site = site(echo().await).await;
    let mut socket = connect(&site).await;
    socket.send(Message::text("one")).await.expect("sent");
    assert_eq!(next(&mut socket).await, Some(Message::text("one")));
    let ending = site.zones.end_upgrades(Duration::from_millis(200));
    let meanwhile = async {
        let socket = TcpStream::connect(site.addr).await.expect("connected");
        assert!(client_async("ws://zone.test/chat", socket).await.is_err(), "no more of them");
    };
    tokio::join!(ending, meanwhile);
    assert_eq!(site.metrics.tunnels_active.load(Ordering::Relaxed), 0);
    assert!(next(&mut socket).await.is_none_or(|message| message.is_close()));
}

#[tokio::test]
async fn it_ends_when_no_more_may_be_served() {
    let site = site(echo().await).await;
    let mut socket = connect(&site).await;
    site.usage.meter("cl_1").allow(Allowance::Spent);
    assert!(next(&mut socket).await.is_none_or(|message| message.is_close()));
    eventually("the end", || site.metrics.tunnels_active.load(Ordering::Relaxed) == 0).await;
}
