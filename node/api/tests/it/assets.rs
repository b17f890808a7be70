//! Lists and single assets.

use axum::body::Body;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};

use crate::{
    rig::{HERE, Peers},
    site::Site,
};

fn paths(page: &Value) -> Vec<&str> {
    page["assets"].as_array().expect("assets").iter().map(|asset| asset["path"].as_str().expect("a path")).collect()
}

#[tokio::test]
async fn pages() {
    let site = Site::new().await;
    for path in ["img/1.png", "img/2.jpg", "img/3.png", "img/4 ü&.png", "js/a.js"] {
        site.put(path, path.as_bytes(), &[]).await.ok(201);
    }
    let all = site.get("/api/v2/assets").await.ok(200);
    assert_eq!(paths(&all.json()).len(), 5);
    assert_eq!((&all.json()["next_cursor"], &all.json()["has_more"]), (&Value::Null, &json!(false)));
    assert_eq!(all.header("link"), "");
    assert_eq!(all.header("content-type"), "application/json");

    let mut link = "/api/v2/assets?prefix=/img/&mime=image/png&limit=2".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = site.get(&link).await.ok(200);
        seen.extend(paths(&page.json()).into_iter().map(str::to_owned));
        pages += 1;
        let cursor = page.json()["next_cursor"].clone();
        assert_eq!(page.json()["has_more"], !cursor.is_null());
        let Some(cursor) = cursor.as_str() else { break };
        let next = page.header("link");
        assert!(next.ends_with(&format!("&cursor={cursor}>; rel=\"next\"")), "{next}");
        link = next.trim_start_matches('<').split('>').next().expect("a target").to_owned();
    }
    assert_eq!((pages, seen.join(" ")), (2, "img/1.png img/3.png img/4 ü&.png".to_owned()));

    assert_eq!(paths(&site.get("/api/v2/assets?limit=99999").await.ok(200).json()).len(), 5);
    assert_eq!(paths(&site.get("/api/v2/assets?prefix=img%2F4+%C3%BC&unheard=of").await.ok(200).json()), ["img/4 ü&.png"]);
    for bad in ["limit=0", "limit=-1", "limit=x", "limit=1&limit=2", "prefix=%ff", "prefix=%"] {
        site.get(&format!("/api/v2/assets?{bad}")).await.problem(400, "invalid_query");
    }
}

#[tokio::test]
async fn folders() {
    let site = Site::new().await;
    for path in ["img/1.png", "img/b/1.png", "img/b/2.png", "img/a/deep/3.png", "img/a0.png", "img.png", "other/x"] {
        site.put(path, b"x", &[]).await.ok(201);
    }
    let texts = |page: &Value, member: &str| -> Vec<String> {
        let texts = page[member].as_array().expect("an array").iter();
        texts.map(|text| text.as_str().or(text["path"].as_str()).expect("a text").to_owned()).collect()
    };
    let root = site.get("/api/v2/assets?delimiter=/").await.ok(200).json();
    assert_eq!(
        (texts(&root, "folders"), texts(&root, "assets")),
        (vec!["img/".to_owned(), "other/".to_owned()], vec!["img.png".to_owned()])
    );
    let (mut link, mut found) = ("/api/v2/assets?prefix=img/&delimiter=/&limit=1".to_owned(), Vec::new());
    while !link.is_empty() {
        let answer = site.get(&link).await.ok(200);
        let page = answer.json();
        let here = [texts(&page, "folders"), texts(&page, "assets")].concat();
        assert_eq!(here.len(), 1, "{page}");
        found.extend(here);
        link = answer.header("link").trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
        assert_eq!(page["has_more"], !link.is_empty());
    }
    assert_eq!(found, ["img/1.png", "img/a/", "img/a0.png", "img/b/"], "in the order of the whole list");
    assert!(site.get("/api/v2/assets?prefix=img/").await.ok(200).json().get("folders").is_none());
    let cursor = site.get("/api/v2/assets?delimiter=/&limit=1").await.ok(200).json()["next_cursor"].as_str().expect("a cursor").to_owned();
    site.get(&format!("/api/v2/assets?cursor={cursor}")).await.problem(400, "invalid_cursor");
    for bad in ["delimiter=x", "delimiter=//", "delimiter=/&mime=text"] {
        site.get(&format!("/api/v2/assets?{bad}")).await.problem(400, "invalid_query");
    }
}

#[tokio::test]
async fn a_cursor_is_of_its_list_and_its_client() {
    let mut site = Site::new().await;
    for path in ["a/1", "a/2", "a/3"] {
        site.put(path, b"x", &[]).await.ok(201);
    }
    let cursor = site.get("/api/v2/assets?prefix=a/&limit=1").await.ok(200).json()["next_cursor"].as_str().expect("a cursor").to_owned();
    let page = site.get(&format!("/api/v2/assets?prefix=a/&limit=7&cursor={cursor}")).await.ok(200).json();
    assert_eq!(paths(&page), ["a/2", "a/3"], "the limit is not part of the list");
    let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).expect("base64");
    *bytes.last_mut().expect("bytes") ^= 1;
    let tampered = URL_SAFE_NO_PAD.encode(bytes);
    for bad in [
        format!("prefix=a&cursor={cursor}"),
        format!("prefix=a/&mime=text&cursor={cursor}"),
        format!("prefix=a/&cursor={tampered}"),
        "prefix=a/&cursor=x".to_owned(),
        format!("prefix=a/&cursor={}", &cursor[..10]),
    ] {
        site.get(&format!("/api/v2/assets?{bad}")).await.problem(400, "invalid_cursor");
    }
    site.token = site.another_client().await;
    site.get(&format!("/api/v2/assets?prefix=a/&cursor={cursor}")).await.problem(400, "invalid_cursor");
}

#[tokio::test]
async fn conditional_requests() {
    let site = Site::new().await;
    let id = site.put("a", b"x", &[]).await.ok(201).json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v2/assets/{id}");
    let shown = site.get(&path).await.ok(200);
    let tag = shown.header("etag").to_owned();
    assert!(tag.starts_with(&format!("\"{}", shown.json()["sha256"].as_str().expect("a digest"))), "{tag}");
    let ask = async |condition: &str| {
        let request = site.request(Method::GET, &path).header("if-none-match", condition);
        site.send(request.body(Body::empty())).await
    };
    for fresh in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = ask(&fresh).await.ok(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), tag);
    }
    ask("\"other\"").await.ok(200);
    ask("unquoted").await.problem(400, "invalid_header");

    // What follows from the reports is part of the document.
    let version = shown.json()["revision"].as_str().and_then(|text| text.split('.').nth(1)?.parse().ok()).expect("a version");
    for node in [HERE, site.rig.peer] {
        site.rig.report(node, 1, version, Vec::new());
    }
    let now = ask(&tag).await.ok(200);
    assert_eq!(now.json()["replicated"], true);
    let head = site.send(site.request(Method::HEAD, &path).body(Body::empty())).await.ok(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("etag"), now.header("etag"));
    site.get("/api/v2/assets/as_none").await.problem(404, "asset_not_found");
    site.get("/api/v2/assets/%ff").await.problem(404, "asset_not_found");
}

#[tokio::test]
async fn replication() {
    let site = Site::new().await;
    let asset = site.put("a", b"four", &[]).await.ok(201).json();
    let path = format!("/api/v2/assets/{}/replication", asset["id"].as_str().expect("an id"));
    let version: u64 = asset["revision"].as_str().and_then(|text| text.split('.').nth(1)?.parse().ok()).expect("a version");
    site.rig.report(HERE, 1, version, Vec::new());
    let shown = site.get(&path).await.ok(200).json();
    let nodes = shown["nodes"].as_array().expect("nodes");
    let verified_at = nodes[0]["verified_at"].as_u64().expect("a time");
    assert!(verified_at > 1_700_000_000 && verified_at < 100_000_000_000, "seconds: {verified_at}");
    let digest = blake3::hash(b"four").to_string();
    let expected = json!({
        "asset_id": asset["id"],
        "replicated": false,
        "placement": "met",
        "revision": asset["revision"],
        "nodes": [
            {"node": "eu-03", "node_id": 1, "region": "eu-ams", "state": "verified", "bytes": 4, "digest": digest,
             "verified_at": verified_at, "revision": format!("1.{version}")},
            {"node": "us-01", "node_id": site.rig.peer.0, "region": "us-east", "state": "unknown", "bytes": 4, "digest": digest,
             "verified_at": nodes[1]["verified_at"], "revision": null},
        ],
    });
    assert_eq!(shown, expected);

    site.rig.report(site.rig.peer, 1, version, Vec::new());
    site.rig.copies.are(Peers::Gone);
    let shown = site.get(&path).await.ok(200).json();
    assert_eq!(shown["replicated"], true);
    let peer = &shown["nodes"][1];
    assert_eq!((&peer["state"], &peer["verified_at"], &peer["bytes"]), (&json!("verified"), &Value::Null, &Value::Null));
    site.get("/api/v2/assets/as_none/replication").await.problem(404, "asset_not_found");
}
