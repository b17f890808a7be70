//! Connections that change to another protocol, and those that do not.

mod harness;

use harness::{RawOrigin, origins, patient, read_head, until, whole};
use http::{Request, StatusCode};
use ncore_origin::{ErrorKind, UpgradeAnswer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn websocket() -> Request<()> {
    Request::get("/chat?room=1")
        .header("connection", "Upgrade, x-hop")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .header("x-hop", "1")
        .body(())
        .expect("a request")
}

#[tokio::test]
async fn a_connection_is_handed_over_both_ways() {
    let origin = RawOrigin::start(|_, mut stream, heads| async move {
        let head = read_head(&mut stream).await;
        heads.lock().extend(head);
        // The first bytes of the other protocol come with the head.
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: upgrade, x-own\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-own: 1\r\n\r\nhello";
        stream.write_all(answer).await.expect("an answer");
        let mut bytes = [0; 4];
        while stream.read_exact(&mut bytes).await.is_ok() {
            bytes.reverse();
            stream.write_all(&bytes).await.expect("an answer");
        }
    })
    .await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let UpgradeAnswer::Switched(mut switched) = origins.upgrade(&set, websocket()).await.expect("an answer") else {
        panic!("it does not change the protocol")
    };
    assert_eq!(switched.head.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(switched.head.headers()["upgrade"], "WebSocket");
    assert_eq!(switched.head.headers()["connection"], "upgrade");
    assert_eq!(switched.head.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(!switched.head.headers().contains_key("x-own"));
    let mut bytes = [0; 5];
    switched.tunnel.read_exact(&mut bytes).await.expect("the first bytes");
    assert_eq!(&bytes, b"hello");
    for _ in 0..3 {
        switched.tunnel.write_all(b"abcd").await.expect("written");
        let mut bytes = [0; 4];
        switched.tunnel.read_exact(&mut bytes).await.expect("an answer");
        assert_eq!(&bytes, b"dcba");
    }
    {
        let heads = origin.heads.lock();
        assert!(heads[0].starts_with("GET /chat?room=1 HTTP/1.1\r\n"));
        assert!(heads[0].contains("connection: upgrade\r\n") && heads[0].contains("upgrade: websocket\r\n"), "{}", heads[0]);
        assert!(heads[0].contains("sec-websocket-key: ") && !heads[0].contains("x-hop"), "{}", heads[0]);
    }
    assert_eq!(origins.connections(), 1);
    drop(switched);
    until("the connection is gone", || origins.connections() == 0).await;
}

#[tokio::test]
async fn an_origin_that_does_not_change_the_protocol_answers_as_usual() {
    let origin = RawOrigin::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let UpgradeAnswer::Refused(response) = origins.upgrade(&set, websocket()).await.expect("an answer") else {
        panic!("it changes the protocol")
    };
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(whole(response).await.expect("a body"), "no");
}

#[tokio::test]
async fn another_protocol_than_was_asked_for_is_an_error() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n",
    ] {
        let origin = RawOrigin::answering(answer).await;
        let origins = origins();
        let set = origins.set(&patient(origin.url())).expect("a set");
        let error = origins.upgrade(&set, websocket()).await.expect_err("another protocol");
        assert_eq!((error.kind(), error.status()), (ErrorKind::Malformed, StatusCode::BAD_GATEWAY));
        until("the connection is gone", || origins.connections() == 0).await;
    }
    let origin = RawOrigin::answering("").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let none = Request::get("/").body(()).expect("a request");
    assert_eq!(origins.upgrade(&set, none).await.expect_err("no protocol").kind(), ErrorKind::Unsendable);
    assert_eq!(origin.accepted(), 0);
}
