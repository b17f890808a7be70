//! From where a client may call, for which pages, what its status lets it do, what its quota is, and what a new secret ends.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use cluster_tests::run::Run;
use cluster_tests::site::{Registered, SETTLE, Site, from};
use reqwest::Method;
use serde_json::json;

pub(crate) async fn property(run: Run) -> Result<()> {
    let site = Site::new(&run).await?;
    addresses(&site).await?;
    pages(&site).await?;
    statuses(&site).await?;
    another_secret(&site).await?;
    quota(&site).await?;
    ended(&site).await?;
    site.cluster.converged(SETTLE).await?;
    site.cluster.shutdown().await
}

/// Credentials are for the ranges of the account, and tokens for those too that it had when they were issued.
async fn addresses(site: &Site) -> Result<()> {
    let client = site.register(&json!({ "name": "bound", "ip_ranges": ["127.0.0.2/32"] })).await?;
    let body = json!({ "client_id": client.client_id, "secret": client.secret });
    let inside = from(Ipv4Addr::new(127, 0, 0, 2))?;
    // Who asks from there presents no revision.
    site.followed().await?;
    let before = site.denials("address").await?;
    let outside = site.send(site.ask(Method::POST, "/api/v2/auth/token", "").json(&body)).await?;
    outside.refuses(403, "unauthorized_client", "a secret from elsewhere")?;
    let issued = site.send(inside.post(format!("{}/api/v2/auth/token", site.node().url())).json(&body)).await?.expect(200, "a token")?;
    let token = issued.text("access_token");
    for path in ["/api/v2/account", "/api/v2/assets", "/restricted/none"] {
        let answer = site.send(inside.get(format!("{}{path}", site.node().url())).bearer_auth(&token)).await?;
        ensure!(answer.status == 200 || answer.code() == "asset_not_found", "{path} from inside: {answer:?}");
        site.get(path, &token).await?.refuses(403, "address_not_allowed", path)?;
    }
    ensure!(site.denials("address").await? == before + 4, "each refusal is counted once");

    let changed = change(site, &client, &json!({ "ip_ranges": ["127.0.0.1/32"] })).await?;
    ensure!(changed == "all", "{changed}");
    for node in site.cluster.nodes() {
        let answer = site.send(inside.get(format!("{}/api/v2/account", node.url())).bearer_auth(&token)).await?;
        answer.refuses(403, "address_not_allowed", "where the client may not be any more")?;
    }
    site.get("/api/v2/account", &token).await?.refuses(403, "address_not_allowed", "where the token was never good")?;
    let token = site.token(&client, "assets:read").await?;
    site.get("/api/v2/account", &token).await?.expect(200, "a token of the new range")?;
    Ok(())
}

/// Where a page of a web site shows a token, the site is one of the client's.
async fn pages(site: &Site) -> Result<()> {
    let client = site.register(&json!({ "name": "pages", "domains": ["shop.test"] })).await?;
    let token = site.token(&client, "assets:read").await?;
    let before = site.denials("site").await?;
    for path in ["/api/v2/assets", "/restricted/none"] {
        for (origin, allowed) in [("https://www.shop.test", true), ("https://workshop.test", false), ("null", false)] {
            let answer = site.send(site.ask(Method::GET, path, &token).header("Origin", origin)).await?;
            if allowed {
                ensure!(answer.status == 200 || answer.code() == "asset_not_found", "{path} of {origin}: {answer:?}");
            } else {
                answer.refuses(403, "site_not_allowed", origin)?;
            }
        }
    }
    ensure!(site.denials("site").await? == before + 4, "each refusal is counted once");
    Ok(())
}

/// `review`: what it has is served and read, and nothing is written. `suspended`: nothing, at any node, once it is answered.
async fn statuses(site: &Site) -> Result<()> {
    let client = site.register(&json!({ "name": "standing" })).await?;
    let token = site.token(&client, "assets:read assets:write cache:purge").await?;
    let asset = site.upload(&token, "standing/a.txt", 10).await?.expect(201, "an upload")?;
    let path = format!("/api/v2/assets/{}", asset.text("id"));

    change(site, &client, &json!({ "status": "review" })).await?;
    for answer in site.everywhere(&path, &token).await? {
        answer.expect(200, "reading under review")?;
    }
    let writes = [
        (Method::PATCH, path.clone(), json!({ "cache_ttl": 5 })),
        (Method::DELETE, path.clone(), json!(null)),
        (Method::POST, format!("{path}/move"), json!({ "path": "standing/b.txt" })),
        (Method::POST, "/api/v2/cache/purge".to_owned(), json!({ "pattern": "*" })),
        (Method::POST, "/api/v2/assets/sign".to_owned(), json!({ "path": "standing/a.txt" })),
    ];
    for (method, path, body) in writes {
        let answer = site.send(site.ask(method, &path, &token).json(&body)).await?;
        answer.refuses(403, "client_under_review", &path)?;
    }
    site.upload(&token, "standing/b.txt", 10).await?.refuses(403, "client_under_review", "an upload under review")?;
    site.get("/assets/standing/a.txt", "").await?.expect(200, "what it has is served")?;
    site.token(&client, "assets:write").await?;

    let suspended = change(site, &client, &json!({ "status": "suspended" })).await?;
    ensure!(suspended == "all", "{suspended}");
    site.refused_everywhere(&token, "a suspended client").await?;
    for answer in site.everywhere("/assets/standing/a.txt", "").await? {
        answer.refuses(404, "asset_not_found", "nothing of it is served")?;
    }
    let fields = [("client_id", client.client_id.as_str()), ("client_secret", &client.secret)];
    site.form("/api/v2/auth/token", &fields).await?.refuses(401, "invalid_client", "its secret")?;
    change(site, &client, &json!({ "status": "active" })).await?;
    for answer in site.everywhere(&path, &token).await? {
        answer.expect(200, "the client is back")?;
    }
    site.get("/assets/standing/a.txt", "").await?.expect(200, "and so is what it has")?;
    site.send(site.ask(Method::DELETE, &path, &token)).await?.expect(204, "it may write again")?;
    Ok(())
}

/// With another secret, what was got with the one before is good for nothing, at any node, once it is answered.
async fn another_secret(site: &Site) -> Result<()> {
    let old = site.register(&json!({ "name": "rotated" })).await?;
    let refresh = async |client: &Registered, token: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &client.client_id),
            ("client_secret", &client.secret),
            ("refresh_token", token),
        ];
        site.form("/api/v2/auth/token", &fields).await
    };
    let by_secret = site.token(&old, "assets:read").await?;
    let refreshed = refresh(&old, &old.refresh_token).await?.expect(200, "refreshed")?;
    let rotated = site.manage(Method::POST, &format!("/{}/secret", old.client_id), None, 200).await?;
    ensure!(rotated.header("x-ncore-ack") == "all", "{rotated:?}");
    for token in [by_secret, refreshed.text("access_token")] {
        site.refused_everywhere(&token, "a token of the secret before").await?;
    }
    let new: Registered = serde_json::from_str(&rotated.body)?;
    for _ in site.cluster.nodes() {
        let fields = [("client_id", old.client_id.as_str()), ("client_secret", &old.secret)];
        site.form("/api/v2/auth/token", &fields).await?.refuses(401, "invalid_client", "the secret before")?;
    }
    refresh(&new, &refreshed.text("refresh_token")).await?.refuses(400, "invalid_grant", "the refresh token before")?;
    let token = site.token(&new, "assets:read").await?;
    for answer in site.everywhere("/api/v2/account", &token).await? {
        answer.expect(200, "a token of the new secret")?;
    }
    refresh(&new, &new.refresh_token).await?.expect(200, "the new refresh token")?;
    Ok(())
}

/// Bytes beyond the quota are refused, also when two nodes are asked at once; what is deleted is free again.
async fn quota(site: &Site) -> Result<()> {
    let client = site.register(&json!({ "name": "small", "plan": { "name": "S", "storage_bytes": 1_000 } })).await?;
    let token = site.token(&client, "assets:read assets:write").await?;
    let uploads = futures_util::future::try_join_all(["quota/a", "quota/b", "quota/c"].map(|path| site.upload(&token, path, 600))).await?;
    let taken: Vec<_> = uploads.iter().filter(|answer| answer.status == 201).collect();
    ensure!(taken.len() == 1, "600 of 1000 bytes fit once: {uploads:?}");
    ensure!(uploads.iter().all(|answer| answer.status == 201 || answer.code() == "storage_quota_exceeded"), "{uploads:?}");
    ensure!(uploads.iter().filter(|answer| answer.status == 403).count() == 2, "{uploads:?}");
    let (path, id) = (taken[0].text("path"), taken[0].text("id"));
    site.upload(&token, &path, 1_000).await?.expect(201, "in place of the first")?;
    let account = site.get("/api/v2/account", &token).await?.json();
    ensure!(account["usage"] == json!({ "assets": 1, "storage_bytes": 1_000 }), "{account}");
    site.upload(&token, "quota/d", 1).await?.refuses(403, "storage_quota_exceeded", "one byte more")?;
    change(site, &client, &json!({ "plan": { "name": "L", "storage_bytes": 1_001 } })).await?;
    site.upload(&token, "quota/d", 1).await?.expect(201, "a larger plan")?;
    site.send(site.ask(Method::DELETE, &format!("/api/v2/assets/{id}"), &token)).await?.expect(204, "deleted")?;
    site.upload(&token, "quota/e", 1_000).await?.expect(201, "what was freed")?;
    Ok(())
}

/// A client that has assets stays; one that has none goes, and its tokens with it.
async fn ended(site: &Site) -> Result<()> {
    let client = site.register(&json!({ "name": "leaving" })).await?;
    let token = site.token(&client, "assets:read assets:write").await?;
    let asset = site.upload(&token, "leaving/a", 1).await?.expect(201, "an upload")?.text("id");
    let path = format!("/{}", client.client_id);
    site.manage(Method::DELETE, &path, None, 409).await?.refuses(409, "client_has_assets", "it has an asset")?;
    site.send(site.ask(Method::DELETE, &format!("/api/v2/assets/{asset}"), &token)).await?.expect(204, "deleted")?;
    let gone = site.manage(Method::DELETE, &path, None, 204).await?;
    ensure!(gone.header("x-ncore-ack") == "all", "{gone:?}");
    site.refused_everywhere(&token, "a client that is gone").await?;
    for (method, body) in [(Method::GET, None), (Method::PATCH, Some(json!({ "name": "x" }))), (Method::DELETE, None)] {
        site.manage(method, &path, body.as_ref(), 404).await?.refuses(404, "client_not_found", "it is gone")?;
    }
    let fields = [("client_id", client.client_id.as_str()), ("client_secret", &client.secret)];
    site.form("/api/v2/auth/token", &fields).await?.refuses(401, "invalid_client", "its secret")?;
    Ok(())
}

/// Changes an account, and gives how far the change has got.
async fn change(site: &Site, client: &Registered, body: &serde_json::Value) -> Result<String> {
    let changed = site.manage(Method::PATCH, &format!("/{}", client.client_id), Some(body), 200).await?;
    for (name, value) in body.as_object().context("fields")? {
        let shown = &changed.json()[name];
        // Quotas that were left out are shown as null.
        ensure!(shown == value || value.is_object(), "{name}: {changed:?}");
    }
    Ok(changed.header("x-ncore-ack").to_owned())
}
