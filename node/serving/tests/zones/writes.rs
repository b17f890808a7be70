//! Methods that are not cached, and what they end of what is.

use bytes::Bytes;
use http::Method;

use crate::{
    origin::Reply,
    site::{Answer, Site},
};

#[tokio::test]
async fn a_write_ends_what_is_stored() {
    let page = || Reply::new(200, "content").cached("max-age=60");
    let cases = [
        (Method::POST, Reply::new(201, "done"), "/a", "MISS"),
        (Method::PUT, Reply::new(204, ""), "/a", "MISS"),
        (Method::DELETE, Reply::new(200, "done"), "/a", "MISS"),
        (Method::from_bytes(b"FROB").expect("a method"), Reply::new(200, "done"), "/a", "MISS"),
        (Method::POST, Reply::new(500, "no"), "/a", "HIT"),
        (Method::OPTIONS, Reply::new(200, ""), "/a", "HIT"),
        (Method::POST, Reply::new(201, "done").field("location", "/b"), "/b", "MISS"),
        (Method::POST, Reply::new(201, "done").field("content-location", "b"), "/b", "MISS"),
        (Method::POST, Reply::new(201, "done").field("location", "http://other.test/b"), "/b", "HIT"),
    ];
    for (method, reply, path, cache) in cases {
        let site = Site::start().await;
        site.origin.reply(path, page());
        site.get(path, &[]).await;
        // The one who writes asks the same path for itself.
        let target = if path == "/a" { "/a" } else { "/w" };
        if target == "/a" {
            let site_of_page = site.get(path, &[]).await;
            assert_eq!(site_of_page.cache(), "HIT");
            site.origin.reply("/a", reply.clone());
            site.origin.reply("/a", page());
            // The first of them answers no more.
            site.origin.skip("/a");
        } else {
            site.origin.reply("/w", reply.clone());
        }
        let written = site.ask(method.clone(), target, &[]).await;
        assert_eq!(written.cache(), "BYPASS", "{method} {target}");
        assert_eq!(written.header("cache-status"), "ncore;fwd=method");
        assert_eq!(site.get(path, &[]).await.cache(), cache, "{method} {target}, then {path}");
    }
}

#[tokio::test]
async fn what_is_written_gets_to_the_origin_as_it_is() {
    let site = Site::start_with(|zone| zone.prefix = "/before".into()).await;
    site.origin.reply("/before/a", Reply::new(201, "done").cached("max-age=60"));
    let body = Bytes::from(vec![7; 3 << 20]);
    let answer = Answer::read(site.send_body(Method::PUT, "/a?b=c", &[("content-type", "x/y")], body.clone()).await).await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.cache()), (201, "done", "BYPASS"));
    let seen = site.origin.last();
    assert_eq!((seen.method.as_str(), &*seen.target, seen.header("content-type")), ("PUT", "/before/a?b=c", "x/y"));
    assert!(seen.body == body, "other bytes");
}
