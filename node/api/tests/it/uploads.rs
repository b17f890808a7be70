//! Uploads: what they may look like, what becomes of them, and what is left of those that fail.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use ncore_model::SchemaRange;
use serde_json::json;
use sha2::Digest;

use crate::{
    rig::{Answer as Plane, Peers, Plan, until},
    site::{MULTIPART, Site, file, form, text},
};

#[tokio::test]
async fn an_upload_answers_with_the_asset() {
    let site = Site::new().await;
    let content = b"content of a film";
    let answer = site.put("video-bg/my asset.webm", content, &[]).await.ok(201);
    let asset = answer.json();
    let revision = answer.header("x-ncore-revision").to_owned();
    let id = asset["id"].as_str().expect("an id");
    assert!(id.starts_with("as_"), "{id}");
    assert_eq!(answer.header("location"), format!("/api/v2/assets/{id}"));
    let created_at = asset["created_at"].as_u64().expect("a time");
    assert!(created_at > 1_700_000_000 && created_at < 100_000_000_000, "seconds: {created_at}");
    let expected = json!({
        "id": id,
        "path": "video-bg/my asset.webm",
        "url": "https://cdn.example/assets/video-bg/my%20asset.webm",
        "mime": "video/webm",
        "size": content.len(),
        "sha256": hex::encode(sha2::Sha256::digest(content)),
        "client_id": site.client.as_str(),
        "cache_ttl": 3600,
        "created_at": created_at,
        "node": "eu-03",
        "replicated": false,
        "copies": 2,
        "revision": revision,
        "visibility": "public",
    });
    assert_eq!(asset, expected);
    let shown = site.get(answer.header("location")).await.ok(200);
    assert_eq!(shown.json(), expected);
    assert_eq!(shown.header("etag"), answer.header("etag"));
    site.rig.no_pins().await;
}

#[tokio::test]
async fn parts_in_any_order() {
    let site = Site::new().await;
    let parts = [text("path", "docs/a.unheardof"), text("cache_ttl", "60"), text("mime", "application/x-thing"), file("b.txt", b"x")];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let parts: Vec<Vec<u8>> = order.iter().map(|at| parts[*at].clone()).collect();
        let asset = site.send(site.upload(&parts, &[])).await.ok(201).json();
        assert_eq!(
            (&asset["path"], &asset["cache_ttl"], &asset["mime"]),
            (&json!("docs/a.unheardof"), &json!(60), &json!("application/x-thing"))
        );
    }
    let defaults = site.send(site.upload(&[file("C:\\fakepath\\pic.png", b"x")], &[])).await.ok(201).json();
    assert_eq!((&defaults["path"], &defaults["mime"]), (&json!("pic.png"), &json!("image/png")));
    let sniffed = site.put("noext", b"\x89PNG\r\n\x1a\n and more", &[]).await.ok(201).json();
    assert_eq!(sniffed["mime"], "image/png");
    let empty = site.put("empty.txt", b"", &[]).await.ok(201).json();
    assert_eq!(empty["size"], 0);
    let slash = site.put("/lead/ing", b"x", &[]).await.ok(201).json();
    assert_eq!(slash["path"], "lead/ing");
}

#[tokio::test]
async fn bodies_that_are_no_uploads() {
    let site = Site::new().await;
    let x = || file("f", b"x");
    let nameless = b"Content-Disposition: form-data\r\n\r\nx".to_vec();
    let long = text("path", &"x".repeat(5_000));
    let cases = [
        (vec![], "incomplete_body|invalid_body"),
        (vec![text("path", "a")], "invalid_body"),
        (vec![x(), x()], "invalid_body"),
        (vec![text("path", "a"), text("path", "b"), x()], "invalid_body"),
        (vec![x(), text("cachettl", "5")], "invalid_body"),
        (vec![x(), nameless], "invalid_body"),
        (vec![file("", b"x")], "invalid_body"),
        (vec![x(), long], "invalid_body"),
        (vec![text("path", "../a"), x()], "invalid_field"),
        (vec![x(), text("path", "a//b")], "invalid_field"),
        (vec![x(), text("path", "a\0b")], "invalid_field"),
        (vec![x(), text("path", "")], "invalid_field"),
        (vec![x(), text("cache_ttl", "soon")], "invalid_field"),
        (vec![x(), text("cache_ttl", "-1")], "invalid_field"),
        (vec![x(), text("cache_ttl", "31536001")], "invalid_field"),
        (vec![x(), text("mime", "text")], "invalid_field"),
        (vec![file("..", b"x")], "invalid_field"),
    ];
    for (parts, codes) in cases {
        let answer = site.send(site.upload(&parts, &[])).await;
        let code = answer.json()["code"].as_str().expect("a code").to_owned();
        assert!(codes.split('|').any(|expected| expected == code), "{codes} {}", String::from_utf8_lossy(&answer.body));
        answer.problem(400, &code);
    }
    let send = async |content_type: &str, body: Vec<u8>| {
        let request = site.request(Method::POST, "/api/v2/assets/upload").header("content-type", content_type);
        site.send(request.body(Body::from(body))).await
    };
    send("application/json", b"{}".to_vec()).await.problem(415, "unsupported_media_type");
    send("multipart/form-data", form(&[x()])).await.problem(400, "invalid_body");
    send(MULTIPART, b"--XBOUNDARYX\r\nno head at all".to_vec()).await.problem(400, "incomplete_body");
    let mut cut = form(&[x()]);
    cut.truncate(cut.len() - 10);
    send(MULTIPART, cut).await.problem(400, "incomplete_body");
    assert_eq!(site.assets(), 0);
    until("nothing is left", async || site.rig.files_incoming() == 0).await;
    assert_eq!(site.rig.pins().await, (0, 0));
}

#[tokio::test]
async fn the_limit_holds_while_bytes_come_and_before() {
    let mut plan = Plan::default();
    plan.settings.max_upload_bytes = 1 << 20;
    let site = Site::with(plan).await;
    site.put("just", &vec![7; 1 << 20], &[]).await.ok(201);
    let announced = site.put("more", &vec![7; (1 << 20) + 1], &[]).await.problem(413, "upload_too_large");
    assert!(announced.json()["detail"].as_str().expect("text").contains("1048576"));

    // A body that does not say how long it is, and never ends.
    let head = [b"--XBOUNDARYX\r\n".to_vec(), file("f", b"")].concat();
    let endless = stream::once(async move { Bytes::from(head) }).chain(stream::repeat(Bytes::from_static(&[7; 1 << 16])));
    let body = Body::from_stream(endless.map(Ok::<_, std::convert::Infallible>));
    let request = site.request(Method::POST, "/api/v2/assets/upload").header("content-type", MULTIPART).body(body);
    let refused = site.send(request).await.problem(413, "upload_too_large");
    assert_eq!(refused.header("connection"), "close");

    let far_too_long = site.request(Method::POST, "/api/v2/assets/upload").header("content-type", MULTIPART);
    let far_too_long =
        far_too_long.header("content-length", 10_u64 << 30).body(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
    site.send(far_too_long).await.problem(413, "upload_too_large");
    until("nothing is left", async || site.rig.files_incoming() == 0).await;
    assert_eq!(site.assets(), 1);
}

#[tokio::test]
async fn a_client_that_breaks_off_leaves_nothing() {
    let site = Site::new().await;
    let head = [b"--XBOUNDARYX\r\n".to_vec(), file("f", &[7; 700_000])].concat();
    let broken = stream::iter([Ok(Bytes::from(head)), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
    let request = site.request(Method::POST, "/api/v2/assets/upload").header("content-type", MULTIPART);
    site.send(request.body(Body::from_stream(broken))).await.problem(400, "incomplete_body");
    until("nothing is left", async || site.rig.files_incoming() == 0).await;
    assert_eq!((site.assets(), site.rig.pins().await), (0, (0, 0)));
}

#[tokio::test]
async fn too_few_copies() {
    let site = Site::new().await;
    site.rig.copies.are(Peers::Gone);
    let answer = site.put("a", b"x", &[]).await.problem(503, "too_few_copies");
    assert_eq!(answer.json()["outcome"], "unavailable");
    assert_eq!(site.assets(), 0);
    site.rig.copies.are(Peers::LosesFans);
    assert_eq!(site.put("a", b"x", &[]).await.ok(201).json()["copies"], 2);
}

#[tokio::test]
async fn one_copy_where_the_operator_allows_it() {
    let mut plan = Plan::default();
    plan.settings.allow_single_copy = true;
    let site = Site::with(plan).await;
    site.rig.copies.are(Peers::Gone);
    assert_eq!(site.put("a", b"x", &[]).await.ok(201).json()["copies"], 1);
}

#[tokio::test]
async fn full_and_busy() {
    let site = Site::with(Plan { reserve_bytes: u64::MAX / 2, ..Plan::default() }).await;
    let full = site.put("a", b"x", &[]).await.problem(507, "disk_full");
    assert!(full.json().get("outcome").is_none());
    let mut plan = Plan::default();
    plan.settings.uploads_at_once = 0;
    let site = Site::with(plan).await;
    let busy = site.put("a", b"x", &[]).await.problem(503, "busy");
    assert_eq!(busy.json()["outcome"], "unavailable");
}

#[tokio::test]
async fn outcomes() {
    let site = Site::new().await;
    site.rig.plane.answer(Plane::Unavailable);
    let answer = site.put("a", b"x", &[("idempotency-key", "k1")]).await.problem(503, "unavailable");
    assert_eq!(answer.json()["outcome"], "unavailable");
    site.rig.no_pins().await;

    site.rig.plane.answer(Plane::UnknownApplied);
    let answer = site.put("a", b"x", &[("idempotency-key", "k1")]).await.problem(503, "unknown");
    assert_eq!(answer.json()["outcome"], "unknown");
    assert!(answer.json()["detail"].as_str().expect("text").contains("Idempotency-Key"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(site.rig.pins().await, (1, 1), "the pins stay");

    site.rig.plane.answer(Plane::Committed);
    let found = site.put("a", b"x", &[("idempotency-key", "k1")]).await.ok(201);
    assert_eq!(site.assets(), 1, "it was the first one");
    let again = site.put("a", b"x", &[("idempotency-key", "\"k1\"")]).await.ok(201);
    assert_eq!(found.json(), again.json(), "quoted or not, it is the same key");
    let inner = site.put("inner", b"x", &[("idempotency-key", r#"a "b\ c"#)]).await.ok(201);
    let again = site.put("inner", b"x", &[("idempotency-key", r#""a \"b\\ c""#)]).await.ok(201);
    assert_eq!(inner.json(), again.json(), "what a string says is the key");
    for (path, content) in [("a", b"y"), ("b", b"x")] {
        site.put(path, content, &[("idempotency-key", "k1")]).await.problem(422, "idempotency_key_reused");
    }
    for bad in ["", "\u{e4}", &"k".repeat(256), "\"", "\"\"", "\"q", "q\"", "\"q\"r\"", "\"q\\\"", "\"q\\r\""] {
        site.put("a", b"x", &[("idempotency-key", bad)]).await.problem(400, "invalid_header");
    }
}

#[tokio::test]
async fn preconditions() {
    let site = Site::new().await;
    let first = site.put("a", b"one", &[("if-none-match", "*")]).await.ok(201);
    site.put("a", b"two", &[("if-none-match", "*")]).await.problem(412, "precondition_failed");
    site.put("a", b"two", &[("if-match", "\"00\"")]).await.problem(412, "precondition_failed");
    site.put("new", b"two", &[("if-match", "*")]).await.problem(412, "precondition_failed");
    let second = site.put("a", b"two", &[("if-match", first.header("etag"))]).await.ok(201);
    assert_eq!(first.json()["id"], second.json()["id"]);
    let sha256 = format!("\"{}\"", second.json()["sha256"].as_str().expect("a digest"));
    site.put("a", b"three", &[("if-match", &sha256)]).await.ok(201);
    site.put("a", b"four", &[("if-match", "*")]).await.ok(201);
    for bad in [("if-match", "x"), ("if-none-match", "\"x\"")] {
        site.put("a", b"x", &[bad]).await.problem(400, "invalid_header");
    }
    site.put("a", b"x", &[("if-match", "*"), ("if-none-match", "*")]).await.problem(400, "invalid_header");
    assert_eq!(site.assets(), 1);
}

#[tokio::test]
async fn a_patch_needs_its_schema_level() {
    let site = Site::with(Plan { schema: SchemaRange { min: 1, max: 2 }, ..Plan::default() }).await;
    let id = site.put("a.txt", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    let patch =
        |body: serde_json::Value, headers: &[(&str, &str)]| site.json(Method::PATCH, &format!("/api/v2/assets/{id}"), &body, headers);
    let early = site.send(patch(json!({"cache_ttl": 5}), &[])).await.problem(503, "schema_too_low");
    assert_eq!(early.json()["outcome"], "unavailable");
    assert!(early.json()["detail"].as_str().expect("text").contains("level 2"), "{early:?}");
    site.rig.plane.apply(ncore_model::Command::RaiseSchema { level: 2 });

    let before = site.get(&format!("/api/v2/assets/{id}")).await.ok(200);
    let patched = site.send(patch(json!({"cache_ttl": 5, "mime": "text/x-thing"}), &[("if-match", before.header("etag"))])).await.ok(200);
    assert_eq!((&patched.json()["cache_ttl"], &patched.json()["mime"]), (&json!(5), &json!("text/x-thing")));
    assert_eq!(patched.json()["revision"], before.json()["revision"], "the content is the same");
    assert_ne!(patched.header("etag"), before.header("etag"), "the document is not");
    let one = site.send(patch(json!({"cache_ttl": 6}), &[("idempotency-key", "p")])).await.ok(200);
    let again = site.send(patch(json!({"cache_ttl": 6}), &[("idempotency-key", "p")])).await.ok(200);
    assert_eq!(one.json(), again.json());
    site.send(patch(json!({"cache_ttl": 7}), &[("idempotency-key", "p")])).await.problem(422, "idempotency_key_reused");
    site.send(patch(json!({"cache_ttl": 8}), &[("if-match", "\"00\"")])).await.problem(412, "precondition_failed");
    for (body, code) in [
        (json!({}), "invalid_body"),
        (json!({"cache_ttl": -1}), "invalid_body"),
        (json!({"path": "b"}), "invalid_body"),
        (json!([]), "invalid_body"),
        (json!({"cache_ttl": 31_536_001}), "invalid_field"),
        (json!({"mime": "x"}), "invalid_field"),
    ] {
        site.send(patch(body, &[])).await.problem(400, code);
    }
}
