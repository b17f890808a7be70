//! Requests over HTTP/2 that take their time, by the client of `h2`: bodies both ways, who gives up, and who holds up whom.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::Ordering,
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::timeout;

use crate::{
    client::tls,
    node::{HOPS, Kept, Node, PATIENCE, bytes, eventually},
};

const LARGE: usize = (2 << 20) + 77_777;

/// A connection to `node`.
async fn open(node: &Node) -> SendRequest<Bytes> {
    let socket = tls(node.https, &node.certificate, b"h2").await;
    let (client, connection) = h2::client::handshake(socket).await.expect("begun");
    tokio::spawn(connection);
    client
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("https://localhost{path}")).body(()).expect("a request")
}

async fn ask(client: &SendRequest<Bytes>, method: Method, path: &str) -> Response<RecvStream> {
    let mut client = client.clone().ready().await.expect("open");
    let (response, _) = client.send_request(request(method, path), true).expect("sent");
    in_time(response).await.expect("a response")
}

async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.expect("in time")
}

/// A body to its end, with its trailers; or why it broke off.
async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = in_time(body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len()).expect("taken");
        all.extend_from_slice(&data);
    }
    Ok((all, in_time(body.trailers()).await?))
}

/// Sends a body as the node takes it.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = in_time(poll_fn(|cx| stream.poll_capacity(cx))).await.expect("open").expect("open");
        stream.send_data(data.split_to(room), false).expect("sent");
    }
}

/// What hyper did for a response, and what is done now.
#[tokio::test]
async fn heads_of_responses() {
    let node = Node::start();
    let client = open(&node).await;
    let mut plain = ask(&client, Method::GET, "/hops").await;
    for (name, _) in HOPS {
        assert!(!plain.headers().contains_key(name), "{name}");
    }
    assert_eq!(plain.headers()["content-length"], "4");
    assert!(httpdate::parse_http_date(plain.headers()["date"].to_str().expect("ASCII")).is_ok());
    assert!(plain.headers()["alt-svc"].to_str().expect("ASCII").starts_with("h3="));
    assert_eq!(read(plain.body_mut()).await.expect("whole").0, b"hops");
    // Whatever a handler says, these have none.
    for (method, path) in [(Method::GET, "/no-content"), (Method::HEAD, "/no-content"), (Method::HEAD, "/hops")] {
        let response = ask(&client, method, path).await;
        assert!(response.body().is_end_stream(), "{path}");
    }
    let mut trailed = ask(&client, Method::GET, "/trailers").await;
    let (body, trailers) = read(trailed.body_mut()).await.expect("whole");
    assert_eq!((body.as_slice(), &trailers.expect("there")["x-after"]), (&b"one"[..], &"all".parse().expect("a value")));
}

/// More than all windows together.
#[tokio::test]
async fn bodies_of_requests_come_as_they_are_read() {
    let node = Node::start();
    let mut client = open(&node).await.ready().await.expect("open");
    let (response, mut stream) = client.send_request(request(Method::POST, "/x"), false).expect("sent");
    send(&mut stream, bytes(9 << 20)).await;
    let trailers = HeaderMap::from_iter([("x-after".parse().expect("a name"), "all".parse().expect("a value"))]);
    stream.send_trailers(trailers).expect("sent");
    let mut response = in_time(response).await.expect("a response");
    assert_eq!(read(response.body_mut()).await.expect("whole").0, format!("{} bytes", 9 << 20).into_bytes());
}

/// Who does not read gets no more than the window of the stream, and holds up nobody.
#[tokio::test]
async fn bodies_that_are_not_read_are_held_back() {
    let window = 100_000;
    let node = Node::start_with(|settings| settings.http2.stream_window_bytes = window);
    let client = open(&node).await;
    // So that the client knows the settings.
    ask(&client, Method::GET, "/stream").await;
    let mut ready = client.clone().ready().await.expect("open");
    let (response, mut stream) = ready.send_request(request(Method::POST, "/deaf"), false).expect("sent");
    send(&mut stream, bytes(usize::try_from(window).expect("small"))).await;
    stream.reserve_capacity(1);
    let mut more = Box::pin(poll_fn(|cx| stream.poll_capacity(cx)));
    assert!(timeout(Duration::from_millis(300), &mut more).await.is_err(), "there is room for more");
    drop(more);
    assert_eq!(ask(&client, Method::GET, "/stream").await.status(), StatusCode::OK);
    // Given up, it is not waited for any more; and whoever waited is gone.
    assert_eq!(node.waiting.load(Ordering::Relaxed), 1);
    stream.send_reset(Reason::CANCEL);
    eventually("dropped", || node.waiting.load(Ordering::Relaxed) == 0).await;
    drop(response);
}

#[tokio::test]
async fn who_goes_away_leaves_nobody_waiting() {
    let node = Node::start();
    let client = open(&node).await;
    let asked = (0..5).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { ask(&client, Method::GET, "/deaf").await })
    });
    let asked: Vec<_> = asked.collect();
    eventually("asked", || node.waiting.load(Ordering::Relaxed) == 5).await;
    for one in asked {
        one.abort();
    }
    drop(client);
    eventually("dropped", || node.waiting.load(Ordering::Relaxed) == 0).await;
    let active = &node.metrics.connections_active;
    eventually("closed", || active.load(Ordering::Relaxed) == 0).await;
}

/// As many as there may be wait, and all the others are answered meanwhile.
#[tokio::test]
async fn who_is_slow_holds_up_nobody() {
    let node = Node::start();
    node.world.put("slow", &bytes(LARGE), Kept::GatedFrom(0));
    node.world.put("a", &bytes(1_000), Kept::Memory);
    let client = open(&node).await;
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { read(ask(&client, Method::GET, "/assets/slow").await.body_mut()).await })
        })
        .collect();
    eventually("under way", || node.world.loads() > 0).await;
    for _ in 0..100 {
        let mut quick = ask(&client, Method::GET, "/assets/a").await;
        assert_eq!(read(quick.body_mut()).await.expect("whole").0.len(), 1_000);
    }
    node.world.open_gate();
    for one in slow {
        assert!(one.await.expect("no panic").expect("whole").0 == bytes(LARGE));
    }
}

/// The node has room for a body whose client takes a little at a time, and then it does not read on.
#[tokio::test]
async fn a_client_that_takes_little_gets_all_of_it() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::Memory);
    let socket = tls(node.https, &node.certificate, b"h2").await;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(1_000)
        .initial_connection_window_size(70_000)
        .handshake::<_, Bytes>(socket)
        .await
        .expect("begun");
    tokio::spawn(connection);
    let both = [0, 1].map(|_| {
        let client = client.clone();
        tokio::spawn(async move { read(ask(&client, Method::GET, "/assets/a").await.body_mut()).await })
    });
    for one in both {
        assert!(one.await.expect("no panic").expect("whole").0 == content);
    }
}

/// The router contains a handler that panics; a body that does takes its stream with it, and no more.
#[tokio::test]
async fn a_body_that_panics_resets_its_stream() {
    let node = Node::start();
    let client = open(&node).await;
    let mut dies = ask(&client, Method::GET, "/dies").await;
    let error = read(dies.body_mut()).await.expect_err("broken off");
    assert!(error.is_reset(), "{error}");
    assert_eq!(ask(&client, Method::GET, "/panic").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(ask(&client, Method::GET, "/stream").await.status(), StatusCode::OK);
    assert_eq!(node.metrics.connections_accepted.load(Ordering::Relaxed), 1);
}

/// RFC 9110 §10.1.1: who waits to be told sends its body then; and it is told only if the body is wanted.
#[tokio::test]
async fn who_waits_to_be_told_is_told() {
    let node = Node::start();
    let mut client = open(&node).await.ready().await.expect("open");
    let mut asked = request(Method::POST, "/x");
    asked.headers_mut().insert("expect", "100-continue".parse().expect("a value"));
    let (mut response, mut stream) = client.send_request(asked.clone(), false).expect("sent");
    let told = in_time(poll_fn(|cx| response.poll_informational(cx))).await.expect("told").expect("told");
    assert_eq!(told.status(), StatusCode::CONTINUE);
    stream.send_data(Bytes::from_static(b"four"), true).expect("sent");
    let mut response = in_time(response).await.expect("a response");
    assert_eq!(read(response.body_mut()).await.expect("whole").0, b"4 bytes");

    *asked.uri_mut() = "https://localhost/stream".parse().expect("an address");
    let (mut response, _stream) = client.send_request(asked, false).expect("sent");
    let told = in_time(poll_fn(|cx| {
        let polled = Pin::new(&mut response).poll(cx);
        polled.map(|response| response.expect("a response").status())
    }));
    assert_eq!(told.await, StatusCode::OK);
}

/// An answer that comes before the body of its request: the rest is not wanted, and that is no failure.
#[tokio::test]
async fn an_early_answer_is_whole() {
    let node = Node::start();
    let mut client = open(&node).await.ready().await.expect("open");
    let (response, mut stream) = client.send_request(request(Method::POST, "/stream"), false).expect("sent");
    let mut response = in_time(response).await.expect("a response");
    assert_eq!(read(response.body_mut()).await.expect("whole").0, b"one two");
    let reason = in_time(poll_fn(|cx| stream.poll_reset(cx))).await.expect("reset");
    assert_eq!(reason, Reason::NO_ERROR);
}

#[tokio::test]
async fn a_client_may_have_as_many_requests_as_it_is_told() {
    let node = Node::start_with(|settings| settings.http2.streams_max = 3);
    let client = open(&node).await;
    ask(&client, Method::GET, "/stream").await;
    assert_eq!(client.current_max_send_streams(), 3);
}
