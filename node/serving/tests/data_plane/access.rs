//! The record of each request that was answered.

use bytes::Bytes;
use http::Method;
use ncore_telemetry::{AccessQuery, AccessRecord, AccessWriter, CacheUse, PathClass};

use crate::{
    client::{Http1, Raw},
    node::{Kept, Node, eventually},
};

fn content(bytes: usize) -> Bytes {
    Bytes::from(vec![7; bytes])
}

/// The records of a node once there are so many, the oldest first.
async fn records(node: &Node, count: usize) -> Vec<AccessRecord> {
    let _writer = AccessWriter::start(node.log.clone(), None, "one").expect("a thread");
    let all = || node.log.find(&AccessQuery::default(), 1, 100);
    eventually("the records", || all().len() >= count).await;
    let mut records = all();
    records.sort_by_key(|record| record.number);
    assert_eq!(records.len(), count, "{records:?}");
    records
}

#[tokio::test]
async fn a_record_says_what_the_answer_said_and_nothing_of_the_query() {
    let node = Node::start();
    let bytes = content(5_000);
    node.world.put("pub/a", &bytes, Kept::Memory);
    node.world.put("b", &bytes, Kept::Peer);
    node.world.put("restricted/c", &bytes, Kept::Memory);
    let mut client = Http1::connect(node.http).await;
    let agent = ("user-agent", "test/1");
    let first = client.get("/pub/a?let-me-in&access_token=geheim&nc_signature=geheim", &[agent, ("x-request-id", "given-1")]).await;
    let second = client.get("/assets/b", &[]).await;
    client.get("/restricted/c?let-me-in", &[]).await;
    client.get("/restricted/c", &[]).await;
    client.ask(Method::HEAD, "/pub/a", &[]).await;
    client.get("/pub/a", &[("range", "bytes=0-9")]).await;
    client.get("/echo", &[]).await;
    client.get("/panic", &[]).await;
    let records = records(&node, 8).await;

    let said: Vec<_> = records
        .iter()
        .map(|record| (record.path(), record.status, record.bytes, record.cache, record.class, record.client.as_deref()))
        .collect();
    let one = Some("cl_1");
    let problem = records[3].bytes;
    let panic = records[7].bytes;
    let expected = [
        ("/pub/a", 200, 5_000, CacheUse::Hit, PathClass::Public, one),
        ("/assets/b", 200, 5_000, CacheUse::Miss, PathClass::Asset, one),
        ("/restricted/c", 200, 5_000, CacheUse::Hit, PathClass::Restricted, one),
        ("/restricted/c", 401, problem, CacheUse::None, PathClass::Restricted, one),
        ("/pub/a", 200, 0, CacheUse::Hit, PathClass::Public, one),
        ("/pub/a", 206, 10, CacheUse::Hit, PathClass::Public, one),
        ("/echo", 200, records[6].bytes, CacheUse::None, PathClass::Node, None),
        ("/panic", 500, panic, CacheUse::None, PathClass::Node, None),
    ];
    assert_eq!(said, expected);
    assert!(problem > 0 && panic > 0);
    assert!(!format!("{records:?}").contains("geheim") && !format!("{records:?}").contains("let-me-in"), "{records:?}");
    assert_eq!([records[0].method(), records[0].request_id(), records[0].agent()], ["GET", "given-1", "test/1"]);
    assert_eq!((first.header("x-request-id"), second.header("x-request-id")), (records[0].request_id(), records[1].request_id()));
    assert!(records.iter().all(|record| record.remote.is_loopback() && record.ended_us > 0));
    assert_eq!(records[4].method(), "HEAD");
}

#[tokio::test]
async fn on_the_host_of_a_client_a_record_is_that_clients() {
    let node = Node::start();
    node.world.put("metrics", &content(3), Kept::Memory);
    let mut raw = Raw::connect(node.http).await;
    raw.write("GET /metrics HTTP/1.1\r\nHost: one.test:80\r\n\r\nGET /none HTTP/1.1\r\nHost: two.test\r\n\r\nGET /none HTTP/1.1\r\n\r\n")
        .await;
    let records = records(&node, 3).await;
    let said: Vec<_> = records.iter().map(|record| (record.host(), record.status, record.class, record.client.as_deref())).collect();
    let expected = [
        ("one.test", 200, PathClass::Asset, Some("cl_1")),
        ("two.test", 404, PathClass::Asset, Some("cl_2")),
        ("", 400, PathClass::Node, None),
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn an_answer_that_broke_off_is_recorded_with_what_was_sent() {
    let node = Node::start();
    let bytes = content(3 << 20);
    node.world.put("broken", &bytes, Kept::LostFrom(1));
    let answer = Http1::connect(node.http).await.get("/assets/broken", &[]).await;
    assert!(!answer.whole);
    let records = records(&node, 1).await;
    assert_eq!((records[0].status, records[0].bytes), (200, 1 << 20));
    assert!(records[0].took_us > 0);
}
