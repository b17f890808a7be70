//! Bodies: streamed both ways, and never shorter than they say without an error.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::{RawOrigin, SHORT, get, origins, patient, read_head, reset, tasks, until, whole};
use http::{Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use ncore_origin::{ErrorKind, OriginError, RequestBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

/// The error that ends the body of a response, and how many bytes came before; afterwards neither a connection nor a task is left.
async fn error_of(origin: &RawOrigin, idle: Option<Duration>) -> (OriginError, usize) {
    let before = tasks();
    let origins = origins();
    let mut settings = patient(origin.url());
    if let Some(idle) = idle {
        settings.timeouts.idle = idle;
    }
    let set = origins.set(&settings).expect("a set");
    let response = origins.send(&set, get("/")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let mut came = 0;
    let error = loop {
        match body.frame().await {
            Some(Ok(frame)) => came += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(error)) => break error,
            None => panic!("the body ended after {came} bytes as if it were whole"),
        }
    };
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
    until("no connection is left", || origins.connections() == 0).await;
    assert_eq!(origins.figures().errors(error.kind()), 1);
    drop((origins, set));
    until("no task is left", || tasks() <= before).await;
    (error, came)
}

#[tokio::test]
async fn a_body_that_stands_still_is_an_error_in_time() {
    for (start, came) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", 0),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", 5),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", 5),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", 5),
    ] {
        let (error, bytes) = error_of(&RawOrigin::stalling_after(start).await, Some(SHORT)).await;
        assert_eq!((error.kind(), error.status(), bytes), (ErrorKind::BodyStalled, StatusCode::GATEWAY_TIMEOUT, came), "{start:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_shorter_than_it_says_is_an_error() {
    for start in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        let (error, came) = error_of(&RawOrigin::closing_after(start).await, None).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::BodyShort, StatusCode::BAD_GATEWAY), "{start:?}: {error:?}");
        assert_eq!(came, 5, "{start:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_an_error() {
    for start in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloXX5\r\nworld\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nfffffffffffffffff\r\n",
    ] {
        let (error, _) = error_of(&RawOrigin::stalling_after(start).await, None).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::BodyMalformed, StatusCode::BAD_GATEWAY), "{start:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_reset_within_a_body_is_an_error() {
    let (sent, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, gone) = (Arc::clone(&sent), Arc::clone(&go));
    let origin = RawOrigin::start(move |_, mut stream, _| {
        let (told, gone) = (Arc::clone(&told), Arc::clone(&gone));
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
            told.notify_one();
            gone.notified().await;
            reset(stream);
        }
    })
    .await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let mut body = origins.send(&set, get("/")).await.expect("a response").into_body();
    sent.notified().await;
    assert_eq!(body.frame().await.expect("a frame").expect("data").into_data().expect("data"), "hello");
    go.notify_one();
    let error = body.frame().await.expect("not the end").expect_err("not more");
    assert_eq!(error.kind(), ErrorKind::BodyReset, "{error:?}");
}

#[tokio::test]
async fn what_comes_after_a_body_is_never_the_next_response() {
    let origin =
        RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    for _ in 0..50 {
        let response = origins.send(&set, get("/")).await.expect("a response");
        assert_eq!(whole(response).await.expect("a body"), "ok");
    }
    assert!(origin.accepted() >= 50, "a connection over which too much came is not used again: {}", origin.accepted());
}

#[tokio::test]
async fn a_body_up_to_the_end_of_the_connection_is_whole() {
    let origin = RawOrigin::closing_after("HTTP/1.1 200 OK\r\n\r\nhello").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    assert_eq!(whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body"), "hello");
}

#[tokio::test]
async fn trailers_come_through() {
    let origin =
        RawOrigin::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")
            .await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    for _ in 0..2 {
        let collected = origins.send(&set, get("/")).await.expect("a response").into_body().collect().await.expect("a body");
        assert_eq!(collected.trailers().expect("trailers")["x-sum"], "7");
        assert_eq!(collected.to_bytes(), "hello");
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn a_large_body_streams_without_being_held() {
    const LENGTH: usize = 64 << 20;
    let origin = RawOrigin::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").as_bytes()).await;
        let piece = vec![7; 1 << 20];
        for _ in 0..LENGTH >> 20 {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
    })
    .await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let mut body = origins.send(&set, get("/")).await.expect("a response").into_body();
    assert_eq!(body.size_hint().exact(), Some(LENGTH as u64));
    let mut came = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a frame").into_data().expect("data");
        assert!(data.len() <= 1 << 20);
        came += data.len();
    }
    assert_eq!(came, LENGTH);
}

#[tokio::test]
async fn a_reader_that_takes_its_time_is_no_stall() {
    let origin = RawOrigin::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", 1 << 20, "a".repeat(1 << 20))).await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.timeouts.idle = SHORT;
    let set = origins.set(&settings).expect("a set");
    let mut body = origins.send(&set, get("/")).await.expect("a response").into_body();
    let mut came = body.frame().await.expect("a frame").expect("a frame").into_data().expect("data").len();
    tokio::time::sleep(SHORT * 2).await;
    while let Some(frame) = body.frame().await {
        came += frame.expect("a frame").into_data().expect("data").len();
    }
    assert_eq!(came, 1 << 20);
}

#[tokio::test]
async fn dropping_a_response_ends_the_connection() {
    let origin = RawOrigin::stalling_after("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let response = origins.send(&set, get("/")).await.expect("a response");
    assert_eq!(origins.connections(), 1);
    drop(response);
    until("the connection is gone", || origins.connections() == 0).await;
}

#[tokio::test]
async fn bodies_of_requests_are_streamed_with_their_length_or_in_chunks() {
    let origin = RawOrigin::start(|_, mut stream, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            let mut body = vec![0; if head.contains("chunked") { b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n".len() } else { 10 }];
            stream.read_exact(&mut body).await.expect("the body");
            heads.lock().push(format!("{head}{}", String::from_utf8(body).expect("text")));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("an answer");
        }
    })
    .await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let pieces = ["hello", "world"].map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece))));
    let streamed = RequestBody::new(StreamBody::new(futures_util::stream::iter(pieces)));
    for body in [streamed, RequestBody::from(Bytes::from("helloworld"))] {
        let post = Request::post("/").header("content-length", "3").body(body).expect("a request");
        assert_eq!(whole(origins.send(&set, post).await.expect("a response")).await.expect("a body"), "ok");
    }
    let heads = origin.heads.lock();
    assert!(heads[0].contains("transfer-encoding: chunked\r\n") && !heads[0].contains("content-length"), "{}", heads[0]);
    assert!(heads[0].ends_with("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"));
    assert!(heads[1].contains("content-length: 10\r\n") && heads[1].ends_with("helloworld"), "{}", heads[1]);
    assert_eq!(origin.accepted(), 1);
}
