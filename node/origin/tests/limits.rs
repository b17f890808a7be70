//! Connections, requests under way and requests that wait: all bounded.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use harness::{Names, RawOrigin, SHORT, get, origins, patient, read_head, settings, until, whole};
use http::StatusCode;
use ncore_origin::{ErrorKind, Fault, Limits, Origins};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An origin that notes how many requests are with it at once, and answers each when it is let.
async fn held() -> (RawOrigin, Arc<AtomicUsize>, Arc<tokio::sync::Semaphore>) {
    let (here, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let (counted, let_go) = (Arc::clone(&here), Arc::clone(&go));
    let origin = RawOrigin::start(move |_, mut stream, _| {
        let (counted, let_go) = (Arc::clone(&counted), Arc::clone(&let_go));
        async move {
            while read_head(&mut stream).await.is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
                let_go.acquire().await.expect("open").forget();
                counted.fetch_sub(1, Ordering::SeqCst);
                if stream.write_all(OK).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (origin, here, go)
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let origin = RawOrigin::answering(OK).await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    for _ in 0..100 {
        assert_eq!(whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body"), "ok");
    }
    assert_eq!(origin.accepted(), 1);
    assert_eq!(origins.figures().reused.load(Ordering::Relaxed), 99);
    assert_eq!(origins.figures().connects.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn requests_share_no_more_connections_than_there_may_be() {
    for (connections, requests) in [(4, 100), (100, 4)] {
        let (origin, here, go) = held().await;
        let origins = origins();
        let mut settings = patient(origin.url());
        settings.limits = Limits { connections, requests, waiting: 100 };
        let set = origins.set(&settings).expect("a set");
        let all = join_all((0..50).map(|_| {
            let (origins, set) = (origins.clone(), Arc::clone(&set));
            async move { whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body") }
        }));
        let all = tokio::spawn(all);
        until("four are with the origin", || here.load(Ordering::SeqCst) == 4).await;
        tokio::time::sleep(SHORT).await;
        assert_eq!(here.load(Ordering::SeqCst), 4);
        go.add_permits(50);
        assert_eq!(all.await.expect("a task").len(), 50);
        assert_eq!(origin.accepted(), 4);
    }
}

#[tokio::test]
async fn who_waits_for_too_long_or_is_one_too_many_is_told_so() {
    for (connections, requests) in [(1, 100), (100, 1)] {
        let (origin, here, go) = held().await;
        let origins = origins();
        let mut settings = patient(origin.url());
        settings.timeouts.queue = SHORT;
        settings.limits = Limits { connections, requests, waiting: 1 };
        let set = origins.set(&settings).expect("a set");
        let first = tokio::spawn({
            let (origins, set) = (origins.clone(), Arc::clone(&set));
            async move { origins.send(&set, get("/")).await.map(|response| response.status()) }
        });
        until("one is with the origin", || here.load(Ordering::SeqCst) == 1).await;
        let error = origins.send(&set, get("/")).await.expect_err("no turn");
        assert_eq!((error.kind(), error.status(), error.fault()), (ErrorKind::Busy, StatusCode::SERVICE_UNAVAILABLE, Fault::Here));
        go.add_permits(1);
        assert_eq!(first.await.expect("a task").expect("a response"), StatusCode::OK);
    }
}

#[tokio::test]
async fn one_too_many_is_refused_at_once() {
    let (origin, here, go) = held().await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.limits = Limits { connections: 1, requests: 1, waiting: 2 };
    let set = origins.set(&settings).expect("a set");
    let send = || {
        let (origins, set) = (origins.clone(), Arc::clone(&set));
        tokio::spawn(async move {
            let response = origins.send(&set, get("/")).await?;
            whole(response).await
        })
    };
    let first = send();
    until("one is with the origin", || here.load(Ordering::SeqCst) == 1).await;
    let others: Vec<_> = (0..10).map(|_| send()).collect();
    // Nothing times out here, so these are refused because too many wait.
    until("eight are refused", || origins.figures().errors(ErrorKind::Busy) == 8).await;
    go.add_permits(3);
    first.await.expect("a task").expect("a response");
    let answered = join_all(others).await.into_iter().filter(|answer| answer.as_ref().expect("a task").is_ok()).count();
    assert_eq!(answered, 2);
}

#[tokio::test]
async fn a_request_that_is_given_up_frees_its_turn() {
    let (origin, here, _go) = held().await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.limits = Limits { connections: 1, requests: 1, waiting: 10 };
    let set = origins.set(&settings).expect("a set");
    for _ in 0..5 {
        let request = tokio::spawn({
            let (origins, set) = (origins.clone(), Arc::clone(&set));
            async move { origins.send(&set, get("/")).await.map(|response| response.status()) }
        });
        until("it is with the origin", || here.load(Ordering::SeqCst) >= 1 && origins.connections() == 1).await;
        let before = origin.accepted();
        request.abort();
        let _ = request.await;
        until("its connection is gone", || origins.connections() == 0).await;
        let again = origins.send(&set, get("/"));
        tokio::pin!(again);
        let waited = tokio::time::timeout(SHORT, &mut again).await;
        assert!(waited.is_err(), "the origin answers nothing");
        assert!(origin.accepted() > before);
    }
}

#[tokio::test]
async fn all_origins_together_are_bounded_and_kept_connections_make_way() {
    let names = Arc::<Names>::default();
    let mut of_node = settings(&names);
    of_node.connections = 2;
    let origins = Origins::new(of_node);
    let mut others = Vec::new();
    for _ in 0..6 {
        let origin = RawOrigin::answering(OK).await;
        let set = origins.set(&patient(origin.url())).expect("a set");
        assert_eq!(whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body"), "ok");
        assert!(origins.connections() <= 2);
        others.push((origin, set));
    }
}

#[tokio::test]
async fn connections_that_nobody_uses_end() {
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    let origin = RawOrigin::start(move |_, mut stream, _| {
        let told = Arc::clone(&told);
        async move {
            while read_head(&mut stream).await.is_some() {
                let _ = stream.write_all(OK).await;
            }
            told.notify_one();
        }
    })
    .await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.timeouts.keep = SHORT;
    let set = origins.set(&settings).expect("a set");
    whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body");
    ended.notified().await;
    until("its place is free", || origins.connections() == 0).await;
}

#[tokio::test]
async fn sets_that_agree_on_an_origin_share_its_connections() {
    let origin = RawOrigin::answering(OK).await;
    let origins = origins();
    let first = origins.set(&patient(origin.url())).expect("a set");
    whole(origins.send(&first, get("/")).await.expect("a response")).await.expect("a body");
    let mut settings = patient(origin.url());
    settings.origins[0].weight = 7;
    settings.retries.most = 0;
    let second = origins.set(&settings).expect("a set");
    drop(first);
    whole(origins.send(&second, get("/")).await.expect("a response")).await.expect("a body");
    assert_eq!(origin.accepted(), 1);
    settings.timeouts.head = SHORT;
    let third = origins.set(&settings).expect("a set");
    whole(origins.send(&third, get("/")).await.expect("a response")).await.expect("a body");
    assert_eq!(origin.accepted(), 2, "what differs in more than weight is another");
    drop((second, third));
    until("no connection is left", || origins.connections() == 0).await;
}
