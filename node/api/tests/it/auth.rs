//! Who may do what with which token, and which error comes first.

use axum::body::Body;
use http::{Method, Request};
use ncore_domain::AckLevel;
use ncore_model::{ClientStatus, Scope};
use serde_json::json;
use std::time::Duration;

use crate::site::{Site, file, text};

#[tokio::test]
async fn bearer_errors() {
    let site = Site::new().await;
    let good = format!("Bearer {}", site.token);
    let cases: [(Vec<&str>, u16, &str, &str); 10] = [
        (vec![], 401, "token_missing", r#"Bearer realm="ncore""#),
        (vec!["Bearer"], 401, "token_missing", r#"Bearer realm="ncore""#),
        (vec!["Basic YTpi"], 401, "token_missing", r#"Bearer realm="ncore""#),
        (vec!["Bearer a b"], 400, "token_malformed", r#"Bearer realm="ncore", error="invalid_request""#),
        (vec!["Bearer \"x\""], 400, "token_malformed", r#"Bearer realm="ncore", error="invalid_request""#),
        (vec![&good, &good], 400, "token_malformed", r#"Bearer realm="ncore", error="invalid_request""#),
        (vec!["Bearer abc"], 401, "token_invalid", r#"Bearer realm="ncore", error="invalid_token", error_description=""#),
        (vec!["Bearer a.b.c"], 401, "token_invalid", r#"Bearer realm="ncore", error="invalid_token""#),
        (vec!["bEARER a.b.c"], 401, "token_invalid", r#"Bearer realm="ncore", error="invalid_token""#),
        (vec!["Bearer eyJhbGciOiJub25lIn0.e30."], 401, "token_invalid", r#"Bearer realm="ncore", error="invalid_token""#),
    ];
    for (authorization, status, code, challenge) in cases {
        let mut request = Request::builder().uri("/api/v2/assets");
        for value in &authorization {
            request = request.header("authorization", *value);
        }
        let answer = site.send(request.body(Body::empty())).await.problem(status, code);
        let found = answer.header("www-authenticate");
        assert!(found.starts_with(challenge), "{authorization:?}: {found}");
        assert_eq!(code == "token_missing", found == r#"Bearer realm="ncore""#, "{authorization:?}: {found}");
    }
    site.get("/api/v2/assets?access_token=abc").await.problem(400, "token_malformed");
    site.get("/api/v2/assets").await.ok(200);
    site.rig.clock.advance(Duration::from_secs(86_400));
    let expired = site.get("/api/v2/assets").await.problem(401, "token_invalid");
    assert!(expired.header("www-authenticate").contains("expired"));
}

#[tokio::test]
async fn scopes() {
    let mut site = Site::new().await;
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    let asset = format!("/api/v2/assets/{id}");
    let replication = format!("{asset}/replication");
    let purge = json!({"pattern": "*"});
    let patch = json!({"cache_ttl": 1});
    let calls = [
        (Scope::AssetsRead, Method::GET, "/api/v2/assets", None),
        (Scope::AssetsRead, Method::GET, &asset, None),
        (Scope::AssetsRead, Method::GET, &replication, None),
        (Scope::AssetsWrite, Method::POST, "/api/v2/assets/upload", None),
        (Scope::AssetsWrite, Method::PATCH, &asset, Some(&patch)),
        (Scope::AssetsWrite, Method::DELETE, &asset, None),
        (Scope::CachePurge, Method::POST, "/api/v2/cache/purge", Some(&purge)),
    ];
    for (needed, method, path, body) in calls {
        let others: Vec<Scope> = site.rig.scopes().into_iter().filter(|scope| *scope != needed).collect();
        site.token = site.token(&others).await;
        let request = match body {
            Some(body) => site.json(method.clone(), path, body, &[]),
            None => site.request(method.clone(), path).body(Body::empty()),
        };
        let answer = site.send(request).await.problem(403, "scope_missing");
        let challenge = format!(r#"Bearer realm="ncore", error="insufficient_scope", scope="{}""#, needed.as_str());
        assert_eq!(answer.header("www-authenticate"), challenge, "{method} {path}");
    }
}

#[tokio::test]
async fn a_client_under_review_reads_only() {
    let site = Site::new().await;
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    let set = async |status| site.rig.domain.clients().set_status(site.client.clone(), status, AckLevel::Committed).await.expect("set");
    set(ClientStatus::Review).await;
    site.get("/api/v2/assets").await.ok(200);
    site.get(&format!("/api/v2/assets/{id}")).await.ok(200);
    site.put("b", b"x", &[]).await.problem(403, "client_under_review");
    let purge = site.json(Method::POST, "/api/v2/cache/purge", &json!({"pattern": "*"}), &[]);
    site.send(purge).await.problem(403, "client_under_review");
    set(ClientStatus::Suspended).await;
    site.get("/api/v2/assets").await.problem(401, "token_invalid");
}

/// 401, then 403, then 404, then 400 and 413.
#[tokio::test]
async fn the_order_of_errors() {
    let mut site = Site::new().await;
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    let (mine, none) = (format!("/api/v2/assets/{id}"), "/api/v2/assets/as_none");
    let broken = json!({"cache_ttl": "soon"});
    let bad_header = [("x-ncore-revision", "soon")];

    let without_token = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).header("x-ncore-revision", "soon");
        site.send(request.header("content-type", "application/json").body(Body::from("{"))).await.problem(401, "token_missing");
    };
    without_token(Method::PATCH, &mine).await;
    without_token(Method::PATCH, none).await;
    without_token(Method::POST, "/api/v2/assets/upload").await;

    let reads_only = site.token(&[Scope::AssetsRead]).await;
    let all = std::mem::replace(&mut site.token, reads_only);
    site.send(site.json(Method::PATCH, none, &broken, &bad_header)).await.problem(403, "scope_missing");
    site.token = site.another_client().await;
    site.send(site.json(Method::PATCH, &mine, &broken, &[])).await.problem(403, "asset_of_other_client");
    let delete = site.request(Method::DELETE, &mine).header("idempotency-key", "").body(Body::empty());
    site.send(delete).await.problem(403, "asset_of_other_client");
    site.token = all;
    site.send(site.json(Method::PATCH, none, &broken, &[])).await.problem(404, "asset_not_found");
    site.send(site.json(Method::PATCH, &mine, &broken, &[])).await.problem(400, "invalid_body");
    site.send(site.json(Method::PATCH, &mine, &json!({"cache_ttl": 1}), &bad_header)).await.problem(400, "invalid_header");
    site.send(site.upload(&[text("path", "../x"), file("f", b"x")], &bad_header)).await.problem(400, "invalid_header");
}

#[tokio::test]
async fn another_clients_asset() {
    let mut site = Site::new().await;
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    site.rig.plane.apply(ncore_model::Command::RaiseSchema { level: 2 });
    site.token = site.another_client().await;
    let asset = format!("/api/v2/assets/{id}");
    site.get(&asset).await.problem(403, "asset_of_other_client");
    site.get(&format!("{asset}/replication")).await.problem(403, "asset_of_other_client");
    site.send(site.request(Method::DELETE, &asset).body(Body::empty())).await.problem(403, "asset_of_other_client");
    site.send(site.json(Method::PATCH, &asset, &json!({"cache_ttl": 1}), &[])).await.problem(403, "asset_of_other_client");
    site.put("a", b"y", &[]).await.problem(403, "asset_of_other_client");
    assert_eq!(site.get("/api/v2/assets").await.ok(200).json()["assets"], json!([]));
    assert_eq!(site.assets(), 1);
}
