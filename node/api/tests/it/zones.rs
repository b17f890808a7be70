//! Zones over version 1: its shapes, its errors, its limits, and who sees what.

use axum::body::Body;
use http::{Method, Request, header::AUTHORIZATION};
use ncore_api::router;
use ncore_domain::Settings;
use ncore_limits::LimitSettings;
use ncore_model::Scope;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    rig::{BASE, HERE_NAME, Plan},
    site::{Answer, Site, parts},
};

const ZONES: &str = "/api/v1/zones";

/// A node with no limits that a test would reach.
async fn site() -> Site {
    limited(LimitSettings { v1_reads: 0, v1_writes: 0, v1_purges: 0, ..LimitSettings::default() }).await
}

async fn limited(settings: LimitSettings) -> Site {
    let mut site = Site::at_the_highest_level().await;
    site.router = router(parts(&site.rig, settings));
    site
}

async fn send(site: &Site, method: Method, path: &str, body: &Value) -> Answer {
    site.send(site.json(method, path, body, &[])).await
}

async fn created(site: &Site, body: &Value) -> Value {
    send(site, Method::POST, ZONES, body).await.ok(201).json()["data"].clone()
}

fn path(zone: &Value) -> String {
    format!("{ZONES}/{}", zone["uuid"].as_str().expect("an id"))
}

/// The answer, which must be 422 with these fields at fault.
#[track_caller]
fn invalid(answer: Answer, fields: &[&str]) {
    let document = answer.ok(422).json();
    assert_eq!(document["message"], "The given data was invalid.");
    let errors = document["errors"].as_object().expect("errors");
    assert_eq!(errors.keys().map(String::as_str).collect::<Vec<_>>(), fields, "{document}");
    assert!(errors.values().all(|texts| texts.as_array().is_some_and(|texts| !texts.is_empty())), "{document}");
}

#[track_caller]
fn message(answer: Answer, status: u16, text: &str) {
    let answer = answer.ok(status);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), json!({ "message": text }));
}

#[tokio::test]
async fn a_zone_comes_changes_and_goes() {
    let site = site().await;
    let answer = send(&site, Method::POST, ZONES, &json!({ "origin_url": "https://origin.test/base", "cache_ttl": 60 })).await.ok(201);
    let zone = answer.json()["data"].clone();
    assert_eq!(answer.header("location"), path(&zone));
    let host = zone["cdn_hostname"].as_str().expect("a host");
    assert!(host.ends_with(".cdn.localhost"), "{host}");
    assert_eq!((&zone["name"], &zone["cache_ttl"], &zone["zone_type"]), (&json!("origin.test"), &json!(60), &json!("cdn")));
    assert_eq!((&zone["cache_query_strings"], &zone["waf_enabled"], &zone["custom_domains"]), (&json!(true), &json!(false), &json!([])));
    let created_at = zone["created_at"].as_str().expect("a time");
    assert!(created_at.len() == 20 && created_at.ends_with('Z'), "{created_at}");

    let shown = site.get(&path(&zone)).await.ok(200);
    assert_eq!(shown.json()["data"], zone);
    let tag = shown.header("etag").to_owned();
    let change = json!({ "cache_ttl": null, "custom_domains": ["Static.example"], "cors_enabled": true });
    let changed = site.send(site.json(Method::PATCH, &path(&zone), &change, &[("if-match", &tag)])).await.ok(200).json()["data"].clone();
    assert_eq!((&changed["cache_ttl"], &changed["cors_enabled"], &changed["name"]), (&Value::Null, &json!(true), &zone["name"]));
    assert_eq!(changed["custom_domains"], json!([{ "domain": "static.example", "ssl_status": "pending" }]));
    site.send(site.json(Method::PUT, &path(&zone), &change, &[("if-match", &tag)])).await.ok(412);
    // What is shown can be sent back.
    let again = json!({ "custom_domains": changed["custom_domains"], "origins": changed["origins"], "bypass": changed["bypass"] });
    assert_eq!(send(&site, Method::PUT, &path(&zone), &again).await.ok(200).json()["data"]["origins"], changed["origins"]);

    let deleted = site.send(site.request(Method::DELETE, &path(&zone)).header("prefer", "ack=all").body(Body::empty())).await.ok(204);
    assert_eq!((deleted.body.len(), deleted.header("x-ncore-ack")), (0, "all"));
    message(site.get(&path(&zone)).await, 404, "Not Found.");
}

#[tokio::test]
async fn a_shield_is_where_a_node_is() {
    let site = site().await;
    let origin = json!({ "origin_url": "https://origin.test" });
    let zone = send(&site, Method::POST, ZONES, &origin).await.ok(201).json()["data"].clone();
    assert_eq!(zone["shield_region"], Value::Null);
    invalid(send(&site, Method::PATCH, &path(&zone), &json!({ "shield_region": "nowhere" })).await, &["shield_region"]);
    let wanted = json!({ "origin_url": "https://origin.test", "shield_region": "nowhere" });
    invalid(send(&site, Method::POST, ZONES, &wanted).await, &["shield_region"]);
    let here = "eu-ams";
    let change = json!({ "shield_region": here, "cache_ttl": 5 });
    let changed = send(&site, Method::PATCH, &path(&zone), &change).await.ok(200).json()["data"].clone();
    assert_eq!((&changed["shield_region"], &changed["cache_ttl"]), (&json!(here), &json!(5)));
    send(&site, Method::PATCH, &path(&zone), &json!({ "cache_ttl": 6 })).await.ok(200);
    assert_eq!(site.get(&path(&zone)).await.ok(200).json()["data"]["shield_region"], json!(here), "what is left out stays");
    let changed = send(&site, Method::PATCH, &path(&zone), &json!({ "shield_region": null })).await.ok(200).json()["data"].clone();
    assert_eq!(changed["shield_region"], Value::Null);
    let wanted = json!({ "origin_url": "https://origin.test", "shield_region": here });
    assert_eq!(send(&site, Method::POST, ZONES, &wanted).await.ok(201).json()["data"]["shield_region"], json!(here));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let site = site().await;
    for number in 0..3 {
        created(&site, &json!({ "origin_url": "https://a.test", "name": format!("zone {number}") })).await;
    }
    let list = site.get(&format!("{ZONES}?page=2&per_page=2")).await.ok(200).json();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["data"][0]["name"], "zone 2");
    let members: Vec<&str> = list["data"][0].as_object().expect("a row").keys().map(String::as_str).collect();
    assert_eq!(members, ["cache_ttl", "cdn_hostname", "created_at", "name", "origin_url", "uuid", "zone_type"]);
    let meta = &list["meta"];
    assert_eq!(
        (&meta["current_page"], &meta["total"], &meta["per_page"], &meta["last_page"]),
        (&json!(2), &json!(3), &json!(2), &json!(2))
    );
    assert_eq!(list["links"]["prev"], format!("{BASE}{ZONES}?page=1&per_page=2"));
    assert_eq!(site.get(ZONES).await.ok(200).json()["meta"]["per_page"], 15);
    assert_eq!(site.get(&format!("{ZONES}?type=accelerator")).await.ok(200).json()["meta"]["total"], 0);
    assert_eq!(site.get(&format!("{ZONES}?type=cdn")).await.ok(200).json()["meta"]["total"], 3);
    invalid(site.get(&format!("{ZONES}?page=0&per_page=101")).await, &["page", "per_page"]);
    invalid(site.get(&format!("{ZONES}?type=x")).await, &["type"]);
}

#[tokio::test]
async fn each_field_is_said_that_is_wrong() {
    let site = site().await;
    invalid(send(&site, Method::POST, ZONES, &json!({})).await, &["origin_url"]);
    let wrong = json!({ "origin_url": "origin.test", "cache_ttl": "60", "waf_enabled": true });
    invalid(send(&site, Method::POST, ZONES, &wrong).await, &["cache_ttl", "origin_url", "waf_enabled"]);
    let origin = |more: Value| {
        let mut body = json!({ "origin_url": "https://a.test" });
        body.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
        body
    };
    invalid(send(&site, Method::POST, ZONES, &origin(json!({ "name": " " }))).await, &["name"]);
    invalid(send(&site, Method::POST, ZONES, &origin(json!({ "custom_domains": ["*.a.test"] }))).await, &["custom_domains"]);
    invalid(send(&site, Method::POST, ZONES, &origin(json!({ "custom_domains": ["x.cdn.localhost"] }))).await, &["custom_domains"]);
    created(&site, &origin(json!({ "custom_domains": ["mine.test"] }))).await;
    invalid(send(&site, Method::POST, ZONES, &origin(json!({ "custom_domains": ["mine.test"] }))).await, &["custom_domains"]);
    let text = site.request(Method::POST, ZONES).header("content-type", "application/json").body(Body::from("[1]"));
    site.send(text).await.ok(400);
    assert_eq!(site.get(ZONES).await.ok(200).json()["meta"]["total"], 1);
}

#[tokio::test]
async fn nobody_sees_what_is_not_his() {
    let mut site = site().await;
    let zone = created(&site, &json!({ "origin_url": "https://a.test" })).await;
    let purge = send(&site, Method::POST, &format!("{}/purge", path(&zone)), &json!({ "type": "all" })).await.ok(202).json();
    let purge = format!("{}/purge/{}", path(&zone), purge["data"]["id"].as_str().expect("an id"));
    let mine = site.token.clone();
    site.token = site.another_client().await;
    assert_eq!(site.get(ZONES).await.ok(200).json()["meta"]["total"], 0);
    for at in [path(&zone), format!("{}/purge", path(&zone)), purge.clone()] {
        message(site.get(&at).await, 404, "Not Found.");
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        message(send(&site, method, &path(&zone), &json!({ "name": "mine" })).await, 404, "Not Found.");
    }
    message(send(&site, Method::POST, &format!("{}/purge", path(&zone)), &json!({ "type": "all" })).await, 404, "Not Found.");
    let none = Request::builder().uri(ZONES).body(Body::empty());
    message(site.send(none).await, 401, "Unauthenticated.");
    let bad = Request::builder().uri(ZONES).header(AUTHORIZATION, "Bearer x.y.z").body(Body::empty());
    message(site.send(bad).await, 401, "Unauthenticated.");
    site.token = mine;
    assert_eq!(site.get(&path(&zone)).await.ok(200).json()["data"], zone);
    site.get(&purge).await.ok(200);
    message(site.get(&format!("{ZONES}/nothing")).await, 404, "Not Found.");
    site.send(site.request(Method::DELETE, ZONES).body(Body::empty())).await.ok(405);
}

#[tokio::test]
async fn each_operation_needs_its_scope() {
    let mut site = site().await;
    let zone = created(&site, &json!({ "origin_url": "https://a.test" })).await;
    let purge = format!("{}/purge", path(&zone));
    let operations = [
        (Method::GET, ZONES, Scope::ZonesRead),
        (Method::POST, ZONES, Scope::ZonesWrite),
        (Method::PATCH, &path(&zone), Scope::ZonesWrite),
        (Method::GET, &purge, Scope::ZonesRead),
        (Method::POST, &purge, Scope::CachePurge),
        (Method::DELETE, &path(&zone), Scope::ZonesWrite),
    ];
    for (method, path, needed) in operations {
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| *scope != needed).collect();
        site.token = site.token(&others).await;
        message(send(&site, method, path, &json!({})).await, 403, "Invalid ability provided.");
    }
}

#[tokio::test]
async fn purges_are_kept_and_found() {
    let site = site().await;
    let zone = created(&site, &json!({ "origin_url": "https://a.test" })).await;
    let at = format!("{}/purge", path(&zone));
    let purge = |body: Value| {
        let (site, at) = (&site, &at);
        async move { send(site, Method::POST, at, &body).await }
    };
    let paths = json!({ "type": "path", "paths": ["/a.png", "/img/*"] });
    let first = purge(paths).await.ok(202).json()["data"].clone();
    assert_eq!((&first["type"], &first["paths"], &first["status"]), (&json!("path"), &json!(["/a.png", "/img/*"]), &json!("completed")));
    let second = purge(json!({ "type": "all" })).await.ok(202);
    assert_eq!(second.header("x-ncore-ack"), "committed");
    let second = second.json()["data"].clone();
    assert_eq!((second["type"].as_str(), second.get("paths")), (Some("all"), None));
    let list = site.get(&at).await.ok(200).json();
    assert_eq!(list["data"], json!([second, first]));
    assert_eq!(site.get(&format!("{at}?status=failed")).await.ok(200).json()["data"], json!([]));
    assert_eq!(site.get(&format!("{at}?status=completed&per_page=1&page=2")).await.ok(200).json()["data"], json!([first]));
    // A node that has not applied it is named.
    site.rig.plane.without.lock().push(site.rig.peer);
    let shown = site.get(&format!("{at}/{}", first["id"].as_str().expect("an id"))).await.ok(200).json()["data"].clone();
    assert_eq!(shown["status"], "processing");
    assert_eq!(shown["edge_statuses"], json!({ HERE_NAME: "completed", "us-01": "pending" }));
    invalid(purge(json!({ "type": "path", "paths": ["a"] })).await, &["paths.0"]);
    invalid(purge(json!({ "type": "glob" })).await, &["type"]);
    for none in ["purge_1", "purge_x", "1"] {
        message(site.get(&format!("{at}/{none}")).await, 404, "Not Found.");
    }
}

#[tokio::test]
async fn what_is_asked_for_once_is_done_once() {
    let site = site().await;
    let body = json!({ "origin_url": "https://a.test" });
    let ask = |body: &Value| site.json(Method::POST, ZONES, body, &[("idempotency-key", "k")]);
    let first = site.send(ask(&body)).await.ok(201).json();
    assert_eq!(site.send(ask(&body)).await.ok(201).json(), first);
    site.send(ask(&json!({ "origin_url": "https://b.test" }))).await.ok(422);
    assert_eq!(site.get(ZONES).await.ok(200).json()["meta"]["total"], 1);
}

#[tokio::test]
async fn limits_are_those_of_this_version() {
    let site = limited(LimitSettings { v1_reads: 2, v1_writes: 1, per_token: 1, ..LimitSettings::default() }).await;
    created(&site, &json!({ "origin_url": "https://a.test" })).await;
    let full = send(&site, Method::POST, ZONES, &json!({ "origin_url": "https://a.test" })).await;
    assert_eq!((full.header("x-ratelimit-limit"), full.header("x-ratelimit-remaining")), ("1", "0"));
    assert!(full.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{full:?}");
    message(full, 429, "Too Many Attempts.");
    for left in ["1", "0"] {
        let answer = site.get(ZONES).await.ok(200);
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("2", left));
        assert!(answer.header("x-ratelimit-reset").parse::<u64>().is_ok_and(|at| at > site.rig.domain.now_s()));
    }
    message(site.get(ZONES).await, 429, "Too Many Attempts.");
}

/// Zones need the level that they came with, and the suffix is what the operator says.
#[tokio::test]
async fn levels_and_suffixes() {
    let old = Site::new().await;
    message(old.get(ZONES).await, 403, "Invalid ability provided.");
    let settings = Settings { zone_suffix: "edge.example".to_owned(), ..Settings::new(HERE_NAME, BASE) };
    let site = Site::with(Plan { settings, ..Plan::default() }).await;
    site.rig.raise_schema();
    let client = site.rig.bare_client();
    let new = ncore_domain::NewZone {
        name: "zone".to_owned(),
        origins: vec![ncore_model::ZoneOrigin::new("https://a.test")],
        host_header: None,
        domains: Vec::new(),
        settings: ncore_model::ZoneSettings::default(),
        shield_region: None,
    };
    let zone = site.rig.domain.zones().create(&client, new, None).await.expect("a zone").value.zone;
    assert!(zone.cdn_hostname.ends_with(".edge.example"), "{}", zone.cdn_hostname);
}

/// Each node says it of itself; whose zone it is not, and who asks for a host that is not the zone's, hears nothing.
#[tokio::test]
async fn a_request_is_explained_by_every_node_that_answers() {
    let mut site = site().await;
    let zone = created(&site, &json!({ "origin_url": "https://origin.test", "custom_domains": ["www.test"] })).await;
    let explain = |query: &str| format!("{}/explain?{query}", path(&zone));
    let url = "url=https%3A%2F%2FWWW.test%3A8443%2Fa%3Fb&header=Cookie:%20secret&header=accept:x";
    let said = site.get(&explain(url)).await.ok(200).json()["data"].clone();
    assert_eq!(said["uuid"], zone["uuid"]);
    let one = json!({ "host": "www.test", "target": "/a?b", "fields": ["cookie", "accept"] });
    assert_eq!(said["nodes"][0], json!({ "node": "one", "answered": true, "explanation": one }));
    assert_eq!(said["nodes"][1], json!({ "node": "two", "answered": false, "error": "the node cannot be asked" }));
    assert!(!said.to_string().contains("secret"), "{said}");
    let own = site.get(&explain("url=/x&node=one")).await.ok(200).json()["data"]["nodes"].clone();
    assert_eq!((own[0]["explanation"]["host"].as_str(), own[1].as_str()), (zone["cdn_hostname"].as_str(), None));

    for (query, field) in
        [("", "url"), ("url=x", "url"), ("url=http://other.test/", "url"), ("url=/&header=x", "header"), ("url=/&node=none", "node")]
    {
        invalid(site.get(&explain(query)).await, &[field]);
    }
    let (_, administrator) = site.rig.domain.administrators().add("ops".to_owned(), None).await.expect("an administrator");
    let mine = std::mem::replace(&mut site.token, administrator.expose_secret().to_owned());
    site.get(&explain("url=/x")).await.ok(200);
    site.token = site.another_client().await;
    message(site.get(&explain("url=/x")).await, 404, "Not Found.");
    site.token = mine;
    site.token = site.token(&[Scope::ZonesWrite]).await;
    message(site.get(&explain("url=/x")).await, 403, "Invalid ability provided.");
}
