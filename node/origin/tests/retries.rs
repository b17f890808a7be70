//! What is sent again, and what is not.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use harness::{RawOrigin, get, origins, patient, read_head, whole};
use http::{Method, Request, StatusCode};
use ncore_origin::{Answered, ErrorKind, OriginSettings, OriginUrl, RequestBody, Retries};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An origin that answers the first request of each connection, reads the second, and ends the connection without a byte, or after some.
async fn ends_second_request_with(bytes: &'static [u8]) -> RawOrigin {
    RawOrigin::start(move |_, mut stream, heads| async move {
        if let Some(head) = read_head(&mut stream).await {
            heads.lock().push(head);
            let _ = stream.write_all(OK).await;
        }
        if let Some(head) = read_head(&mut stream).await {
            heads.lock().push(head);
            let _ = stream.write_all(bytes).await;
        }
    })
    .await
}

/// A URL where nobody listens.
async fn nowhere() -> OriginUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL")
}

#[tokio::test]
async fn a_request_whose_connection_was_used_and_ends_silently_is_sent_again_over_a_new_one() {
    let origin = ends_second_request_with(b"").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    whole(origins.send(&set, get("/first")).await.expect("a response")).await.expect("a body");
    let response = origins.send(&set, get("/second")).await.expect("a response");
    assert_eq!(response.extensions().get::<Answered>().expect("how").retries, 1);
    assert_eq!(whole(response).await.expect("a body"), "ok");
    assert_eq!((origin.accepted(), origin.heads.lock().len()), (2, 3));
    assert_eq!(origins.figures().retries.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_that_is_answered_in_part_is_not_sent_again() {
    let origin = ends_second_request_with(b"HTTP/1.1 2").await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    whole(origins.send(&set, get("/first")).await.expect("a response")).await.expect("a body");
    let error = origins.send(&set, get("/second")).await.expect_err("half a response");
    assert_eq!(error.kind(), ErrorKind::Reset);
    assert_eq!(origin.heads.lock().len(), 2);
}

#[tokio::test]
async fn a_request_that_changes_something_is_not_sent_again() {
    for (method, body) in [(Method::POST, ""), (Method::PATCH, ""), (Method::POST, "body")] {
        let origin = RawOrigin::start(|_, mut stream, heads| async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(OK).await;
            // The whole second request, which ends with its body if it has one.
            if let Some(head) = read_head(&mut stream).await {
                if head.contains("content-length: 4") {
                    let _ = stream.read_exact(&mut [0; 4]).await;
                }
                heads.lock().push(head);
            }
        })
        .await;
        let origins = origins();
        let set = origins.set(&patient(origin.url())).expect("a set");
        whole(origins.send(&set, get("/first")).await.expect("a response")).await.expect("a body");
        let request = Request::builder().method(&method).uri("/second").body(RequestBody::from(Bytes::from(body))).expect("a request");
        let error = origins.send(&set, request).await.expect_err("no response");
        assert_eq!((error.kind(), error.status()), (ErrorKind::Stale, StatusCode::BAD_GATEWAY), "{method} {body:?}");
        assert_eq!((origin.accepted(), origin.heads.lock().len()), (1, 1), "{method} {body:?}");
    }
}

/// Reads a request with its content, and notes both.
async fn read_whole(stream: &mut TcpStream, heads: &parking_lot::Mutex<Vec<String>>) -> Option<()> {
    let head = read_head(stream).await?;
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.trim().parse().expect("a length"));
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.ok()?;
    heads.lock().push(head + &String::from_utf8(content).expect("text"));
    Some(())
}

#[tokio::test]
async fn what_may_be_repeated_is_sent_again_with_a_short_body_and_not_with_a_long_one() {
    const LONG: usize = 65 << 10;
    for (method, length, again) in [(Method::PUT, 4, 1), (Method::DELETE, 4, 1), (Method::GET, 4, 1), (Method::PUT, LONG, 0)] {
        let origin = RawOrigin::start(|at, mut stream, heads| async move {
            // The first connection ends with the second request, once that is there.
            while read_whole(&mut stream, &heads).await.is_some() && (at > 0 || heads.lock().len() < 2) {
                let _ = stream.write_all(OK).await;
            }
        })
        .await;
        let origins = origins();
        let set = origins.set(&patient(origin.url())).expect("a set");
        whole(origins.send(&set, get("/first")).await.expect("a response")).await.expect("a body");
        let body = "b".repeat(length);
        let request =
            Request::builder().method(&method).uri("/second").body(RequestBody::from(Bytes::from(body.clone()))).expect("a request");
        let sent = origins.send(&set, request).await;
        assert_eq!(
            sent.map(|_| ()).map_err(|error| error.kind()),
            if again > 0 { Ok(()) } else { Err(ErrorKind::Stale) },
            "{method} {length}"
        );
        let heads = origin.heads.lock();
        assert_eq!((origin.accepted(), heads.len()), (1 + again, 2 + again), "{method} {length}");
        assert!(heads[1..].iter().all(|head| head.starts_with(method.as_str()) && head.ends_with(&body)), "{heads:?}");
    }
}

#[tokio::test]
async fn a_connection_that_the_origin_ended_in_the_pool_costs_nothing() {
    let origin = RawOrigin::closing_after(OK).await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    for _ in 0..20 {
        let post = Request::post("/").body(RequestBody::from(Bytes::from("a body"))).expect("a request");
        // The end may be on its way while the request is: then, and only then, it is an error.
        match origins.send(&set, post).await {
            Ok(response) => assert_eq!(whole(response).await.expect("a body"), "ok"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Stale, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn an_origin_that_takes_no_connection_is_passed_over_with_body_and_all() {
    let well = RawOrigin::start(|_, mut stream, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            let _ = stream.read_exact(&mut [0; 4]).await;
            heads.lock().push(head);
            let _ = stream.write_all(OK).await;
        }
    })
    .await;
    let mut settings = patient(nowhere().await);
    settings.origins.push(OriginSettings { backup: true, ..OriginSettings::new(well.url()) });
    let origins = origins();
    let set = origins.set(&settings).expect("a set");
    let post = Request::post("/").body(RequestBody::from(Bytes::from("body"))).expect("a request");
    let response = origins.send(&set, post).await.expect("a response");
    let answered = response.extensions().get::<Answered>().expect("how").clone();
    assert_eq!((&*answered.origin, answered.retries), (well.address.to_string().as_str(), 1));
    assert_eq!(well.heads.lock().len(), 1);
}

#[tokio::test]
async fn no_more_than_two_others_are_asked() {
    let well = RawOrigin::answering(OK).await;
    let mut settings = patient(nowhere().await);
    settings.retries.most = 10;
    for _ in 0..3 {
        settings.origins.push(OriginSettings::new(nowhere().await));
    }
    settings.origins.push(OriginSettings { backup: true, ..OriginSettings::new(well.url()) });
    let origins = origins();
    let set = origins.set(&settings).expect("a set");
    let error = origins.send(&set, get("/")).await.expect_err("all three are gone");
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unreachable, StatusCode::BAD_GATEWAY));
    assert_eq!(origins.figures().errors(ErrorKind::Unreachable), 3);
}

#[tokio::test]
async fn retries_end_with_their_budget() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // Each connection answers one request and ends with the next: of every two requests, one is sent again.
    let origin = RawOrigin::start(move |_, mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(OK).await;
            if read_head(&mut stream).await.is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.retries = Retries { most: 2, percent: 10 };
    // Health is not what is looked at.
    settings.health.failures = u32::MAX;
    let set = origins.set(&settings).expect("a set");
    for _ in 0..200 {
        if let Ok(response) = origins.send(&set, get("/")).await {
            whole(response).await.expect("a body");
        }
    }
    let (retries, denied) = (&origins.figures().retries, &origins.figures().retries_denied);
    let retries = retries.load(Ordering::Relaxed);
    assert!((25..=30).contains(&retries), "10 from the start and a tenth of 200: {retries}");
    assert!(denied.load(Ordering::Relaxed) > 30);
}
