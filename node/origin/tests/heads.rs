//! Origins that do not give the head of a response as they should: each is an error of its own, in time, and leaves nothing behind.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::{RawOrigin, SHORT, get, origins, patient, read_head, read_to_end, reset, tasks, until, whole};
use http::{HeaderMap, Method, Request, StatusCode};
use ncore_origin::{ErrorKind, Fault, OnInformational, OriginError, RequestBody};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

/// The error that an origin gives in place of a response; afterwards neither a connection to it nor a task is left.
async fn error_of(origin: &RawOrigin, head: Option<Duration>) -> OriginError {
    let before = tasks();
    let origins = origins();
    let mut settings = patient(origin.url());
    if let Some(head) = head {
        settings.timeouts.head = head;
    }
    let set = origins.set(&settings).expect("a set");
    let error = match origins.send(&set, get("/")).await {
        Ok(response) => panic!("a response: {}", response.status()),
        Err(error) => error,
    };
    until("no connection is left", || origins.connections() == 0).await;
    assert_eq!(origins.figures().errors(error.kind()), 1);
    drop((origins, set));
    until("no task is left", || tasks() <= before).await;
    error
}

#[tokio::test]
async fn an_origin_that_says_nothing_is_waited_for_and_no_longer() {
    for start in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let origin = RawOrigin::stalling_after(start).await;
        let error = error_of(&origin, Some(SHORT)).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::HeadTimeout, StatusCode::GATEWAY_TIMEOUT), "{start:?}");
        assert_eq!(error.fault(), Fault::Origin);
        assert_eq!(origin.accepted(), 1, "it is asked once");
    }
}

#[tokio::test]
async fn an_origin_that_ends_the_connection_is_asked_once() {
    for start in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let origin = RawOrigin::closing_after(start).await;
        let error = error_of(&origin, None).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::Reset, StatusCode::BAD_GATEWAY), "{start:?}");
        assert_eq!(origin.accepted(), 1, "a connection that was not used before says nothing about whether the request was carried out");
    }
}

#[tokio::test]
async fn a_reset_is_an_error() {
    let origin = RawOrigin::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        reset(stream);
    })
    .await;
    assert_eq!(error_of(&origin, None).await.kind(), ErrorKind::Reset);
}

#[tokio::test]
async fn a_hundred_thousand_fields_are_too_many() {
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    for field in 0..100_000 {
        answer.extend_from_slice(format!("x-{field}: {field}\r\n").as_bytes());
    }
    answer.extend_from_slice(b"content-length: 0\r\n\r\n");
    let error = error_of(&RawOrigin::closing_after(answer).await, None).await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::HeadTooLarge, StatusCode::BAD_GATEWAY));
}

#[tokio::test]
async fn fields_are_bounded_in_number_and_in_length() {
    let with = |count: usize, length: usize| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n".to_vec();
        for field in 0..count {
            answer.extend_from_slice(format!("x-{field}: {}\r\n", "v".repeat(length)).as_bytes());
        }
        answer.extend_from_slice(b"\r\nok");
        answer
    };
    for (count, length) in [(128, 1), (1, 64 * 1024), (1, 10 << 20), (100, 1000)] {
        let error = error_of(&RawOrigin::closing_after(with(count, length)).await, None).await;
        assert_eq!(error.kind(), ErrorKind::HeadTooLarge, "{count} fields of {length}");
    }
    let origins = origins();
    for (count, length) in [(127, 1), (1, 63 * 1024), (100, 500)] {
        let origin = RawOrigin::answering(with(count, length)).await;
        let set = origins.set(&patient(origin.url())).expect("a set");
        let response = origins.send(&set, get("/")).await.expect("a response");
        assert_eq!(whole(response).await.expect("a body"), "ok");
    }
}

#[tokio::test]
async fn what_is_no_http_is_malformed() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 700 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: deflate\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let error = error_of(&RawOrigin::closing_after(answer).await, None).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::Malformed, StatusCode::BAD_GATEWAY), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn informational_responses_are_handed_over_as_they_come() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let seen: Arc<Mutex<Vec<(StatusCode, HeaderMap)>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let mut request = get("/");
    let note = move |status, headers: &HeaderMap| noted.lock().push((status, headers.clone()));
    request.extensions_mut().insert(OnInformational(Arc::new(note)));
    let response = origins.send(&set, request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    let seen = seen.lock();
    assert_eq!(seen.iter().map(|(status, _)| status.as_u16()).collect::<Vec<_>>(), [103, 102]);
    assert_eq!(seen[0].1["link"], "</a.css>");
    assert_eq!(seen[0].1.len(), 1);
}

#[tokio::test]
async fn informational_responses_without_end_are_an_error() {
    let at_once = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(10_000);
    assert_eq!(error_of(&RawOrigin::stalling_after(at_once).await, None).await.kind(), ErrorKind::TooManyInformational);

    let origin = RawOrigin::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    assert_eq!(error_of(&origin, None).await.kind(), ErrorKind::TooManyInformational);
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connection_usable() {
    let origin = RawOrigin::answering("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 500\r\n\r\n").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let conditional = |method: Method| {
        let request = Request::builder().method(method).uri("/").header("if-none-match", "\"a\"");
        request.body(RequestBody::empty()).expect("a request")
    };
    for _ in 0..5 {
        let response = origins.send(&set, conditional(Method::GET)).await.expect("a response");
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert!(whole(response).await.expect("a body").is_empty());
    }
    assert!(whole(origins.send(&set, conditional(Method::HEAD)).await.expect("a response")).await.expect("a body").is_empty());
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn answers_to_another_request_are_none() {
    for answer in [
        "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-1/9\r\ncontent-length: 2\r\n\r\nhi",
    ] {
        let origin = RawOrigin::answering(answer).await;
        assert_eq!(error_of(&origin, None).await.kind(), ErrorKind::Malformed, "{answer}");
    }
}

#[tokio::test]
async fn redirects_are_answers_like_others() {
    let origin = RawOrigin::answering("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let response = origins.send(&set, get("/")).await.expect("a response");
    assert_eq!((response.status(), response.headers()["location"].as_bytes()), (StatusCode::FOUND, &b"/"[..]));
    assert_eq!(origin.heads.lock().len(), 1);
}

#[tokio::test]
async fn a_viewer_that_sends_no_more_is_told_from_an_origin_that_says_nothing() {
    let origin = RawOrigin::start(|_, mut stream, _| async move { read_to_end(&mut stream).await }).await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.timeouts.head = SHORT;
    let set = origins.set(&settings).expect("a set");
    let stuck = http_body_util::StreamBody::new(futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>());
    let post = Request::post("/").body(RequestBody::new(stuck)).expect("a request");
    let error = origins.send(&set, post).await.expect_err("it stands still");
    assert_eq!((error.kind(), error.fault(), error.status()), (ErrorKind::RequestStalled, Fault::Viewer, StatusCode::REQUEST_TIMEOUT));

    let failing = futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from("a"))), Err(std::io::Error::other("gone"))]);
    let post = Request::post("/").body(RequestBody::new(http_body_util::StreamBody::new(failing))).expect("a request");
    let error = origins.send(&set, post).await.expect_err("it fails");
    assert_eq!((error.kind(), error.fault()), (ErrorKind::RequestBody, Fault::Viewer));
}
