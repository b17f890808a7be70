//! What holds for every request.

use std::{pin::pin, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Method, Request, StatusCode, header::CACHE_CONTROL};
use http_body_util::BodyExt;
use ncore_api::{Api, router};
use ncore_limits::LimitSettings;
use ncore_model::Revision;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    rig::{Plan, Rig},
    site::{Answer, Site, parts},
};

#[tokio::test]
async fn status_is_for_anybody() {
    let site = Site::new().await;
    let answer = site.send(Request::builder().uri("/api/v2/status").body(Body::empty())).await.ok(200);
    let status = answer.json();
    assert_eq!((status["node"].as_str(), status["status"].as_str()), (Some("eu-03"), Some("operational")));
    assert_eq!((status["version"].as_str(), status["region"].as_str()), (Some("0.1.0"), Some("eu-ams")));
    assert_eq!(status["revision"], answer.header("x-ncore-revision"));
    assert!(status["ts"].as_u64().is_some_and(|ts| ts > 1_700_000_000 && ts < 100_000_000_000));
    let bad = Request::builder().uri("/api/v2/status").header("x-ncore-revision", "1").body(Body::empty());
    site.send(bad).await.problem(400, "invalid_header");
}

#[tokio::test]
async fn what_is_not_there() {
    let site = Site::new().await;
    for path in ["/api/v2/nothing", "/api/v3/assets", "/", "/api/v2/assets/", "/api/v2/assets/a/b"] {
        let answer = site.send(Request::builder().uri(path).body(Body::empty())).await.problem(404, "endpoint_not_found");
        assert_eq!(answer.json()["instance"], path);
    }
    for (method, path, allow) in [
        (Method::POST, "/api/v2/status", "GET,HEAD"),
        (Method::PUT, "/api/v2/assets", "GET,HEAD"),
        (Method::GET, "/api/v2/assets/upload", "POST"),
        (Method::POST, "/api/v2/assets/as_1", "DELETE,GET,HEAD,PATCH"),
        (Method::GET, "/api/v2/cache/purge", "POST"),
    ] {
        let request = Request::builder().method(method.clone()).uri(path).body(Body::empty());
        let answer = site.send(request).await.problem(405, "method_not_allowed");
        let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{method} {path}");
    }
    let head = site.send(Request::builder().method(Method::HEAD).uri("/api/v2/nothing").body(Body::empty())).await.ok(404);
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn request_ids() {
    let site = Site::new().await;
    let ask = async |id: &str| {
        let request = Request::builder().uri("/api/v2/nothing").header("x-request-id", id);
        site.send(request.body(Body::empty())).await.problem(404, "endpoint_not_found").header("x-request-id").to_owned()
    };
    assert_eq!(ask("mine-1.2_3").await, "mine-1.2_3");
    for bad in ["", "a b", &"x".repeat(65), "a\"b"] {
        let id = ask(bad).await;
        assert_ne!(id, bad);
        assert_eq!(id.len(), 36, "{id}");
    }
    let api = Api::new(parts(&site.rig, LimitSettings::default()));
    let request = Request::builder().uri("/api/v2/nothing").header("x-request-id", "theirs");
    let request = request.body(Body::empty()).expect("a request");
    let answer = tokio::spawn(async move { api.call(request, "listener-7", [127, 0, 0, 1].into()).await });
    let response = answer.await.expect("an answer");
    assert_eq!(response.headers()["x-request-id"], "listener-7");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("listener-7"));
}

#[tokio::test]
async fn a_presented_revision_is_waited_for() {
    let mut plan = Plan::default();
    plan.settings.request_deadline = Duration::from_secs(20);
    let site = Site::with(plan).await;
    let now = site.rig.domain.revision();
    list_at(&site, &now.to_string()).await.ok(200);
    list_at(&site, "1.0").await.ok(200);
    let next = format!("1.{}", now.index + 1);
    let (answer, _) = tokio::join!(list_at(&site, &next), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        site.rig.bare_client()
    });
    assert_eq!(answer.ok(200).header("x-ncore-revision"), next, "as soon as it is there");
}

#[tokio::test]
async fn a_revision_that_does_not_come_is_not_waited_for_any_longer_than_the_deadline() {
    let mut plan = Plan::default();
    plan.settings.request_deadline = Duration::from_millis(300);
    let site = Site::with(plan).await;
    let now = site.rig.domain.revision();
    // It is there, and this node does not get it.
    *site.rig.plane.confirmed.lock() = Some(Revision { index: now.index + 100, ..now });
    let behind = list_at(&site, &format!("1.{}", now.index + 100)).await.problem(503, "behind");
    assert_eq!(behind.json()["outcome"], "unavailable");
    assert_eq!(behind.header("x-ncore-revision"), now.to_string());
    let status = Request::builder().uri("/api/v2/status").header("x-ncore-revision", "1.99999").body(Body::empty());
    site.send(status).await.problem(503, "behind");
}

#[tokio::test]
async fn a_revision_that_no_node_has_is_refused() {
    let mut plan = Plan::default();
    plan.settings.request_deadline = Duration::from_secs(60);
    let site = Site::with(plan).await;
    let now = site.rig.domain.revision();
    for invented in [format!("1.{}", now.index + 1), format!("1.{}", u64::MAX), "2.1".to_owned(), format!("{}.0", u32::MAX)] {
        let refused = list_at(&site, &invented).await.problem(400, "revision_unknown");
        assert_eq!(refused.header("x-ncore-revision"), now.to_string());
    }
    list_at(&site, "0.1").await.problem(409, "revision_lost");
    for bad in ["", "1", "x.y", "1.-1", "+1.1", "1.+1", "4294967296.1", "1.18446744073709551616"] {
        list_at(&site, bad).await.problem(400, "invalid_header");
    }
}

#[tokio::test]
async fn a_revision_that_a_slow_node_gets_late_is_not_refused() {
    let mut plan = Plan::default();
    plan.settings.request_deadline = Duration::from_secs(60);
    let site = Site::with(plan).await;
    let now = site.rig.domain.revision();
    let next = Revision { index: now.index + 1, ..now };
    *site.rig.plane.confirmed.lock() = Some(next);
    let wanted = next.to_string();
    let mut answer = pin!(list_at(&site, &wanted));
    // Longer than it takes until the leader is asked, who has it.
    assert!(tokio::time::timeout(Duration::from_millis(400), &mut answer).await.is_err(), "it is waited for");
    site.rig.bare_client();
    assert_eq!(answer.await.ok(200).header("x-ncore-revision"), wanted);
}

/// Whoever verifies tokens keeps the keys that it is told. So a node that follows a moment later does not say that there are none.
#[tokio::test]
async fn that_there_are_no_keys_is_said_by_nobody_who_lags() {
    let mut plan = Plan::default();
    plan.settings.request_deadline = Duration::from_secs(60);
    let rig = Rig::with(plan);
    let router = router(parts(&rig, LimitSettings::default()));
    let keys = async || {
        let request = Request::builder().uri("/.well-known/jwks.json").body(Body::empty()).expect("a request");
        let (head, body) = router.clone().oneshot(request).await.expect("an answer").into_parts();
        assert_eq!(head.status, StatusCode::OK);
        let document: Value = serde_json::from_slice(&body.collect().await.expect("a body").to_bytes()).expect("JSON");
        (document["keys"].as_array().expect("keys").len(), head.headers[CACHE_CONTROL].clone())
    };
    assert_eq!(keys().await, (0, HeaderValue::from_static("no-store")), "no node has any");

    let now = rig.domain.revision();
    *rig.plane.confirmed.lock() = Some(Revision { index: now.index + 1, ..now });
    let mut published = pin!(keys());
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut published).await.is_err(), "it is waited for");
    rig.domain.signing_keys().rotate().await.expect("a key");
    assert_eq!(published.await, (1, HeaderValue::from_static("public, max-age=300")));
}

/// Lists the assets in a state at least as new as `revision`.
async fn list_at(site: &Site, revision: &str) -> Answer {
    let request = site.request(Method::GET, "/api/v2/assets").header("x-ncore-revision", revision);
    site.send(request.body(Body::empty())).await
}
