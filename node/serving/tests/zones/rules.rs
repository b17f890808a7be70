//! One request after another: what the second one gets, and what the origin sees of it.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use ncore_cache::reuse::{Requests, ReusePolicy};
use ncore_serving::zones::{Bypass, CacheUsed, FencedZone, TtlSettings};

use crate::{
    origin::Reply,
    site::{Fields, Site},
};

/// What the second of two requests gets.
struct Case {
    what: &'static str,
    first: Reply,
    asks: Fields<'static>,
    /// `X-Cache`.
    cache: &'static str,
    status: u16,
    /// How `Cache-Status` begins.
    told: &'static str,
}

fn page() -> Reply {
    Reply::new(200, "content")
}

fn cases() -> Vec<Case> {
    let case = |what, first, asks, cache, status, told| Case { what, first, asks, cache, status, told };
    let none: Fields<'static> = &[];
    vec![
        case("fresh", page().cached("max-age=60"), none, "HIT", 200, "ncore;hit;ttl="),
        case("for shared caches", page().cached("max-age=0, s-maxage=60"), none, "HIT", 200, "ncore;hit"),
        case("of the CDN", page().cached("no-store").field("cdn-cache-control", "max-age=60"), none, "HIT", 200, "ncore;hit"),
        case("no-store", page().cached("no-store"), none, "MISS", 200, "ncore;fwd=uri-miss"),
        case("private", page().cached("private, max-age=60"), none, "MISS", 200, "ncore;fwd=uri-miss"),
        case("nothing said", page(), none, "MISS", 200, "ncore;fwd=uri-miss"),
        case("a cookie", page().cached("max-age=60").field("set-cookie", "a=b"), none, "MISS", 200, "ncore;fwd=uri-miss"),
        case("varies by all", page().cached("max-age=60").field("vary", "*"), none, "MISS", 200, "ncore;fwd=uri-miss"),
        case("varies", page().cached("max-age=60").field("vary", "x-a"), &[("x-a", "1")], "MISS", 200, "ncore;fwd=vary-miss"),
        case("stale", page().cached("max-age=60").field("age", "90").field("etag", "\"a\""), none, "MISS", 200, "ncore;fwd=stale;stored"),
        case("the request wants newer", page().cached("max-age=60"), &[("cache-control", "no-cache")], "MISS", 200, "ncore;fwd=request"),
        case(
            "the request takes stale",
            page().cached("max-age=60").field("age", "90"),
            &[("cache-control", "max-stale=60")],
            "STALE",
            200,
            "ncore;hit;ttl=-",
        ),
        case(
            "the viewer has it",
            page().cached("max-age=60").field("etag", "\"a\""),
            &[("if-none-match", "\"a\"")],
            "HIT",
            304,
            "ncore;hit",
        ),
        case("another version", page().cached("max-age=60").field("etag", "\"a\""), &[("if-match", "\"b\"")], "HIT", 412, "ncore;hit"),
        case("a part", page().cached("max-age=60"), &[("range", "bytes=1-2")], "HIT", 206, "ncore;hit"),
        case("two parts", page().cached("max-age=60"), &[("range", "bytes=0-0,-1")], "HIT", 206, "ncore;hit"),
        case("no such part", page().cached("max-age=60"), &[("range", "bytes=7-")], "HIT", 416, "ncore;hit"),
        case(
            "a part of another version",
            page().cached("max-age=60").field("etag", "\"a\""),
            &[("range", "bytes=1-2"), ("if-range", "\"b\"")],
            "HIT",
            200,
            "ncore;hit",
        ),
        case("gone", Reply::new(410, "gone").cached("max-age=60"), none, "HIT", 410, "ncore;hit"),
        case("a redirect", Reply::new(302, "").cached("max-age=60"), none, "HIT", 302, "ncore;hit"),
        case("no content", Reply::new(204, "").cached("max-age=60"), none, "HIT", 204, "ncore;hit"),
        case("a failure", Reply::new(500, "oh"), none, "MISS", 500, "ncore;fwd=uri-miss"),
    ]
}

#[tokio::test]
async fn the_second_of_two_requests() {
    for Case { what, first, asks, cache, status, told } in cases() {
        let site = Site::start().await;
        site.origin.reply("/a", first);
        let before = site.get("/a", &[]).await;
        assert_eq!(before.cache(), "MISS", "{what}: the first");
        let after = site.get("/a", asks).await;
        assert_eq!((after.cache(), after.status.as_u16()), (cache, status), "{what}: {after:?}");
        assert!(after.header("cache-status").starts_with(told), "{what}: {}", after.header("cache-status"));
        assert!(after.header("via").contains("1.1 ncore"), "{what}");
        assert!(!after.header("x-request-id").is_empty(), "{what}");
        let asked = usize::from(cache == "MISS") + 1;
        assert_eq!(site.origin.count(), asked, "{what}: requests of the origin");
    }
}

#[tokio::test]
async fn bodies_and_fields_are_those_of_the_origin() {
    let site = Site::start().await;
    let fields = [("x-own", "1"), ("connection", "x-hop"), ("x-hop", "1"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("server", "theirs")];
    let reply = fields.iter().fold(page().cached("max-age=9999999999"), |reply, (name, value)| reply.field(name, *value));
    site.origin.reply("/a", reply);
    for turn in ["MISS", "HIT"] {
        let answer = site.get("/a", &[]).await;
        assert_eq!((answer.cache(), answer.text(), answer.whole), (turn, "content", true));
        assert_eq!((answer.header("x-own"), answer.header("x-hop"), answer.header("server")), ("1", "", "theirs"));
        assert_eq!(answer.header("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(answer.header("age").parse::<u64>().expect("a number") > 900_000_000, "by its date");
    }
    assert_eq!(site.get("/a", &[("range", "bytes=1-3")]).await.text(), "ont");
    assert_eq!(site.get("/a", &[("range", "bytes=1-3")]).await.header("content-range"), "bytes 1-3/7");
    let head = site.ask(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.cache(), head.header("content-length"), head.text()), ("HIT", "7", ""));
    assert_eq!(site.origin.count(), 1);
}

#[tokio::test]
async fn what_is_valid_is_kept_and_its_fields_are_renewed() {
    let site = Site::start().await;
    site.origin
        .reply("/a", page().cached("max-age=60").field("age", "90").field("etag", "\"a\"").field("x-own", "old").field("x-kept", "1"));
    site.origin.reply("/a", Reply::new(304, "").cached("max-age=60").field("etag", "\"a\"").field("x-own", "new"));
    assert_eq!(site.get("/a", &[]).await.cache(), "MISS");
    let renewed = site.get("/a", &[]).await;
    assert_eq!((renewed.cache(), renewed.text()), ("REVALIDATED", "content"));
    assert!(renewed.header("cache-status").starts_with("ncore;fwd=stale;fwd-status=304;stored"), "{renewed:?}");
    assert_eq!(site.origin.last().header("if-none-match"), "\"a\"");
    let hit = site.get("/a", &[]).await;
    assert_eq!((hit.cache(), hit.header("x-own"), hit.header("x-kept"), hit.text()), ("HIT", "new", "1", "content"));
    assert_eq!(site.origin.count(), 2);
}

#[tokio::test]
async fn a_304_about_something_else_is_not_used() {
    let site = Site::start().await;
    site.origin.reply("/a", page().cached("max-age=60").field("age", "90").field("etag", "\"a\""));
    site.origin.reply("/a", Reply::new(304, "").cached("max-age=60").field("etag", "\"b\""));
    site.origin.reply("/a", Reply::new(200, "newer").cached("max-age=60").field("etag", "\"b\""));
    site.get("/a", &[]).await;
    let answer = site.get("/a", &[]).await;
    assert_eq!((answer.cache(), answer.text()), ("MISS", "newer"));
    assert_eq!(site.origin.last().header("if-none-match"), "", "it was asked for without a condition");
}

#[tokio::test]
async fn what_is_stale_is_used_when_the_origin_fails_if_that_is_allowed() {
    let stale = |more: &str| page().cached(&format!("max-age=60{more}")).field("age", "90");
    let policy = ReusePolicy { stale_if_error_s: 3_600, ..ReusePolicy::STRICT };
    let cases = [
        ("nothing allows it", stale("").field("etag", "\"a\""), ReusePolicy::STRICT, "MISS", 503),
        ("the response does", stale(", stale-if-error=60"), ReusePolicy::STRICT, "STALE", 200),
        ("the zone does", stale("").field("etag", "\"a\""), policy, "STALE", 200),
        ("the response forbids it", stale(", must-revalidate").field("etag", "\"a\""), policy, "MISS", 503),
        ("not for so long", stale(", stale-if-error=10").field("etag", "\"a\""), policy, "MISS", 503),
    ];
    for (what, first, policy, cache, status) in cases {
        let site = Site::start_with(|zone| zone.reuse = policy).await;
        site.origin.reply("/a", first);
        site.origin.reply("/a", Reply::new(503, "not now"));
        site.get("/a", &[]).await;
        let answer = site.get("/a", &[]).await;
        assert_eq!((answer.cache(), answer.status.as_u16()), (cache, status), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn an_origin_that_is_not_there() {
    let site = Site::start().await;
    site.origin.reply("/a", page().cached("max-age=60, stale-if-error=60").field("age", "70"));
    site.get("/a", &[]).await;
    site.origin.stop();
    let stale = site.get("/a", &[]).await;
    assert_eq!((stale.cache(), stale.text()), ("STALE", "content"));
    let failed = site.get("/b", &[]).await;
    assert_eq!((failed.cache(), failed.status), ("ERROR", StatusCode::BAD_GATEWAY));
    assert_eq!(failed.header("content-type"), "application/problem+json");
    assert!(!failed.text().contains(&site.origin.addr.to_string()), "where the origin is: {}", failed.text());
    assert_eq!(site.origin.count(), 1);
}

#[tokio::test]
async fn stale_while_revalidate() {
    let site = Site::start().await;
    site.origin.reply("/a", page().cached("max-age=60, stale-while-revalidate=600").field("age", "90"));
    site.origin.reply("/a", Reply::new(200, "newer").cached("max-age=60"));
    site.get("/a", &[]).await;
    let stale = site.get("/a", &[]).await;
    assert_eq!((stale.cache(), stale.text()), ("STALE", "content"));
    assert!(stale.header("cache-status").contains("detail=revalidating"));
    crate::site::eventually("it was asked for", || site.origin.count() == 2).await;
    let mut newer = site.get("/a", &[]).await;
    while newer.cache() != "HIT" {
        assert_eq!(newer.cache(), "STALE");
        newer = site.get("/a", &[]).await;
    }
    assert_eq!((newer.text(), site.origin.count()), ("newer", 2));
}

#[tokio::test]
async fn nothing_from_before_a_purge_is_used() {
    let site = Site::start().await;
    site.view.revision.store(5, Ordering::SeqCst);
    site.origin.reply("/a", page().cached("max-age=60").field("etag", "\"a\""));
    site.get("/a", &[]).await;
    assert_eq!(site.get("/a", &[]).await.cache(), "HIT");
    site.view.purge.store(6, Ordering::SeqCst);
    let after = site.get("/a", &[]).await;
    assert_eq!(after.cache(), "MISS");
    assert_eq!(site.origin.last().header("if-none-match"), "", "what was purged is not validated");
    assert_eq!(site.get("/a", &[]).await.cache(), "MISS", "this node had not applied the purge when it asked");
    site.view.revision.store(6, Ordering::SeqCst);
    assert_eq!(site.get("/a", &[]).await.cache(), "MISS");
    assert_eq!(site.get("/a", &[]).await.cache(), "HIT");
}

#[tokio::test]
async fn a_node_that_has_lost_touch() {
    let cases =
        [(FencedZone::Revalidate, "MISS", 200, ""), (FencedZone::Serve, "HIT", 200, "stale"), (FencedZone::Refuse, "ERROR", 503, "")];
    for (fenced, cache, status, view) in cases {
        let site = Site::start_with(|zone| zone.fenced = fenced).await;
        site.origin.reply("/a", page().cached("max-age=60").field("etag", "\"a\""));
        site.get("/a", &[]).await;
        site.view.is_stale.store(true, Ordering::SeqCst);
        let answer = site.get("/a", &[]).await;
        assert_eq!((answer.cache(), answer.status.as_u16(), answer.header("x-ncore-view")), (cache, status, view), "{fenced:?}");
        assert_eq!(site.origin.last().header("if-none-match"), "", "{fenced:?}");
    }
}

#[tokio::test]
async fn what_the_zone_says() {
    let site = Site::start_with(|zone| {
        zone.ttl = TtlSettings { default_s: Some(60), negative_s: Some(60), ..TtlSettings::BY_THE_BOOK };
        zone.bypass = vec![Bypass::Prefix("/past/".into()), Bypass::Cookie("session".into())];
        zone.reuse = ReusePolicy { requests: Requests::Ignore, ..ReusePolicy::STRICT };
    })
    .await;
    site.origin.reply("/a", page());
    site.origin.reply("/past/a", page().cached("max-age=60"));
    let cases: [(&str, Fields<'_>, &str); 9] = [
        ("/a", &[], "MISS"),
        ("/a", &[], "HIT"),
        ("/a", &[("cache-control", "no-cache")], "HIT"),
        ("/a", &[("cookie", "a=b; session=1")], "BYPASS"),
        ("/a", &[("cookie", "sessions=1")], "HIT"),
        ("/past/a", &[], "BYPASS"),
        ("/past/a", &[], "BYPASS"),
        ("/none", &[], "MISS"),
        ("/none", &[("cache-control", "only-if-cached")], "MISS"),
    ];
    for (path, asks, cache) in cases {
        assert_eq!(site.get(path, asks).await.cache(), cache, "{path} {asks:?}");
    }
    assert_eq!(site.metrics.zones(CacheUsed::Bypass), 3);
    assert_eq!(site.metrics.zones(CacheUsed::Hit), 3);
}

#[tokio::test]
async fn only_if_cached_and_loops() {
    let site = Site::start().await;
    site.origin.reply("/a", page().cached("max-age=60"));
    let nothing = site.get("/a", &[("cache-control", "only-if-cached")]).await;
    assert_eq!((nothing.status.as_u16(), nothing.cache(), site.origin.count()), (504, "ERROR", 0));
    site.get("/a", &[]).await;
    assert_eq!(site.get("/a", &[("cache-control", "only-if-cached")]).await.cache(), "HIT");
    let seen = site.origin.last();
    assert_eq!((seen.header("via"), seen.header("x-forwarded-for")), ("1.1 ncore", "127.0.0.1"));
    let looped = site.get("/b", &[("cdn-loop", seen.header("cdn-loop"))]).await;
    assert_eq!((looped.status.as_u16(), looped.cache(), site.origin.count()), (508, "ERROR", 1));
}
