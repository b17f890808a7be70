//! How many requests there may be, and what is said of it.

use std::{net::IpAddr, time::Duration};

use axum::body::Body;
use http::{Method, Request, header::AUTHORIZATION};
use ncore_api::{PeerAddress, router};
use ncore_limits::LimitSettings;
use ncore_model::Scope;
use serde_json::{Value, json};

use crate::site::{Answer, Site, parts};

const LISTED: &str = "/api/v2/assets";
const PURGED: &str = "/api/v2/cache/purge";

async fn site(settings: LimitSettings) -> Site {
    let mut site = Site::new().await;
    site.router = router(parts(&site.rig, settings));
    site
}

/// Long enough that nothing is over before the test is.
fn limits(per_token: u32, purges: u32, anonymous: u32) -> LimitSettings {
    LimitSettings { per_token, purges, anonymous, window: Duration::from_secs(600), ..LimitSettings::default() }
}

async fn list(site: &Site, token: &str) -> Answer {
    site.send(Request::builder().uri(LISTED).header(AUTHORIZATION, format!("Bearer {token}")).body(Body::empty())).await
}

/// A request from an address.
async fn from(site: &Site, address: &str, path: &str, token: Option<&str>) -> Answer {
    let address: IpAddr = address.parse().expect("an address");
    let request = Request::builder().uri(path).extension(PeerAddress(address));
    let request = token.into_iter().fold(request, |request, token| request.header(AUTHORIZATION, format!("Bearer {token}")));
    site.send(request.body(Body::empty())).await
}

async fn purge(site: &Site) -> Answer {
    site.send(site.json(Method::POST, PURGED, &json!({"pattern": "a/*"}), &[])).await
}

/// The answer, which must be a refusal for this limit, complete in all its parts.
#[track_caller]
fn refused(answer: Answer, policy: &str) {
    let answer = answer.ok(429);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let document = answer.json();
    assert_eq!(document["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!((document["code"].as_str(), document["status"].as_u64()), (Some("rate_limited"), Some(429)));
    assert_eq!(document["violated-policies"], json!([policy]));
    assert_eq!(document["request_id"], answer.header("x-request-id"));
    assert_eq!((document.get("outcome"), document["detail"].is_string()), (None::<&Value>, true));
    let retry_after: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((590..=603).contains(&retry_after), "{retry_after}");
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
    assert!(answer.header("ratelimit").contains(&format!(r#""{policy}";r=0;t={retry_after}"#)), "{answer:?}");
}

#[tokio::test]
async fn a_token_has_so_many_requests_and_each_answer_says_how_many_are_left() {
    let site = site(limits(5, 0, 0)).await;
    let now_s = site.rig.domain.now_s();
    for left in (0..5).rev() {
        let answer = list(&site, &site.token).await.ok(200);
        assert_eq!(answer.header("ratelimit-policy"), r#""default";q=5;w=600"#);
        assert!(answer.header("ratelimit").starts_with(&format!(r#""default";r={left};t="#)), "{answer:?}");
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("5", left.to_string().as_str()));
        let reset: u64 = answer.header("x-ratelimit-reset").parse().expect("Unix seconds");
        assert!(reset > now_s && reset <= site.rig.domain.now_s() + 603, "{reset}");
    }
    refused(list(&site, &site.token).await, "default");
    // Whatever is asked for.
    refused(site.get("/api/v2/assets/as_nothing").await, "default");
    list(&site, &site.token(&site.rig.scopes()).await).await.ok(200);
    list(&site, &site.another_client().await).await.ok(200);
}

#[tokio::test]
async fn what_is_refused_for_other_reasons_counts_too() {
    let site = site(limits(3, 0, 0)).await;
    let token = site.token(&[Scope::MetricsRead]).await;
    for _ in 0..3 {
        assert_eq!(list(&site, &token).await.problem(403, "scope_missing").header("x-ratelimit-limit"), "3");
    }
    refused(list(&site, &token).await, "default");
}

#[tokio::test]
async fn purges_have_a_limit_of_their_own_and_count_for_both() {
    let site = site(limits(6, 2, 0)).await;
    for left in [1, 0] {
        let answer = purge(&site).await.ok(200);
        assert_eq!(answer.header("ratelimit-policy"), r#""default";q=6;w=600, "purge";q=2;w=600"#);
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("2", left.to_string().as_str()));
    }
    refused(purge(&site).await, "purge");
    for left in [2, 1, 0] {
        assert_eq!(list(&site, &site.token).await.ok(200).header("x-ratelimit-remaining"), left.to_string());
    }
    refused(purge(&site).await, "default");
}

#[tokio::test]
async fn without_a_good_token_it_is_the_address_that_counts() {
    let site = site(limits(0, 0, 4)).await;
    let (here, there) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(from(&site, here, LISTED, None).await.problem(401, "token_missing").header("x-ratelimit-remaining"), "3");
    assert_eq!(from(&site, here, LISTED, Some("x.y.z")).await.problem(401, "token_invalid").header("x-ratelimit-remaining"), "2");
    assert_eq!(from(&site, here, LISTED, Some("a b")).await.problem(400, "token_malformed").header("x-ratelimit-remaining"), "1");
    from(&site, here, "/api/v2/openapi.json", None).await.ok(200);
    for (path, token) in [(LISTED, None), (LISTED, Some("x.y.z")), ("/api/v2/openapi.json", None), ("/api/v2/auth/token", None)] {
        refused(from(&site, here, path, token).await, "anonymous");
    }
    // Who else is behind that address is not kept out, and balancers see the status.
    from(&site, here, LISTED, Some(&site.token)).await.ok(200);
    assert_eq!(from(&site, here, "/api/v2/status", None).await.ok(200).header("ratelimit"), "");
    from(&site, there, LISTED, None).await.problem(401, "token_missing");
}

#[tokio::test]
async fn without_limits_nothing_is_said_of_them() {
    let site = site(limits(0, 0, 0)).await;
    for _ in 0..3 {
        let answer = purge(&site).await.ok(200);
        assert!(answer.headers.keys().all(|name| !name.as_str().contains("ratelimit")), "{answer:?}");
    }
}
