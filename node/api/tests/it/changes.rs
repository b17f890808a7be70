//! Delete and purge.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::{rig::Answer as Plane, site::Site};

fn delete(site: &Site, id: &str, headers: &[(&str, &str)]) -> http::Result<Request<Body>> {
    let request = site.request(Method::DELETE, &format!("/api/v2/assets/{id}"));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::empty())
}

#[tokio::test]
async fn deletes() {
    let site = Site::new().await;
    let asset = site.put("a", b"x", &[]).await.ok(201);
    let id = asset.json()["id"].as_str().expect("an id").to_owned();
    site.send(delete(&site, &id, &[("if-match", "\"00\"")])).await.problem(412, "precondition_failed");
    let deleted = site.send(delete(&site, &id, &[("if-match", asset.header("etag")), ("idempotency-key", "d")])).await.ok(204);
    assert!(deleted.body.is_empty());
    assert_eq!(deleted.header("x-ncore-ack"), "committed");
    assert_eq!(site.assets(), 0);
    site.get(&format!("/api/v2/assets/{id}")).await.problem(404, "asset_not_found");
    site.send(delete(&site, &id, &[])).await.problem(404, "asset_not_found");
    let again = site.send(delete(&site, &id, &[("if-match", asset.header("etag")), ("idempotency-key", "d")])).await.ok(204);
    assert_eq!(again.header("x-ncore-revision"), deleted.header("x-ncore-revision"), "the first answer");
    site.send(delete(&site, &id, &[("idempotency-key", "d")])).await.problem(422, "idempotency_key_reused");
    // The same key of another operation is another key.
    site.put("a", b"x", &[("idempotency-key", "d")]).await.ok(201);
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let mut site = Site::new().await;
    site.rig.raise_schema();
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    for path in ["b", "c"] {
        site.put(path, b"x", &[]).await.ok(201);
    }
    let other = site.another_client().await;
    let mine = std::mem::replace(&mut site.token, other);
    site.put("theirs", b"x", &[]).await.ok(201);
    site.token = mine;
    let delete = |site: &Site, assets: serde_json::Value, headers: &[(&str, &str)]| {
        site.json(Method::POST, "/api/v2/assets/delete", &json!({ "assets": assets }), headers)
    };
    let wanted = json!([{ "id": id }, { "path": "/b" }, { "path": "theirs" }, { "id": "as_none" }]);
    let done = site.send(delete(&site, wanted.clone(), &[("idempotency-key", "d"), ("prefer", "ack=all")])).await.ok(200);
    let expected = json!({
        "deleted": 2,
        "results": [
            { "id": id, "status": 204 },
            { "path": "/b", "status": 204 },
            { "path": "theirs", "status": 403, "code": "asset_of_other_client" },
            { "id": "as_none", "status": 404, "code": "asset_not_found" },
        ],
        "revision": done.header("x-ncore-revision"),
    });
    assert_eq!((done.json(), done.header("x-ncore-ack")), (expected.clone(), "all"));
    assert_eq!(site.assets(), 2, "c, and that of the other");
    site.put("b", b"x", &[]).await.ok(201);
    assert_eq!(site.send(delete(&site, wanted, &[("idempotency-key", "d")])).await.ok(200).json(), expected, "the first answer");
    site.send(delete(&site, json!([{ "path": "c" }]), &[("idempotency-key", "d")])).await.problem(422, "idempotency_key_reused");
    assert_eq!(site.assets(), 3);
    for bad in [json!([]), json!([{}]), json!([{ "id": "a", "path": "a" }]), json!(["a"]), json!(vec![json!({ "id": "a" }); 1_001])] {
        site.send(delete(&site, bad, &[])).await.problem(400, "invalid_body");
    }
    site.send(delete(&site, json!([{ "path": "../a" }]), &[])).await.problem(400, "invalid_field");
    let long = json!(vec![json!({ "path": "x".repeat(1_000) }); 600]);
    site.send(delete(&site, long, &[])).await.problem(413, "body_too_large");
    site.token = site.token(&[ncore_model::Scope::AssetsRead]).await;
    site.send(site.json(Method::POST, "/api/v2/assets/delete", &json!({ "assets": [{ "path": "c" }] }), &[]))
        .await
        .problem(403, "scope_missing");
}

#[tokio::test]
async fn purges() {
    let site = Site::new().await;
    for path in ["images/hero/1.png", "images/hero/deep/2.png", "images/3.png"] {
        site.put(path, b"x", &[]).await.ok(201);
    }
    let purge =
        |pattern: &str, headers: &[(&str, &str)]| site.json(Method::POST, "/api/v2/cache/purge", &json!({"pattern": pattern}), headers);
    let first = site.send(purge("images/hero/*", &[("idempotency-key", "p")])).await.ok(200);
    assert_eq!(first.json(), json!({"purged": 2, "revision": first.header("x-ncore-revision")}));
    let again = site.send(purge("images/hero/*", &[("idempotency-key", "p")])).await.ok(200);
    assert_eq!(again.json(), first.json());
    site.send(purge("images/*", &[("idempotency-key", "p")])).await.problem(422, "idempotency_key_reused");
    assert_eq!(site.send(purge("images/*", &[])).await.ok(200).json()["purged"], 3);
    assert_eq!(site.assets(), 3, "the assets stay");

    for bad in ["", "/", "a[", &"x".repeat(1_025)] {
        site.send(purge(bad, &[])).await.problem(400, "invalid_field");
    }
    let post = async |content_type: &str, body: String| {
        let request = site.request(Method::POST, "/api/v2/cache/purge").header("content-type", content_type);
        site.send(request.body(Body::from(body))).await
    };
    post("application/json", "{".to_owned()).await.problem(400, "invalid_body");
    post("application/json", "{}".to_owned()).await.problem(400, "invalid_body");
    post("application/json", r#"{"pattern":"a","mode":"hard"}"#.to_owned()).await.problem(400, "invalid_body");
    post("application/x-www-form-urlencoded", "pattern=a".to_owned()).await.problem(415, "unsupported_media_type");
    post("application/json", format!(r#"{{"pattern":"{}"}}"#, "x".repeat(70_000))).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn outcomes() {
    let site = Site::new().await;
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    let purge = || site.json(Method::POST, "/api/v2/cache/purge", &json!({"pattern": "*"}), &[("idempotency-key", "p")]);
    site.rig.plane.answer(Plane::Unavailable);
    assert_eq!(site.send(purge()).await.problem(503, "unavailable").json()["outcome"], "unavailable");
    assert_eq!(site.send(delete(&site, &id, &[])).await.problem(503, "unavailable").json()["outcome"], "unavailable");
    site.rig.plane.answer(Plane::UnknownApplied);
    assert_eq!(site.send(purge()).await.problem(503, "unknown").json()["outcome"], "unknown");
    let revision = site.rig.domain.revision().to_string();
    site.rig.plane.answer(Plane::Committed);
    assert_eq!(site.send(purge()).await.ok(200).json()["revision"], revision, "the first purge is found");
}

#[tokio::test]
async fn a_change_is_answered_when_it_is_everywhere() {
    let site = Site::new().await;
    site.put("a", b"x", &[]).await.ok(201);
    let purge = || site.json(Method::POST, "/api/v2/cache/purge", &json!({"pattern": "*"}), &[("prefer", "ack=all")]);
    let purged = site.send(purge()).await.ok(200);
    assert_eq!((purged.header("x-ncore-ack"), purged.header("preference-applied")), ("all", "ack=all"));
    *site.rig.plane.without.lock() = vec![site.rig.peer];
    let purged = site.send(purge()).await.ok(200);
    let peer = site.rig.peer.to_string();
    assert_eq!((purged.header("x-ncore-ack"), purged.header("x-ncore-ack-except")), ("all_except_serving", peer.as_str()));
}
