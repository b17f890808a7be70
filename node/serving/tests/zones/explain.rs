//! What is explained is what happens: each request is explained, then made.

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ncore_cache::reuse::{Requests, ReusePolicy};
use ncore_serving::zones::{Bypass, Explanation, FencedZone, Question, Verdict};

use crate::{
    origin::Reply,
    site::{Fields, Site},
};

impl Site {
    async fn explained(&self, target: &str, fields: Fields<'_>) -> Explanation {
        let headers = fields.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        let target = target.parse().expect("a target");
        let question = Question { host: "zone.test".into(), target, headers: headers.collect::<HeaderMap>() };
        self.zones.explain(&question).await.expect("a zone")
    }

    /// Explains a request, makes it, and gives both words.
    async fn both(&self, target: &str, fields: Fields<'_>) -> (Verdict, String) {
        let before = self.origin.count();
        let explained = self.explained(target, fields).await;
        assert_eq!(self.origin.count(), before, "the origin was asked for an explanation");
        let again = self.explained(target, fields).await;
        assert_eq!((again.verdict, again.why), (explained.verdict, explained.why.clone()), "it changed something");
        let answer = self.get(target, fields).await;
        let asked = self.origin.count() > before;
        // What is used while it is asked for anew is asked for in the background.
        if explained.verdict != Verdict::Stale {
            assert_eq!(asked, explained.asks.is_some(), "{explained:?}");
        }
        (explained.verdict, answer.cache().to_owned())
    }
}

#[tokio::test]
async fn what_is_explained_is_what_happens() {
    let site = Site::start_with(|zone| {
        zone.bypass = vec![Bypass::Prefix("/private/".into()), Bypass::Cookie("session".into())];
    })
    .await;
    for (path, directives) in [
        ("/fresh", "max-age=60"),
        ("/stale", "max-age=0"),
        ("/background", "max-age=0, stale-while-revalidate=60"),
        ("/each", "no-cache"),
        ("/never", "no-store"),
        ("/private/a", "max-age=60"),
    ] {
        site.origin.reply(path, Reply::new(200, "content").cached(directives).field("etag", "\"a\""));
    }
    site.origin.reply("/vary", Reply::new(200, "content").cached("max-age=60").field("vary", "accept-language"));
    let no_cache: Fields<'_> = &[("cache-control", "no-cache")];
    let only: Fields<'_> = &[("cache-control", "only-if-cached")];
    let loops: Fields<'_> = &[("cdn-loop", "ncore; zone=00000000000000000000000000000007")];
    let cases: [(&str, Fields<'_>, Verdict, &[&str]); 18] = [
        ("/fresh", only, Verdict::Error, &["ERROR"]),
        ("/fresh", &[], Verdict::Miss, &["MISS"]),
        ("/fresh", &[], Verdict::Hit, &["HIT"]),
        ("/fresh", only, Verdict::Hit, &["HIT"]),
        ("/fresh", no_cache, Verdict::Revalidate, &["MISS", "REVALIDATED"]),
        ("/fresh", &[("cookie", "a=b; session=c")], Verdict::Bypass, &["BYPASS"]),
        ("/fresh", loops, Verdict::Error, &["ERROR"]),
        ("/stale", &[], Verdict::Miss, &["MISS"]),
        ("/stale", &[], Verdict::Revalidate, &["MISS", "REVALIDATED"]),
        ("/stale", &[("cache-control", "max-stale")], Verdict::Stale, &["STALE"]),
        ("/background", &[], Verdict::Miss, &["MISS"]),
        ("/background", &[], Verdict::Stale, &["STALE"]),
        ("/each", &[], Verdict::Miss, &["MISS"]),
        ("/each", &[], Verdict::Revalidate, &["MISS", "REVALIDATED"]),
        ("/never", &[], Verdict::Miss, &["MISS"]),
        ("/private/a", &[], Verdict::Bypass, &["BYPASS"]),
        ("/vary", &[("accept-language", "de")], Verdict::Miss, &["MISS"]),
        ("/vary", &[("accept-language", "en")], Verdict::Miss, &["MISS"]),
    ];
    for (path, fields, verdict, words) in cases {
        let (explained, happened) = site.both(path, fields).await;
        assert_eq!(explained, verdict, "{path} {fields:?}");
        assert!(words.contains(&&*happened), "{path} {fields:?}: {happened}");
    }
    site.view.purge.store(1, Ordering::SeqCst);
    let explained = site.explained("/fresh", &[]).await;
    assert_eq!((explained.verdict, explained.newest_purge), (Verdict::Miss, Some(1)));
    assert!(explained.variants[0].is_purged && explained.why.contains("purge"), "{explained:?}");
    site.view.revision.store(1, Ordering::SeqCst);
    assert_eq!(site.both("/fresh", &[]).await.1, "MISS");
    assert_eq!(site.both("/fresh", &[]).await, (Verdict::Hit, "HIT".to_owned()));
}

#[tokio::test]
async fn a_fenced_node_explains_what_its_zone_wants() {
    for (policy, verdict, word) in [
        (FencedZone::Revalidate, Verdict::Miss, "MISS"),
        (FencedZone::Serve, Verdict::Hit, "HIT"),
        (FencedZone::Refuse, Verdict::Error, "ERROR"),
    ] {
        let site = Site::start_with(|zone| zone.fenced = policy).await;
        site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60"));
        site.get("/a", &[]).await;
        site.view.is_stale.store(true, Ordering::SeqCst);
        assert_eq!(site.both("/a", &[]).await, (verdict, word.to_owned()));
    }
}

#[tokio::test]
async fn what_is_kept_is_told_and_no_secret_of_it() {
    let site = Site::start_with(|zone| {
        zone.ttl.default_s = Some(30);
        zone.reuse = ReusePolicy { requests: Requests::Ignore, ..ReusePolicy::STRICT };
    })
    .await;
    let vary = "cookie, accept-language";
    site.origin.reply("/small", Reply::new(200, "content").field("vary", vary).field("etag", "\"e\""));
    site.origin.reply("/large", Reply::new(200, vec![7; 5 << 19]).cached("max-age=60"));
    site.get("/small?q=1", &[("cookie", "id=geheim"), ("accept-language", "de")]).await;
    let explained = site.explained("/small?q=1", &[("cookie", "id=anders"), ("accept-language", "de")]).await;
    let variant = &explained.variants[0];
    assert_eq!((variant.lifetime_s, variant.lifetime_from, variant.status, variant.length), (30, "zone", 200, 7));
    assert_eq!((variant.etag.as_deref(), explained.kept_in, &*explained.key.path), (Some("\"e\""), Some("memory"), "/small?q=1"));
    let vary: Vec<_> = variant.vary.iter().map(|field| (&*field.name, field.kept.as_deref(), field.matches)).collect();
    assert_eq!(vary, [("accept-language", Some("de"), true), ("cookie", None, false)]);
    let text = serde_json::to_string(&explained).expect("JSON");
    assert!(!text.contains("geheim") && !text.contains("anders"), "{text}");

    site.ask(Method::GET, "/large", &[]).await;
    let explained = site.explained("/large", &[("range", "bytes=2000000-")]).await;
    let slices = explained.variants[0].slices.expect("slices");
    assert_eq!((slices.all, slices.memory, slices.disk, slices.first_is_there), (3, 3, 0, true));
    assert_eq!(explained.verdict, Verdict::Hit, "{explained:?}");
}
