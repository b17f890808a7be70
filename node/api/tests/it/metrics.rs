//! `GET /api/v2/metrics`, and what counts for it.

use axum::body::Body;
use http::{Method, Request};
use ncore_api::{ApiParts, router};
use ncore_limits::LimitSettings;
use ncore_model::{ClientId, Command, HourCounts, NodeId, Outcome, Scope, UsageCounts, UsageReport};
use serde_json::json;

use crate::site::{Site, parts};

const HOUR_S: u64 = 3_600;

fn now_s(site: &Site) -> u64 {
    site.rig.domain.now_s()
}

fn report(site: &Site, client: &ClientId, sequence: u64, hour: u64, counts: UsageCounts) {
    let counts = vec![HourCounts { client: client.clone(), hour: u32::try_from(hour).expect("fits"), counts }];
    let report = UsageReport { node: NodeId(1), incarnation: 1, sequence, counts };
    assert_eq!(site.rig.plane.apply(Command::ReportUsage(report)), Outcome::Done);
}

#[tokio::test]
async fn the_hours_and_days_of_the_client_that_asks() {
    let site = Site::new().await;
    site.rig.raise_schema();
    let other = site.rig.bare_client();
    let hour = now_s(&site) / HOUR_S - 2;
    let counts = UsageCounts { statuses: [6, 1, 2, 0], bytes_out: 5_000, hits: 2, misses: 1 };
    report(&site, &site.client, 1, hour, counts);
    report(&site, &site.client, 2, hour + 1, UsageCounts { statuses: [0, 0, 0, 1], ..UsageCounts::default() });
    report(&site, &other, 3, hour, UsageCounts { bytes_out: 1, ..counts });

    let path = format!("/api/v2/metrics?from={}&to={}&granularity=hour", hour * HOUR_S + 7, (hour + 2) * HOUR_S);
    let document = site.get(&path).await.ok(200).json();
    let first = json!({
        "ts": hour * HOUR_S, "requests": 9, "bytes_out": 5_000, "hits": 2, "misses": 1, "hit_rate": 0.6666,
        "status": {"2xx": 6, "3xx": 1, "4xx": 2, "5xx": 0}
    });
    let second = json!({
        "ts": (hour + 1) * HOUR_S, "requests": 1, "bytes_out": 0, "hits": 0, "misses": 0, "hit_rate": null,
        "status": {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 1}
    });
    assert_eq!(document["series"], json!([first, second]));
    assert_eq!(document["client_id"], site.client.as_str());
    assert_eq!((&document["from"], &document["to"]), (&json!(hour * HOUR_S), &json!((hour + 2) * HOUR_S)));
    assert_eq!(document["granularity"], "hour");
    assert_eq!((&document["totals"]["requests"], &document["totals"]["status"]["5xx"]), (&json!(10), &json!(1)));

    let usual = site.get("/api/v2/metrics").await.ok(200).json();
    assert_eq!(usual["series"].as_array().map(Vec::len), Some(25));
    let days = site.get("/api/v2/metrics?granularity=day").await.ok(200).json();
    assert_eq!(days["series"].as_array().map(Vec::len), Some(31));
    for document in [usual, days] {
        assert_eq!(document["totals"]["requests"], 10, "{document}");
    }
}

#[tokio::test]
async fn ranges_that_are_none() {
    let site = Site::new().await;
    for query in ["from=x", "to=-1", "from=5&to=5", "from=9&to=5", "from=0", "granularity=week", "from=1&from=2", "to=%zz", "from=1e9"] {
        site.get(&format!("/api/v2/metrics?{query}")).await.problem(400, "invalid_query");
    }
    let token = site.token(&[Scope::AssetsRead]).await;
    let request = Request::builder().uri("/api/v2/metrics?from=x").header("authorization", format!("Bearer {token}"));
    site.send(request.body(Body::empty())).await.problem(403, "scope_missing");
}

#[tokio::test]
async fn requests_with_a_good_token_count_for_its_client() {
    let usage = std::sync::Arc::<ncore_telemetry::Usage>::default();
    let mut site = Site::new().await;
    site.router = router(ApiParts { usage: usage.clone(), ..parts(&site.rig, LimitSettings::default()) });
    let listed = site.get("/api/v2/assets").await.ok(200);
    let missing = site.get("/api/v2/assets/as_nothing").await.ok(404);
    // HEAD has no body.
    site.send(site.request(Method::HEAD, "/api/v2/assets").body(Body::empty())).await.ok(200);
    for authorization in ["", "Bearer x.y.z"] {
        let request = Request::builder().uri("/api/v2/assets").header("authorization", authorization);
        site.send(request.body(Body::empty())).await.ok(401);
    }
    site.get("/api/v2/nothing").await.ok(404);
    let mut collected = usage.collect();
    let own = collected.pop().expect("counts");
    assert!(collected.is_empty(), "{collected:?}");
    assert_eq!((&*own.client, own.statuses), (site.client.as_str(), [2, 0, 1, 0]));
    assert_eq!(own.bytes_out, (listed.body.len() + missing.body.len()) as u64);
    assert_eq!((own.hits, own.misses), (0, 0));
    assert_eq!(usage.collect(), []);
}
