//! What GET and HEAD of an asset answer.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, StatusCode};
use ncore_serving::Outcome;
use ncore_telemetry::Allowance;

use crate::{
    client::{Answer, Http1, Raw},
    node::{Fence, Kept, MODIFIED, Node, bytes, eventually},
};

const MIB: usize = 1 << 20;
const LARGE: usize = 2 * MIB + 77_777;

fn etag(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(content);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// What every answer that selects the asset says.
fn assert_described(answer: &Answer, content: &[u8]) {
    assert_eq!(answer.header("etag"), etag(content));
    assert_eq!(answer.header("last-modified"), MODIFIED);
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("x-ncore-node"), "eu-ams-1");
    assert_eq!(answer.header("x-ncore-revision"), "1.42");
    assert_eq!(answer.header("server"), "ncore");
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_ne!(answer.header("date"), "");
}

#[tokio::test]
async fn whole_assets() {
    let node = Node::start();
    let cases = [
        ("small", 1_000, Kept::Memory, "ncore; hit", "HIT"),
        ("slice", MIB, Kept::Memory, "ncore; hit", "HIT"),
        ("large", LARGE, Kept::Memory, "ncore; hit", "HIT"),
        ("small/disk", 1_000, Kept::Disk, "ncore; hit", "HIT"),
        ("large/disk", LARGE, Kept::Disk, "ncore; hit", "HIT"),
        ("large/peer", LARGE, Kept::Peer, "ncore; fwd=miss", "MISS"),
    ];
    let mut client = Http1::connect(node.http).await;
    let mut sent = 0;
    for (path, size, kept, status, cache) in cases {
        let content = bytes(size);
        node.world.put(path, &content, kept);
        let answer = client.get(&format!("/assets/{path}?v=1"), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.whole && answer.body == content, "{path}");
        assert_described(&answer, &content);
        assert_eq!(answer.header("content-type"), "video/webm");
        assert_eq!(answer.header("content-length"), size.to_string());
        assert_eq!(answer.header("cache-status"), status, "{path}");
        assert_eq!(answer.header("x-cache"), cache, "{path}");
        sent += size as u64;
    }
    let metrics = &node.metrics;
    assert_eq!(metrics.requests(Outcome::Whole), 6);
    assert_eq!(metrics.hits.load(Ordering::Relaxed), 5);
    assert_eq!(metrics.misses.load(Ordering::Relaxed), 1);
    assert_eq!(metrics.slices_peer.load(Ordering::Relaxed), 3);
    assert_eq!(metrics.bytes_out.load(Ordering::Relaxed), sent);
    // The same for the client that has the assets, and what was refused.
    let beyond = client.get("/assets/small", &[("range", "bytes=9999-")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(client.get("/assets/nothing", &[]).await.status, StatusCode::NOT_FOUND);
    let used = node.world.usage.collect();
    let [used] = used.as_slice() else { panic!("{used:?}") };
    assert_eq!((&*used.client, used.statuses), ("cl_a", [6, 0, 1, 0]));
    assert_eq!((used.hits, used.misses, used.bytes_out), (5, 1, sent + beyond.body.len() as u64));
    // All of it on one connection.
    assert_eq!(metrics.connections_accepted.load(Ordering::Relaxed), 1);
    assert_eq!(metrics.responses_abandoned.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn head_says_what_get_does_and_loads_nothing() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a.webm", &content, Kept::Disk);
    let mut client = Http1::connect(node.http).await;
    let range = [("range", "bytes=0-9")];
    for fields in [&range[..0], &range[..]] {
        let answer = client.ask(Method::HEAD, "/assets/a.webm", fields).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_described(&answer, &content);
        assert_eq!(answer.header("content-length"), LARGE.to_string());
        assert_eq!(answer.body, Bytes::new());
    }
    assert_eq!(node.world.loads(), 0);
    let missing = client.ask(Method::HEAD, "/assets/missing", &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.body, Bytes::new());
    // The connection is in step after answers without bodies.
    assert!(client.get("/assets/a.webm", &[]).await.body == content);
}

#[tokio::test]
async fn an_asset_without_bytes() {
    let node = Node::start();
    node.world.put("empty", &Bytes::new(), Kept::Disk);
    let mut client = Http1::connect(node.http).await;
    for fields in [&[][..], &[("range", "bytes=0-")]] {
        let answer = client.get("/assets/empty", fields).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-length"), "0");
        assert_described(&answer, b"");
        assert!(answer.body.is_empty() && answer.whole);
    }
    assert_eq!(node.world.loads(), 0);
}

#[tokio::test]
async fn single_ranges() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::Disk);
    let end = LARGE - 1;
    let cases = [
        ("bytes=0-0".to_owned(), 0, 0),
        (format!("bytes={}-{MIB}", MIB - 1), MIB - 1, MIB),
        (format!("bytes={MIB}-{}", 2 * MIB - 1), MIB, 2 * MIB - 1),
        (format!("bytes=5-{}", 2 * MIB + 5), 5, 2 * MIB + 5),
        (format!("bytes={}-", 2 * MIB), 2 * MIB, end),
        ("bytes=-1".to_owned(), end, end),
        (format!("bytes=-{}", 10 * MIB), 0, end),
        (format!("bytes={end}-{}", 10 * MIB), end, end),
        ("bytes=0-9,10-19".to_owned(), 0, 19),
    ];
    let mut client = Http1::connect(node.http).await;
    for (range, first, last) in cases {
        let answer = client.get("/assets/a", &[("range", &range)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_described(&answer, &content);
        let content_range = format!("bytes {first}-{last}/{LARGE}");
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string());
        assert_eq!(answer.header("content-type"), "video/webm");
        assert!(answer.whole && answer.body == content[first..=last], "{range}");
    }
}

#[tokio::test]
async fn several_ranges() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::Disk);
    let ranges = [(2 * MIB - 5, 2 * MIB + 4), (0, 9), (LARGE - 3, LARGE - 1)];
    let field = format!("bytes={}-{},0-9,-3", ranges[0].0, ranges[0].1);

    let mut client = Http1::connect(node.http).await;
    let answer = client.get("/assets/a", &[("range", &field)]).await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
    assert_described(&answer, &content);
    assert_eq!(answer.header("content-range"), "");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let mut expected = Vec::new();
    for (first, last) in ranges {
        let head = format!("\r\n--{boundary}\r\nContent-Type: video/webm\r\nContent-Range: bytes {first}-{last}/{LARGE}\r\n\r\n");
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&content[first..=last]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected[2..]);

    let again = client.get("/assets/a", &[("range", &field)]).await;
    assert_ne!(again.header("content-type"), answer.header("content-type"), "a boundary can be foreseen");
    assert_eq!(node.metrics.requests(Outcome::Ranges), 2);
}

#[tokio::test]
async fn ranges_that_are_not_served() {
    let node = Node::start();
    let content = bytes(1_000);
    node.world.put("a", &content, Kept::Memory);
    let mut client = Http1::connect(node.http).await;
    for range in ["lines=1-2", "bytes=x", "bytes=0-,0-,0-,0-,0-", "bytes=9-1"] {
        let answer = client.get("/assets/a", &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{range}");
        assert_eq!(answer.body, content);
    }
    for range in ["bytes=1000-", "bytes=-0", "bytes=2000-3000,5000-"] {
        let answer = client.get("/assets/a", &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(answer.header("content-range"), "bytes */1000");
        assert_eq!(answer.problem()["code"], "range_not_satisfiable");
    }
}

#[tokio::test]
async fn conditions() {
    let node = Node::start();
    let content = bytes(1_000);
    node.world.put("a", &content, Kept::Disk);
    let tag = etag(&content);
    let weak = format!("W/{tag}");
    let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
    let (ok, unchanged, failed) = (StatusCode::OK, StatusCode::NOT_MODIFIED, StatusCode::PRECONDITION_FAILED);
    let cases: [(&[(&str, &str)], StatusCode); 10] = [
        (&[("if-none-match", &tag)], unchanged),
        (&[("if-none-match", &weak)], unchanged),
        (&[("if-none-match", "*")], unchanged),
        (&[("if-none-match", "\"other\"")], ok),
        (&[("if-modified-since", MODIFIED)], unchanged),
        (&[("if-modified-since", earlier)], ok),
        (&[("if-match", &tag)], ok),
        (&[("if-match", &weak)], failed),
        (&[("if-unmodified-since", earlier)], failed),
        // Conditions come before ranges.
        (&[("if-none-match", &tag), ("range", "bytes=5000-")], unchanged),
    ];
    let mut client = Http1::connect(node.http).await;
    for (fields, expected) in cases {
        for method in [Method::GET, Method::HEAD] {
            let answer = client.ask(method.clone(), "/assets/a", fields).await;
            assert_eq!(answer.status, expected, "{method} {fields:?}");
            match expected {
                StatusCode::NOT_MODIFIED => {
                    assert_described(&answer, &content);
                    assert_eq!(answer.header("content-length"), "");
                    assert_eq!(answer.header("content-type"), "");
                }
                StatusCode::PRECONDITION_FAILED if method == Method::GET => {
                    assert_eq!(answer.problem()["code"], "precondition_failed");
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn if_range() {
    let node = Node::start();
    let content = bytes(1_000);
    node.world.put("a", &content, Kept::Disk);
    let tag = etag(&content);
    let weak = format!("W/{tag}");
    let later = "Sun, 06 Nov 1994 08:49:38 GMT";
    let cases = [(tag.as_str(), true), (MODIFIED, true), (weak.as_str(), false), ("\"other\"", false), (later, false)];
    let mut client = Http1::connect(node.http).await;
    for (condition, holds) in cases {
        let fields = [("range", "bytes=10-19"), ("if-range", condition)];
        let answer = client.get("/assets/a", &fields).await;
        if holds {
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{condition}");
            assert_eq!(answer.body, content[10..20]);
        } else {
            assert_eq!(answer.status, StatusCode::OK, "{condition}");
            assert_eq!(answer.body, content);
        }
    }
    let alone = client.get("/assets/a", &[("if-range", "\"other\"")]).await;
    assert_eq!(alone.status, StatusCode::OK);
}

#[tokio::test]
async fn methods() {
    let node = Node::start();
    node.world.put("a", &bytes(10), Kept::Memory);
    let mut client = Http1::connect(node.http).await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = client.ask(method, "/assets/a", &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        assert_eq!(answer.problem()["code"], "method_not_allowed");
    }
    let options = client.ask(Method::OPTIONS, "/assets/a", &[]).await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    assert_eq!(options.header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(options.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert!(options.header("access-control-allow-headers").contains("Authorization, Range"));
    assert_eq!(options.header("access-control-allow-origin"), "*");
}

/// Every answer may be read by scripts of every origin, also one that refuses.
#[tokio::test]
async fn digests_and_origins() {
    let node = Node::start();
    let content = bytes(10);
    let entry = node.world.put("a", &content, Kept::Memory);
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, entry.facts().sha256);
    let mut client = Http1::connect(node.http).await;
    for (path, range, status) in
        [("/assets/a", "", 200), ("/assets/a", "bytes=1-2", 206), ("/assets/a", "bytes=99-", 416), ("/assets/b", "", 404)]
    {
        let fields: &[(&str, &str)] = if range.is_empty() { &[] } else { &[("range", range)] };
        let answer = client.get(path, fields).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-expose-headers").contains("Content-Range"));
        // Of the whole representation, also with a part of it.
        let expected = if status < 300 { format!("sha-256=:{digest}:") } else { String::new() };
        assert_eq!(answer.header("repr-digest"), expected);
    }
}

#[tokio::test]
async fn restricted_assets() {
    const TOKEN: (&str, &str) = ("authorization", "Bearer let-me-in");
    const BAD: (&str, &str) = ("authorization", "Bearer x");
    type Fields = &'static [(&'static str, &'static str)];
    let node = Node::start();
    for path in ["pub/a", "restricted/a", "secret/a"] {
        node.world.put(path, &bytes(10), Kept::Memory);
    }
    let cases: [(&str, Fields, u16, &str); 13] = [
        ("/pub/a", &[], 200, ""),
        ("/pub/a", &[BAD], 200, ""),
        ("/restricted/a", &[], 401, "token_missing"),
        ("/assets/restricted/a", &[], 401, "token_missing"),
        ("/assets/%72estricted/a", &[], 401, "token_missing"),
        ("/assets/secret/a", &[], 401, "token_missing"),
        ("/restricted/a", &[BAD], 401, "token_invalid"),
        ("/restricted/a", &[TOKEN], 200, ""),
        ("/restricted/a?let-me-in", &[], 200, ""),
        ("/restricted/a?let-me-in", &[BAD], 401, "token_invalid"),
        ("/assets/secret/a", &[TOKEN], 200, ""),
        // Whether it is there is said to those alone who could have it.
        ("/restricted/none", &[], 401, "token_missing"),
        ("/restricted/none", &[TOKEN], 404, "asset_not_found"),
    ];
    let mut client = Http1::connect(node.http).await;
    for (path, fields, status, code) in cases {
        let answer = client.get(path, fields).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {fields:?}");
        let is_public = path.starts_with("/pub/");
        match status {
            200 => assert_eq!(answer.header("cache-control").starts_with("public"), is_public, "{path}"),
            _ => {
                assert_eq!(answer.problem()["code"], code, "{path}");
                assert_eq!(answer.header("etag"), "", "nothing is told of it");
                assert_eq!(!answer.header("www-authenticate").is_empty(), status == 401);
            }
        }
    }
    // Conditions are of no interest before it is clear who asks.
    let conditional = client.get("/restricted/a", &[("if-none-match", "*")]).await;
    assert_eq!(conditional.status, StatusCode::UNAUTHORIZED);

    node.world.fence(Some(Fence::Serves));
    let stale = client.get("/restricted/a", &[TOKEN]).await;
    assert_eq!(stale.header("cache-control"), "private, max-age=0");
}

/// What a connection of its own gets to hear.
async fn said(addr: std::net::SocketAddr, request: &str) -> String {
    let mut socket = Raw::connect(addr).await;
    socket.write(request).await;
    socket.read_to_end().await
}

#[tokio::test]
async fn hosts_of_clients() {
    let node = Node::start();
    node.world.put("a", &Bytes::from_static(b"in plain text"), Kept::Memory);
    let cases = [
        ("one.test", "/a", 200),
        ("one.test:8080", "/a", 200),
        ("one.test", "/assets/a", 404),
        ("two.test", "/a", 404),
        ("two.test", "/assets/a", 404),
        ("node.test", "/assets/a", 200),
    ];
    for (host, path, status) in cases {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = said(node.http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} at {host}: {answer}");
        let request = format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = said(node.http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "absolute {path} at {host}: {answer}");
    }
}

#[tokio::test]
async fn problems() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("corrupt", &content, Kept::Corrupt);
    node.world.put("lost", &content, Kept::LostFrom(0));
    let cases = [
        ("/assets/missing", 404, "asset_not_found"),
        ("/assets/MISSING", 404, "asset_not_found"),
        ("/assets/", 400, "bad_path"),
        ("/assets/a//b", 400, "bad_path"),
        ("/assets/a/../b", 400, "bad_path"),
        ("/assets/%2e%2e/b", 400, "bad_path"),
        ("/assets/a%00", 400, "bad_path"),
        ("/assets/%ff", 400, "bad_path"),
        ("/assets/corrupt", 502, "content_corrupt"),
        ("/assets/lost", 503, "content_unreachable"),
        ("/assets/panic", 500, "panicked"),
    ];
    let mut client = Http1::connect(node.http).await;
    for (path, status, code) in cases {
        let answer = client.get(path, &[("x-request-id", "abc-1")]).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.header("x-request-id"), "abc-1");
        assert_eq!(answer.header("cache-control"), "no-store");
        let retry = if status == 503 { "1" } else { "" };
        assert_eq!(answer.header("retry-after"), retry);
        let problem = answer.problem();
        assert_eq!(problem["type"], format!("urn:ncore:problem:{}", problem["code"].as_str().expect("a code")));
        assert_ne!(problem["title"], "");
        assert_eq!(problem["message"], problem["detail"]);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code);
        assert_eq!(problem["request_id"], "abc-1");
        assert_ne!(problem["detail"], "");
        if code != "panicked" {
            assert_eq!(problem["instance"], path);
            assert_eq!(answer.header("x-ncore-node"), "eu-ams-1");
        }
    }
    node.world.close_view();
    let answer = client.get("/assets/lost", &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem()["code"], "view_unavailable");
    assert_eq!(node.metrics.connections_accepted.load(Ordering::Relaxed), 1);
}

/// What is sent while the node has lost touch with the cluster says so, and nobody keeps it without asking again.
#[tokio::test]
async fn an_old_view_is_marked_or_not_used() {
    let node = Node::start();
    node.world.put("a", &bytes(10), Kept::Memory);
    node.world.put("b", &bytes(10), Kept::Peer);
    let mut client = Http1::connect(node.http).await;
    let fresh = client.get("/assets/a", &[]).await;
    assert_eq!((fresh.header("x-ncore-view"), fresh.header("cache-control")), ("", "public, max-age=3600"));

    node.world.fence(Some(Fence::Serves));
    let etag = fresh.header("etag").to_owned();
    let range = [("range", "bytes=0-1")];
    let current = [("if-none-match", etag.as_str())];
    for (path, fields, status, cache_status) in [
        ("/assets/a", &[][..], 200, "ncore; hit; detail=stale-view"),
        ("/assets/b", &[], 200, "ncore; fwd=miss; detail=stale-view"),
        ("/assets/a", &range, 206, "ncore; hit; detail=stale-view"),
        ("/assets/a", &current, 304, "ncore; hit; detail=stale-view"),
    ] {
        let stale = client.get(path, fields).await;
        let marks = (stale.status.as_u16(), stale.header("x-ncore-view"), stale.header("cache-control"), stale.header("cache-status"));
        assert_eq!(marks, (status, "stale", "public, max-age=0", cache_status), "{path}");
    }
    let missing = client.get("/assets/none", &[]).await;
    let marks = (missing.status.as_u16(), missing.header("x-ncore-view"), missing.header("cache-control"));
    assert_eq!(marks, (404, "stale", "no-store"));

    node.world.fence(Some(Fence::Refuses));
    let refused = client.get("/assets/a", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.problem()["code"], "fenced");
    node.world.fence(None);
    assert_eq!(client.get("/assets/a", &[]).await.header("x-ncore-view"), "");
}

#[tokio::test]
async fn encoded_paths_name_the_same_asset() {
    let node = Node::start();
    let content = bytes(10);
    node.world.put("dir/a b\u{fc}.txt", &content, Kept::Memory);
    let mut client = Http1::connect(node.http).await;
    for path in ["/assets/dir/a%20b%C3%BC.txt", "/assets/dir%2Fa%20b%c3%bc.%74xt"] {
        assert_eq!(client.get(path, &[]).await.body, content, "{path}");
    }
}

/// A slice that is lost in the middle breaks the connection, and what came before it is right.
#[tokio::test]
async fn a_body_that_cannot_go_on_is_broken_off() {
    let node = Node::start();
    let content = bytes(LARGE);
    node.world.put("a", &content, Kept::LostFrom(2));
    let mut client = Http1::connect(node.http).await;
    let answer = client.get("/assets/a", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.whole);
    assert!(answer.body.len() <= 2 * MIB);
    assert!(content.starts_with(&answer.body));
    let broken = &node.metrics.responses_broken;
    assert_eq!(broken.load(Ordering::Relaxed), 1);
    // Nobody else is any the wiser.
    let fields = [("range", "bytes=0-99")];
    let mut other = Http1::connect(node.http).await;
    assert!(other.get("/assets/a", &fields).await.whole);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let node = Node::start();
    node.world.put("a", &bytes(LARGE), Kept::GatedFrom(1));
    let mut client = Http1::connect(node.http).await;
    let response = client.send(Method::GET, "/assets/a", &[]).await;
    drop((response, client));
    let abandoned = &node.metrics.responses_abandoned;
    eventually("abandoned", || abandoned.load(Ordering::Relaxed) == 1).await;
    let active = &node.metrics.connections_active;
    eventually("closed", || active.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn a_client_whose_bandwidth_is_used_up_is_refused() {
    let node = Node::start();
    node.world.put("a", &bytes(LARGE), Kept::Disk);
    let mut client = Http1::connect(node.http).await;
    let meter = node.world.usage.meter("cl_a");
    assert_eq!(client.get("/assets/a", &[]).await.status, 200);
    meter.allow(Allowance::Spent);
    for method in [Method::GET, Method::HEAD] {
        let refused = client.ask(method, "/assets/a", &[]).await;
        assert_eq!((refused.status.as_u16(), refused.header("cache-control")), (403, "no-store"));
    }
    assert_eq!(client.get("/assets/none", &[]).await.status, 404);
    meter.allow(Allowance::Left);
    assert_eq!(client.get("/assets/a", &[]).await.status, 200);
}
