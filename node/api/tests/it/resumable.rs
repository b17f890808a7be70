//! Uploads that come in pieces, by tus 1.0.0, at one node and at another.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use ncore_api::{ApiParts, router};
use ncore_limits::LimitSettings;
use ncore_model::MAX_OPEN_UPLOADS;
use sha2::{Digest, Sha256};

use crate::{
    rig::{Answer as Plane, Peers, Plan},
    site::{Answer, Site, parts},
};

const UPLOADS: &str = "/api/v2/uploads";
const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");

async fn site() -> Site {
    let mut plan = Plan::default();
    plan.settings.max_upload_bytes = 64 << 20;
    // A disk that others keep busy is no reason to refuse anything here.
    plan.settings.request_deadline = Duration::from_secs(30);
    let site = Site::with(plan).await;
    site.rig.raise_schema();
    site
}

/// The API of the other node, with the disk of the other node.
fn other_node(site: &Site) -> Router {
    router(ApiParts { domain: Arc::new(site.rig.another_node()), ..parts(&site.rig, LimitSettings::default()) })
}

fn tus(site: &Site, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> http::Result<Request<Body>> {
    let request = site.request(method, path).header("tus-resumable", "1.0.0");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body)
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name} {}", STANDARD.encode(value))).collect::<Vec<_>>().join(",")
}

async fn create(site: &Site, path: &str, length: u64) -> String {
    let (length, metadata) = (length.to_string(), metadata(&[("path", path)]));
    let headers = [("upload-length", length.as_str()), ("upload-metadata", metadata.as_str())];
    let created = site.send(tus(site, Method::POST, UPLOADS, &headers, Body::empty())).await.ok(201);
    assert!(created.header("upload-expires").ends_with(" GMT"), "{created:?}");
    created.header("location").to_owned()
}

async fn patch(site: &Site, upload: &str, offset: u64, bytes: impl Into<Body>, headers: &[(&str, &str)]) -> Answer {
    let offset = offset.to_string();
    let headers = [&[PIECE, ("upload-offset", offset.as_str())], headers].concat();
    site.send(tus(site, Method::PATCH, upload, &headers, bytes.into())).await
}

async fn offset(site: &Site, upload: &str) -> u64 {
    let shown = site.send(tus(site, Method::HEAD, upload, &[], Body::empty())).await.ok(200);
    assert_eq!((shown.header("cache-control"), shown.header("tus-resumable")), ("no-store", "1.0.0"));
    shown.header("upload-offset").parse().expect("a number")
}

fn content(len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).expect("small")).collect()
}

/// What breaks off behind these bytes.
fn broken(bytes: Bytes) -> Body {
    Body::from_stream(stream::iter([Ok(bytes), Err(io::Error::from(io::ErrorKind::ConnectionReset))]))
}

#[tokio::test]
async fn what_can_be_used_is_said_to_anybody() {
    let site = site().await;
    for path in [UPLOADS, "/api/v2/uploads/up_x"] {
        let request = Request::builder().method(Method::OPTIONS).uri(path).body(Body::empty());
        let answer = site.send(request).await.ok(204);
        let headers = ["tus-resumable", "tus-version", "tus-max-size", "tus-extension", "tus-checksum-algorithm"];
        let extensions = "creation,creation-with-upload,checksum,expiration,termination";
        assert_eq!(headers.map(|name| answer.header(name)), ["1.0.0", "1.0.0", "67108864", extensions, "sha1,sha256"]);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-allow-methods").contains("PATCH"));
        assert!(answer.header("access-control-allow-headers").contains("Upload-Offset"));
    }
}

#[tokio::test]
async fn pieces_become_an_asset_as_if_they_had_come_at_once() {
    let mut site = site().await;
    let content = content(2_500_000);
    let upload = create(&site, "video/a.webm", 2_500_000).await;
    assert_eq!(offset(&site, &upload).await, 0);
    let first = patch(&site, &upload, 0, content.slice(..1_000_000), &[]).await.ok(204);
    assert_eq!((first.header("upload-offset"), first.header("x-ncore-asset")), ("1000000", ""));
    assert_eq!(site.assets(), 0);
    let piece = blake3::hash(&content[..1_000_000]);
    for store in [&site.rig.store, &site.rig.peer_store] {
        assert!(matches!(store.status(piece), Ok(ncore_store::BlobStatus::Present { .. })), "on two nodes");
    }
    // The rest goes to the other node.
    let there = other_node(&site);
    let here = std::mem::replace(&mut site.router, there);
    assert_eq!(offset(&site, &upload).await, 1_000_000);
    let second = patch(&site, &upload, 1_000_000, content.slice(1_000_000..1_500_000), &[]).await.ok(204);
    assert_eq!(second.header("upload-offset"), "1500000");
    let last = patch(&site, &upload, 1_500_000, content.slice(1_500_000..), &[]).await.ok(204);
    site.router = here;
    let asset = site.get(&format!("/api/v2/assets/{}", last.header("x-ncore-asset"))).await.ok(200).json();
    assert_eq!(asset["sha256"], hex::encode(Sha256::digest(&content)));
    assert_eq!((&asset["path"], &asset["mime"], &asset["size"]), (&"video/a.webm".into(), &"video/webm".into(), &2_500_000.into()));
    let shown = site.send(tus(&site, Method::HEAD, &upload, &[], Body::empty())).await.ok(200);
    let headers = ["upload-offset", "upload-length", "upload-metadata", "x-ncore-asset"];
    let note = metadata(&[("path", "video/a.webm")]);
    assert_eq!(headers.map(|name| shown.header(name)), ["2500000", "2500000", &note, asset["id"].as_str().expect("an id")]);
    patch(&site, &upload, 2_500_000, "", &[]).await.problem(409, "upload_offset");
    site.rig.no_pins().await;
    assert_eq!(site.rig.files_incoming(), 0);
}

#[tokio::test]
async fn what_came_before_a_break_counts() {
    let site = site().await;
    let content = content(17 << 20);
    let upload = create(&site, "a", 20 << 20).await;
    patch(&site, &upload, 0, broken(content.clone()), &[]).await.problem(400, "incomplete_body");
    assert_eq!(offset(&site, &upload).await, 17 << 20, "in two pieces");
    // But not if it was to count as a whole.
    let sha1 = [("upload-checksum", "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=")];
    patch(&site, &upload, 17 << 20, broken(content.slice(..100)), &sha1).await.problem(400, "incomplete_body");
    patch(&site, &upload, 17 << 20, content.slice(..100), &sha1).await.problem(460, "checksum_mismatch");
    assert_eq!(offset(&site, &upload).await, 17 << 20);
    let hello = [("upload-checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=")];
    patch(&site, &upload, 17 << 20, "hello", &hello).await.ok(204);
    let rest = content.slice(..(3 << 20) - 5);
    let sha256 = format!("sha256 {}", STANDARD.encode(Sha256::digest(&rest)));
    let last = patch(&site, &upload, (17 << 20) + 5, rest.clone(), &[("upload-checksum", &sha256)]).await.ok(204);
    let asset = site.get(&format!("/api/v2/assets/{}", last.header("x-ncore-asset"))).await.ok(200).json();
    let whole = [&content[..], b"hello", &rest[..]].concat();
    assert_eq!(asset["sha256"], hex::encode(Sha256::digest(whole)));
    site.rig.no_pins().await;
}

#[tokio::test]
async fn of_two_writers_one_is_refused() {
    let site = site().await;
    let upload = create(&site, "a", 200_000).await;
    let (a, b) = tokio::join!(patch(&site, &upload, 0, vec![1; 100_000], &[]), patch(&site, &upload, 0, vec![2; 100_000], &[]),);
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    let won = if a.status.as_u16() == 204 { 1 } else { 2 };
    let last = patch(&site, &upload, 100_000, vec![3; 100_000], &[]).await.ok(204);
    let asset = site.get(&format!("/api/v2/assets/{}", last.header("x-ncore-asset"))).await.ok(200).json();
    let expected = [vec![won; 100_000], vec![3; 100_000]].concat();
    assert_eq!(asset["sha256"], hex::encode(Sha256::digest(expected)));
}

#[tokio::test]
async fn an_upload_may_begin_with_its_content() {
    let site = site().await;
    let note = metadata(&[("path", "a.txt"), ("cache_ttl", "7"), ("visibility", "restricted")]);
    let begin = |length: &'static str, key: &'static str| {
        let headers = [PIECE, ("upload-length", length), ("upload-metadata", note.as_str()), ("idempotency-key", key)];
        tus(&site, Method::POST, UPLOADS, &headers, Body::from("hello"))
    };
    let all = site.send(begin("5", "one")).await.ok(201);
    assert_eq!(all.header("upload-offset"), "5");
    let asset = site.get(&format!("/api/v2/assets/{}", all.header("x-ncore-asset"))).await.ok(200).json();
    assert_eq!((&asset["cache_ttl"], &asset["visibility"]), (&7.into(), &"restricted".into()));
    let again = site.send(begin("5", "one")).await.ok(201);
    assert_eq!((again.header("location"), again.header("upload-offset")), (all.header("location"), "5"));
    site.send(begin("9", "one")).await.problem(422, "idempotency_key_reused");
    let some = site.send(begin("9", "two")).await.ok(201);
    assert_eq!(some.header("upload-offset"), "5");
    site.send(begin("4", "three")).await.problem(413, "upload_length");
    let empty = [("upload-length", "0"), ("upload-metadata", "path Yg==")];
    let empty = site.send(tus(&site, Method::POST, UPLOADS, &empty, Body::empty())).await.ok(201);
    assert_eq!(site.get(&format!("/api/v2/assets/{}", empty.header("x-ncore-asset"))).await.ok(200).json()["size"], 0);
}

#[tokio::test]
async fn what_is_refused() {
    let mut site = site().await;
    let upload = create(&site, "a", 10).await;
    let no_version = site.request(Method::PATCH, &upload).body(Body::empty());
    assert_eq!(site.send(no_version).await.problem(412, "tus_version").header("tus-version"), "1.0.0");
    patch(&site, &upload, 3, "x", &[]).await.problem(409, "upload_offset");
    patch(&site, &upload, 0, "x", &[("content-length", "11")]).await.problem(413, "upload_length");
    patch(&site, &upload, 0, "12345678901", &[]).await.problem(413, "upload_length");
    patch(&site, &upload, 0, "x", &[("upload-checksum", "md5 xx")]).await.problem(400, "invalid_header");
    let plain = tus(&site, Method::PATCH, &upload, &[("upload-offset", "0"), ("content-type", "text/plain")], Body::from("x"));
    site.send(plain).await.problem(415, "unsupported_media_type");
    let none = tus(&site, Method::PATCH, &upload, &[PIECE], Body::from("x"));
    site.send(none).await.problem(400, "invalid_header");
    assert_eq!(offset(&site, &upload).await, 0);
    for (length, note, status, code) in [
        ("67108865", "path YQ==", 413, "upload_too_large"),
        ("-1", "path YQ==", 400, "invalid_header"),
        ("1", "path Li4vYQ==", 400, "invalid_field"),
        ("1", "", 400, "invalid_body"),
        ("1", "path !", 400, "invalid_header"),
    ] {
        let headers = [("upload-length", length), ("upload-metadata", note)];
        site.send(tus(&site, Method::POST, UPLOADS, &headers, Body::empty())).await.problem(status, code);
    }
    // Also where there is nothing yet that it could be of.
    let headers = [("upload-length", "1"), ("upload-metadata", "path YQ=="), ("upload-checksum", "{}")];
    site.send(tus(&site, Method::POST, UPLOADS, &headers, Body::empty())).await.problem(400, "invalid_header");
    // By another name, for clients that have no other methods.
    let named = [PIECE, ("upload-offset", "0"), ("x-http-method-override", "PATCH")];
    assert_eq!(site.send(tus(&site, Method::POST, &upload, &named, Body::from("12"))).await.ok(204).header("upload-offset"), "2");
    site.token = site.another_client().await;
    for method in [Method::PATCH, Method::DELETE] {
        let headers = [PIECE, ("upload-offset", "2")];
        site.send(tus(&site, method, &upload, &headers, Body::empty())).await.problem(404, "upload_not_found");
    }
}

#[tokio::test]
async fn an_upload_ends_when_it_is_said_or_when_its_time_is_over() {
    let site = site().await;
    let (ended, expired) = (create(&site, "a", 10).await, create(&site, "b", 10).await);
    for upload in [&ended, &expired] {
        patch(&site, upload, 0, "12", &[]).await.ok(204);
    }
    site.send(tus(&site, Method::DELETE, &ended, &[], Body::empty())).await.ok(204);
    site.send(tus(&site, Method::DELETE, &ended, &[], Body::empty())).await.problem(404, "upload_not_found");
    patch(&site, &ended, 2, "3", &[]).await.problem(404, "upload_not_found");
    site.rig.clock.advance(Duration::from_secs(24 * 60 * 60 - 60));
    let token = site.token(&[ncore_model::Scope::AssetsWrite]).await;
    let site = Site { token, ..site };
    assert_eq!(offset(&site, &expired).await, 2);
    site.rig.clock.advance(Duration::from_secs(61));
    patch(&site, &expired, 2, "3", &[]).await.problem(404, "upload_not_found");
}

#[tokio::test]
async fn open_uploads_are_bounded() {
    let site = site().await;
    let mut last = String::new();
    for _ in 0..MAX_OPEN_UPLOADS {
        last = create(&site, "a", 10).await;
    }
    let headers = [("upload-length", "1"), ("upload-metadata", "path YQ==")];
    let refused = site.send(tus(&site, Method::POST, UPLOADS, &headers, Body::empty())).await.ok(429);
    assert_eq!(refused.json()["code"], "too_many_uploads");
    patch(&site, &last, 0, "1234567890", &[]).await.ok(204);
    create(&site, "a", 10).await;
}

#[tokio::test]
async fn nothing_counts_that_is_on_one_node_or_not_committed() {
    let site = site().await;
    let upload = create(&site, "a", 10).await;
    site.rig.copies.are(Peers::Gone);
    patch(&site, &upload, 0, "12", &[]).await.problem(503, "too_few_copies");
    site.rig.copies.are(Peers::Willing);
    site.rig.plane.answer(Plane::Unavailable);
    patch(&site, &upload, 0, "12", &[]).await.problem(503, "unavailable");
    site.rig.plane.answer(Plane::Committed);
    assert_eq!(offset(&site, &upload).await, 0);
    site.rig.no_pins().await;
    // What is not known may have taken place: whoever asks finds out.
    site.rig.plane.answer(Plane::UnknownApplied);
    patch(&site, &upload, 0, "12", &[]).await.problem(503, "unknown");
    site.rig.plane.answer(Plane::Committed);
    assert_eq!(offset(&site, &upload).await, 2);
}
