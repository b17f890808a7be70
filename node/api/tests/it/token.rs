//! The token endpoint: every way to ask, and every way to be refused.

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Method, Request};
use ncore_domain::{AckLevel, NewClient};
use ncore_model::{ClientStatus, Scope};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    rig::{Answer as Plane, Rig},
    site::{Answer, Site},
};

const PATH: &str = "/api/v2/auth/token";

async fn site() -> (Site, NewClient) {
    let site = Site::new().await;
    let client = site.rig.client_with(&[Scope::AssetsRead, Scope::AssetsWrite, Scope::CachePurge]).await;
    (site, client)
}

async fn ask(site: &Site, content_type: &str, body: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(PATH);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let answer = site.send(request.body(Body::from(body.to_owned()))).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    assert!(!answer.header("x-request-id").is_empty());
    answer
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn every_way_to_ask() {
    let (site, client) = site().await;
    let (id, secret) = (client.id.as_str(), client.secret.expose_secret());
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let all = "assets:read assets:write cache:purge";
    let cases = [
        (JSON, json!({"client_id": id, "secret": secret, "scope": all}).to_string(), None, all),
        (JSON, json!({"client_id": id, "secret": secret}).to_string(), None, all),
        (JSON, json!({"client_id": id, "client_secret": secret, "scope": "assets:read"}).to_string(), None, "assets:read"),
        (JSON, json!({"client_id": id, "secret": secret, "scope": "", "other": 1}).to_string(), None, all),
        (
            "application/json; charset=utf-8",
            json!({"client_id": id, "secret": secret, "scope": "assets:read assets:read"}).to_string(),
            None,
            "assets:read",
        ),
        (
            FORM,
            format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=cache:purge+assets%3Aread"),
            None,
            "cache:purge assets:read",
        ),
        (FORM, format!("client_id={id}&secret={secret}&scope="), None, all),
        (FORM, "grant_type=client_credentials".to_owned(), Some(basic(id, secret)), all),
        (FORM, format!("grant_type=client_credentials&client_id={id}"), Some(basic(&percent(id), &percent(secret))), all),
        ("", String::new(), Some(basic(id, secret).replacen("Basic", "bAsIc", 1)), all),
    ];
    for (content_type, body, authorization, scope) in cases {
        let answer = ask(&site, content_type, &body, authorization.as_deref()).await.ok(200);
        let reply = answer.json();
        assert_eq!(reply["token_type"], "Bearer", "{body}");
        assert_eq!(reply["expires_in"], 86_400);
        assert_eq!(reply["scope"], scope);
        let token = reply["access_token"].as_str().expect("a token");
        assert!(token.starts_with("eyJ0eXAi"), "{token}");
        let listed = Request::builder().uri("/api/v2/assets").header("authorization", format!("Bearer {token}"));
        let status = site.send(listed.body(Body::empty())).await.status;
        assert_eq!(status.as_u16(), if scope.contains("assets:read") { 200 } else { 403 });
    }
}

#[tokio::test]
async fn every_way_to_be_refused() {
    let (site, client) = site().await;
    let (id, secret) = (client.id.as_str(), client.secret.expose_secret());
    let good = json!({"client_id": id, "secret": secret}).to_string();
    let cases = [
        (JSON, "{".to_owned(), None, 400, "invalid_request"),
        (JSON, json!({"client_id": id}).to_string(), None, 400, "invalid_request"),
        (JSON, json!({"secret": secret}).to_string(), None, 400, "invalid_request"),
        (JSON, json!({"client_id": id, "secret": 5}).to_string(), None, 400, "invalid_request"),
        (JSON, json!({"client_id": id, "secret": secret, "client_secret": secret}).to_string(), None, 400, "invalid_request"),
        (JSON, format!(r#"{{"client_id":"{id}","client_id":"{id}","secret":"{secret}"}}"#), None, 400, "invalid_request"),
        ("text/plain", good.clone(), None, 400, "invalid_request"),
        ("", String::new(), None, 400, "invalid_request"),
        (FORM, format!("client_id={id}&client_id={id}&secret={secret}"), None, 400, "invalid_request"),
        (FORM, format!("client_id={id}&secret={secret}&client_secret={secret}"), None, 400, "invalid_request"),
        (FORM, "client_id=%zz".to_owned(), None, 400, "invalid_request"),
        (JSON, good.clone(), Some(basic(id, secret)), 400, "invalid_request"),
        (JSON, json!({"client_id": "cl_other"}).to_string(), Some(basic(id, secret)), 400, "invalid_request"),
        (JSON, json!({"client_id": id, "secret": "ncs_wrong"}).to_string(), None, 401, "invalid_client"),
        (JSON, json!({"client_id": "cl_nobody", "secret": secret}).to_string(), None, 401, "invalid_client"),
        (FORM, String::new(), Some(basic(id, "ncs_wrong")), 401, "invalid_client"),
        (FORM, String::new(), Some("Basic !!!".to_owned()), 401, "invalid_client"),
        (FORM, String::new(), Some("Bearer abc".to_owned()), 401, "invalid_client"),
        (FORM, format!("grant_type=refresh_token&refresh_token=x&client_id={id}&secret={secret}"), None, 400, "invalid_grant"),
        (FORM, format!("grant_type=refresh_token&client_id={id}&secret={secret}"), None, 400, "invalid_request"),
        (FORM, format!("grant_type=password&client_id={id}&secret={secret}"), None, 400, "unsupported_grant_type"),
        (JSON, json!({"client_id": id, "secret": secret, "scope": "assets:all"}).to_string(), None, 400, "invalid_scope"),
        (JSON, json!({"client_id": id, "secret": secret, "scope": "metrics:read"}).to_string(), None, 400, "invalid_scope"),
        (JSON, json!({"client_id": id, "secret": secret, "scope": " "}).to_string(), None, 400, "invalid_scope"),
        (JSON, format!(r#"{{"x":"{}"}}"#, "x".repeat(70_000)), None, 413, "invalid_request"),
    ];
    for (content_type, body, authorization, status, error) in cases {
        let what = format!("{content_type} {} {authorization:?}", body.get(..100).unwrap_or(&body));
        let answer = ask(&site, content_type, &body, authorization.as_deref()).await;
        assert_eq!(answer.status.as_u16(), status, "{what}");
        let document = answer.json();
        assert_eq!(document["error"], error, "{what}");
        assert!(document["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "the secret is not repeated");
        let is_asked_again = status == 401 && authorization.is_some();
        assert_eq!(answer.header("www-authenticate").starts_with("Basic realm="), is_asked_again, "{what}");
    }
}

#[tokio::test]
async fn only_post() {
    let site = Site::new().await;
    let request = Request::builder().uri(PATH).body(Body::empty());
    let answer = site.send(request).await.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn a_suspended_client_gets_none_and_loses_what_it_has() {
    let (site, client) = site().await;
    let body = json!({"client_id": client.id.as_str(), "secret": client.secret.expose_secret()}).to_string();
    let token = ask(&site, JSON, &body, None).await.json()["access_token"].as_str().expect("a token").to_owned();
    site.rig.domain.clients().set_status(client.id.clone(), ClientStatus::Suspended, AckLevel::Committed).await.expect("set");
    assert_eq!(ask(&site, JSON, &body, None).await.json()["error"], "invalid_client");
    let listed = Request::builder().uri("/api/v2/assets").header("authorization", format!("Bearer {token}"));
    site.send(listed.body(Body::empty())).await.problem(401, "token_invalid");
}

#[tokio::test]
async fn a_cluster_that_cannot_make_its_key_says_later() {
    // A rig of its own: that of a site has a key already.
    let rig = Rig::new();
    let client = rig.client().await;
    rig.plane.answer(Plane::Unavailable);
    let site = Site {
        router: ncore_api::router(crate::site::parts(&rig, ncore_limits::LimitSettings::default())),
        client: client.id.clone(),
        token: String::new(),
        rig,
    };
    let body = json!({"client_id": client.id.as_str(), "secret": client.secret.expose_secret()}).to_string();
    let answer = ask(&site, JSON, &body, None).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
}

const REVOKE: &str = "/api/v2/auth/revoke";

#[tokio::test]
async fn revoking() {
    let (site, client) = site().await;
    site.rig.raise_schema();
    let basic = basic(client.id.as_str(), client.secret.expose_secret());
    let issued = ask(&site, "", "", Some(&basic)).await.json();
    let token = issued["access_token"].as_str().expect("a token");
    let revoke = async |body: String, authorization: Option<&str>, prefer: Option<&str>| {
        let mut request = Request::builder().method(Method::POST).uri(REVOKE).header("content-type", FORM);
        for (name, value) in [("authorization", authorization), ("prefer", prefer)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        site.send(request.body(Body::from(body))).await
    };
    let list =
        async || site.send(Request::get("/api/v2/assets").header("authorization", format!("Bearer {token}")).body(Body::empty())).await;
    list().await.ok(200);

    let nobody = revoke(format!("token={token}"), None, None).await;
    assert_eq!((nobody.status.as_u16(), &nobody.json()["error"]), (400, &json!("invalid_request")));
    let nothing = revoke("token_type_hint=access_token".to_owned(), Some(&basic), None).await;
    assert_eq!((nothing.status.as_u16(), &nothing.json()["error"]), (400, &json!("invalid_request")));
    let of_other = revoke(format!("token={}", site.token), Some(&basic), None).await;
    assert_eq!((of_other.status.as_u16(), &of_other.json()["error"]), (400, &json!("invalid_request")));
    list().await.ok(200);

    let unknown = revoke("token=unknown".to_owned(), Some(&basic), None).await.ok(200);
    assert_eq!((unknown.body.len(), unknown.header("cache-control")), (0, "no-store"));
    let done = revoke(format!("token={token}&token_type_hint=access_token"), Some(&basic), None).await.ok(200);
    assert_eq!((done.header("x-ncore-ack"), done.header("preference-applied")), ("all", "ack=all"));
    let refused = list().await.problem(401, "token_invalid");
    assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#), "{refused:?}");
    let soon = revoke(format!("token={token}"), Some(&basic), Some("ack=committed")).await.ok(200);
    assert_eq!(soon.header("x-ncore-ack"), "committed");
}

#[tokio::test(start_paused = true)]
async fn a_fenced_node_lets_nobody_in() {
    let (site, client) = site().await;
    site.rig.plane.fence();
    site.get("/api/v2/assets").await.problem(503, "fenced");
    let basic = basic(client.id.as_str(), client.secret.expose_secret());
    let refused = ask(&site, "", "", Some(&basic)).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(site.get("/api/v2/status").await.ok(200).json()["freshness"], "fenced");
    site.rig.plane.refresh();
    site.get("/api/v2/assets").await.ok(200);
}
