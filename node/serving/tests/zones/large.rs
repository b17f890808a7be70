//! Content of several slices.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::{
    origin::Reply,
    site::{Answer, Site},
};

/// Bytes of which no two slices are alike.
fn bytes(length: u64) -> Bytes {
    (0..length).map(|at| at.wrapping_mul(0x9e37_79b9).to_le_bytes()[2]).collect()
}

#[tokio::test]
async fn slices() {
    let site = Site::start().await;
    let content = bytes((3 << 20) + 5);
    site.origin.reply("/a", Reply::new(200, content.clone()).cached("max-age=60"));
    for cache in ["MISS", "HIT"] {
        let answer = site.get("/a", &[]).await;
        assert_eq!((answer.cache(), answer.whole), (cache, true));
        assert!(answer.body == content, "{cache}: other bytes");
    }
    let cases = [("bytes=0-0", 0..1), ("bytes=1048575-1048576", 1_048_575..1_048_577), ("bytes=-5", content.len() - 5..content.len())];
    for (range, expected) in cases {
        let part = site.get("/a", &[("range", range)]).await;
        assert_eq!((part.status.as_u16(), part.cache(), &part.body), (206, "HIT", &content.slice(expected)), "{range}");
    }
    let parts = site.get("/a", &[("range", "bytes=0-1,3145730-")]).await;
    assert_eq!((parts.status.as_u16(), parts.whole), (206, true));
    assert!(parts.header("content-type").starts_with("multipart/byteranges"));
    assert_eq!(parts.header("content-length"), parts.body.len().to_string());
    assert_eq!(site.origin.count(), 1);
}

#[tokio::test]
async fn without_a_length() {
    let site = Site::start().await;
    let content = bytes((1 << 20) + 1);
    site.origin.reply("/a", Reply::new(200, content.clone()).cached("max-age=60").field("x-chunked", "1"));
    let miss = site.get("/a", &[]).await;
    assert_eq!((miss.header("content-length"), miss.body == content), ("", true));
    let hit = site.get("/a", &[]).await;
    assert_eq!((hit.cache(), hit.header("content-length"), hit.body == content), ("HIT", "1048577", true));
}

#[tokio::test]
async fn it_streams_while_it_fills() {
    let site = Site::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let content = bytes(3 << 20);
    site.origin.reply("/a", Reply::new(200, content.clone()).cached("max-age=60").halved(&gate));
    let mut first = site.send(Method::GET, "/a", &[]).await;
    let frame = first.body_mut().frame().await.expect("a frame").expect("bytes");
    assert!(frame.data_ref().is_some_and(|bytes| content.starts_with(bytes)), "before the origin is done");
    let mut second = site.send(Method::GET, "/a", &[]).await;
    assert!(second.headers()["cache-status"].to_str().expect("ASCII").contains("collapsed"));
    assert!(second.body_mut().frame().await.expect("a frame").is_ok());
    let part = site.send(Method::GET, "/a", &[("range", "bytes=0-9")]).await;
    let part = Answer::read(part).await;
    assert_eq!((part.status.as_u16(), part.body), (206, content.slice(..10)));
    gate.close();
    for response in [first, second] {
        let rest = Answer::read(response).await;
        assert!(rest.whole && content.ends_with(&rest.body));
    }
    assert_eq!(site.origin.count(), 1);
}

#[tokio::test]
async fn an_origin_that_breaks_off() {
    let site = Site::start().await;
    site.origin.reply("/a", Reply::new(200, bytes(3 << 20)).cached("max-age=60").broken());
    site.origin.reply("/a", Reply::new(200, "whole").cached("max-age=60"));
    let broken = site.get("/a", &[]).await;
    assert!(!broken.whole, "the viewer is told");
    let next = site.get("/a", &[]).await;
    assert_eq!((next.cache(), next.text()), ("MISS", "whole"));
}
