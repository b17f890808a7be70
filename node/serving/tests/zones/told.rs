//! What is recorded of requests for zones, and counted for their client.

use std::sync::Arc;

use http::Method;
use ncore_telemetry::{AccessLine, Allowance, CacheUse, Collected, Protocol};
use tokio::sync::Semaphore;

use crate::{
    origin::Reply,
    site::{Site, eventually},
};

#[tokio::test]
async fn a_record_says_how_a_request_was_answered() {
    let site = Site::start().await;
    site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60").field("etag", "\"a\""));
    site.origin.reply("/old", Reply::new(200, "content").cached("max-age=0").field("etag", "\"a\""));
    site.origin.reply("/old", Reply::new(304, "").cached("max-age=0").field("etag", "\"a\""));
    site.get("/a?token=secret", &[("range", "bytes=0-2")]).await;
    site.get("/a?token=secret", &[("range", "bytes=1-2")]).await;
    site.get("/old", &[]).await;
    site.get("/old", &[]).await;
    site.get("/old", &[("cache-control", "max-stale")]).await;
    site.ask(Method::POST, "/a", &[]).await;
    site.get("/none", &[("cache-control", "only-if-cached")]).await;
    let records = site.records(7).await;

    let said: Vec<_> = records.iter().map(|record| (record.path(), record.status, record.cache, record.bytes)).collect();
    let expected = [
        ("/a", 206, CacheUse::Miss, 3),
        ("/a", 206, CacheUse::Hit, 2),
        ("/old", 200, CacheUse::Miss, 7),
        ("/old", 200, CacheUse::Revalidated, 7),
        ("/old", 200, CacheUse::Stale, 7),
        ("/a", 200, CacheUse::Bypass, 7),
        ("/none", 504, CacheUse::Error, records[6].bytes),
    ];
    assert_eq!(said, expected);
    let zones: Vec<_> = records.iter().map(|record| record.zone.as_deref().expect("of a zone")).collect();
    let origin = site.origin.addr.to_string();
    let asked: Vec<_> = zones.iter().map(|zone| zone.asked.as_ref().map(|asked| &*asked.origin)).collect();
    let here = Some(origin.as_str());
    assert_eq!(asked, [here, None, here, here, None, here, None]);
    assert!(zones.iter().all(|zone| zone.zone == 7 && zone.protocol == Protocol::Http11 && !zone.is_secure && !zone.is_collapsed));
    assert!(zones.iter().zip(&records).all(|(zone, record)| zone.head_us > 0 && zone.head_us <= record.took_us));
    assert_eq!(zones.iter().map(|zone| zone.range.as_deref()).take(3).collect::<Vec<_>>(), [Some("bytes=0-2"), Some("bytes=1-2"), None]);
    let line = serde_json::to_string(&AccessLine::new(&records[0], "node")).expect("JSON");
    assert!(line.contains("\"id\":\"00000000-0000-0000-0000-000000000007\"") && line.contains("\"cache\":\"MISS\""), "{line}");
    assert!(!format!("{records:?}").contains("secret"), "{records:?}");
}

#[tokio::test]
async fn who_waits_for_another_is_recorded_as_that() {
    let site = Site::start().await;
    let gate = Arc::new(Semaphore::new(0));
    site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60").behind(&gate));
    let open = async {
        eventually("the origin is asked", || site.origin.count() == 1).await;
        // The second has had time to come only if it follows: else it would ask, too.
        tokio::task::yield_now().await;
        gate.close();
    };
    let (_, _, ()) = tokio::join!(site.get("/a", &[]), site.get("/a", &[]), open);
    let records = site.records(2).await;
    let zones: Vec<_> = records.iter().filter_map(|record| record.zone.as_deref()).collect();
    let collapsed = zones.iter().filter(|zone| zone.is_collapsed).count();
    let hits = records.iter().filter(|record| record.cache == CacheUse::Hit).count();
    assert_eq!((collapsed + hits, site.origin.count()), (1, 1), "{records:?}");
    assert!(zones.iter().all(|zone| zone.is_collapsed != zone.asked.is_some() || hits == 1), "{records:?}");
}

/// Every request and every byte of a zone is its client's, once; and a client that has used up its plan gets no more.
#[tokio::test]
async fn what_is_served_is_counted_for_the_client_and_ends_with_its_plan() {
    let site = Site::start().await;
    site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60"));
    site.origin.reply("/large", Reply::new(200, vec![7; 3 << 20]).cached("max-age=60"));
    site.get("/a", &[]).await;
    site.get("/a", &[]).await;
    site.get("/large", &[]).await;
    site.ask(Method::POST, "/a", &[]).await;
    let none = site.get("/none", &[("cache-control", "only-if-cached")]).await;
    site.records(5).await;
    let sum = |collected: &[Collected]| {
        let mut statuses = [0; 4];
        for counts in collected {
            statuses.iter_mut().zip(counts.statuses).for_each(|(sum, count)| *sum += count);
        }
        let of = |of: fn(&Collected) -> u64| collected.iter().map(of).sum::<u64>();
        (statuses, of(|counts| counts.bytes_out), of(|counts| counts.hits), of(|counts| counts.misses))
    };
    let collected = site.usage.collect();
    assert!(collected.iter().all(|counts| &*counts.client == "cl_1"), "{collected:?}");
    let bytes = 7 + 7 + (3 << 20) + 7 + none.body.len() as u64;
    assert_eq!(sum(&collected), ([4, 0, 0, 1], bytes, 1, 2));
    assert!(site.usage.collect().is_empty(), "once");

    site.usage.meter("cl_1").allow(Allowance::Spent);
    let refused = site.get("/a", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.cache()), (403, "ERROR"));
    assert!(refused.text().contains("bandwidth_quota_exceeded"), "{}", refused.text());
    site.usage.meter("cl_1").allow(Allowance::Left);
    // The POST has ended what was kept.
    assert_eq!(site.get("/large", &[]).await.cache(), "HIT");
}
