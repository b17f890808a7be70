//! Many requests at once.

use std::sync::Arc;

use http::Method;
use tokio::sync::Semaphore;

use crate::{
    origin::Reply,
    site::{Answer, Site, eventually},
};

const VIEWERS: usize = 20;

async fn ask_at_once(site: &Arc<Site>, path: &'static str) -> Vec<tokio::task::JoinHandle<Answer>> {
    let mut asking = Vec::new();
    for _ in 0..VIEWERS {
        let site = Arc::clone(site);
        asking.push(tokio::spawn(async move { site.get(path, &[]).await }));
    }
    asking
}

#[tokio::test]
async fn one_request_to_the_origin_for_all() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60").behind(&gate));
    let asking = ask_at_once(&site, "/a").await;
    eventually("it was asked", || site.origin.count() == 1).await;
    gate.close();
    let mut collapsed = 0;
    for answer in asking {
        let answer = answer.await.expect("no panic");
        assert_eq!((answer.text(), answer.whole), ("content", true));
        collapsed += usize::from(answer.header("cache-status").contains("collapsed"));
    }
    assert_eq!(site.origin.count(), 1);
    assert!(collapsed > 0, "somebody followed");
}

#[tokio::test]
async fn what_is_for_one_is_asked_for_by_each() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    site.origin.reply("/a", Reply::new(200, "yours").cached("private").behind(&gate));
    let asking = ask_at_once(&site, "/a").await;
    eventually("it was asked", || site.origin.count() >= 1).await;
    gate.close();
    for answer in asking {
        assert_eq!(answer.await.expect("no panic").text(), "yours");
    }
    assert_eq!(site.origin.count(), VIEWERS);
}

#[tokio::test]
async fn who_asks_for_another_variant_gets_it() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    let varying = |body: &'static str| Reply::new(200, body).cached("max-age=60").field("vary", "x-a");
    site.origin.reply("/a", varying("one").behind(&gate));
    site.origin.reply("/a", varying("other"));
    let first = tokio::spawn({
        let site = Arc::clone(&site);
        async move { site.get("/a", &[("x-a", "1")]).await }
    });
    eventually("it was asked", || site.origin.count() == 1).await;
    let second = tokio::spawn({
        let site = Arc::clone(&site);
        async move { site.get("/a", &[("x-a", "2")]).await }
    });
    gate.close();
    assert_eq!(first.await.expect("no panic").text(), "one");
    assert_eq!(second.await.expect("no panic").text(), "other");
    let kept = site.get("/a", &[("x-a", "1")]).await;
    assert_eq!((kept.cache(), kept.text()), ("HIT", "one"));
}

#[tokio::test]
async fn the_first_viewer_may_go_away() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    let content = vec![7; 3 << 20];
    site.origin.reply("/a", Reply::new(200, content.clone()).cached("max-age=60").halved(&gate));
    let leaving = site.send(Method::GET, "/a", &[]).await;
    let following = tokio::spawn({
        let site = Arc::clone(&site);
        async move { site.get("/a", &[]).await }
    });
    drop(leaving);
    gate.close();
    let answer = following.await.expect("no panic");
    assert_eq!((answer.body.len(), answer.whole), (content.len(), true));
    assert_eq!(site.origin.count(), 1);
}

#[tokio::test]
async fn a_failure_is_not_handed_to_all() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    site.origin.reply("/a", Reply::new(503, "not now").behind(&gate));
    site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60"));
    let asking = ask_at_once(&site, "/a").await;
    eventually("it was asked", || site.origin.count() == 1).await;
    gate.close();
    let mut failed = 0;
    for answer in asking {
        let answer = answer.await.expect("no panic");
        failed += usize::from(answer.status == 503);
    }
    assert_eq!(failed, 1, "who asked first");
    assert_eq!(site.origin.count(), 2);
}
