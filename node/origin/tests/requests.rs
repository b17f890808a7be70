//! What origins are asked: the request of the viewer, without what is for one hop, and who asked as the caller knows it.

mod harness;

use harness::{RawOrigin, get, origins, patient, whole};
use http::{HeaderMap, HeaderValue, Method, Request};
use ncore_origin::{Chain, ErrorKind, FixedHost, HostField, RequestBody, Scheme, ViewerInfo};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive, x-mine\r\nkeep-alive: timeout=5\r\n\
    x-mine: 1\r\nproxy-authenticate: Basic\r\nx-kept: 1\r\n\r\nok";

fn viewer() -> ViewerInfo {
    ViewerInfo {
        address: "192.0.2.7".parse().expect("an address"),
        scheme: Scheme::Https,
        host: "www.example".into(),
        chain: Chain::Replace,
    }
}

/// What an origin is asked when it is sent this, and the fields of its answer.
async fn asked(host: HostField, request: Request<RequestBody>) -> (String, HeaderMap) {
    let origin = RawOrigin::answering(ANSWER).await;
    let origins = origins();
    let mut settings = patient(origin.url());
    settings.host = host;
    let set = origins.set(&settings).expect("a set");
    let response = origins.send(&set, request).await.expect("a response");
    let headers = response.headers().clone();
    whole(response).await.expect("a body");
    let head = origin.heads.lock()[0].replace(&origin.address.to_string(), "ORIGIN");
    (head, headers)
}

fn lines(head: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    lines
}

#[tokio::test]
async fn fields_for_one_hop_go_both_ways() {
    let request = Request::builder()
        .method(Method::DELETE)
        .uri("https://viewer.example/a%20b/../c?d=%2e#e")
        .header("host", "viewer.example")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("transfer-encoding", "chunked")
        .header("content-length", "50")
        .header("upgrade", "websocket")
        .header("expect", "100-continue")
        .header("proxy-authorization", "Basic c2VjcmV0")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-kept", "1")
        .header("x-kept", "2")
        .body(RequestBody::empty())
        .expect("a request");
    let (head, headers) = asked(HostField::Origin, request).await;
    assert_eq!(lines(&head), ["DELETE /a%20b/../c?d=%2e HTTP/1.1", "cookie: a=1; b=2", "host: ORIGIN", "x-kept: 1", "x-kept: 2",]);
    let mut left: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "x-kept"]);
}

#[tokio::test]
async fn who_asked_is_what_the_caller_says() {
    let mut request = get("/");
    for name in ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x_forwarded_for"] {
        request.headers_mut().insert(name, HeaderValue::from_static("10.0.0.1"));
    }
    request.extensions_mut().insert(viewer());
    let (head, _) = asked(HostField::Viewer, request).await;
    assert_eq!(
        lines(&head),
        [
            "GET / HTTP/1.1",
            "forwarded: for=192.0.2.7;host=\"www.example\";proto=https",
            "host: www.example",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: www.example",
            "x-forwarded-proto: https",
        ]
    );
}

#[tokio::test]
async fn the_host_is_what_the_set_says() {
    let fixed = HostField::Fixed(FixedHost::new("Fixed.Example:81").expect("a host"));
    for (host, told) in [(HostField::Origin, "ORIGIN"), (fixed, "fixed.example:81"), (HostField::Viewer, "viewer.example")] {
        let request = Request::get("/").header("host", "viewer.example").body(RequestBody::empty()).expect("a request");
        let (head, _) = asked(host, request).await;
        assert_eq!(lines(&head), ["GET / HTTP/1.1", &format!("host: {told}")]);
    }
}

#[tokio::test]
async fn a_request_that_has_no_body_says_so_where_one_is_looked_for() {
    for (method, length) in [(Method::POST, true), (Method::PUT, true), (Method::GET, false), (Method::HEAD, false)] {
        let request = Request::builder().method(&method).uri("/").body(RequestBody::empty()).expect("a request");
        let origin = RawOrigin::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
        let origins = origins();
        let set = origins.set(&patient(origin.url())).expect("a set");
        whole(origins.send(&set, request).await.expect("a response")).await.expect("a body");
        let head = origin.heads.lock()[0].clone();
        assert_eq!(head.contains("content-length: 0\r\n"), length, "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}

#[tokio::test]
async fn what_is_no_request_to_an_origin_is_not_sent() {
    let origin = RawOrigin::answering(ANSWER).await;
    let origins = origins();
    let set = origins.set(&patient(origin.url())).expect("a set");
    let connect = Request::builder().method(Method::CONNECT).uri("other.example:443").body(RequestBody::empty()).expect("a request");
    let error = origins.send(&set, connect).await.expect_err("it is not sent");
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Unsendable, 400));
    assert_eq!(origin.accepted(), 0);
}
