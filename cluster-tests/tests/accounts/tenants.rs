//! Every verb on every resource of another client: none succeeds, and the owner's things are as they were.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::site::{Registered, SETTLE, Site};
use cluster_tests::{run::Run, wait};
use reqwest::Method;
use serde_json::{Value, json};

/// Somebody with a token for everything that it may.
struct Tenant {
    client: Registered,
    token: String,
}

impl Tenant {
    async fn register(site: &Site, name: &str) -> Result<Self> {
        let client = site.register(&json!({ "name": name })).await?;
        let token = site.token(&client, "assets:read assets:write cache:purge metrics:read").await?;
        Ok(Self { client, token })
    }

    fn secret(&self) -> [(&str, &str); 2] {
        [("client_id", &self.client.client_id), ("client_secret", &self.client.secret)]
    }
}

pub(crate) async fn property(run: Run) -> Result<()> {
    let site = Site::new(&run).await?;
    let owner = Tenant::register(&site, "owner").await?;
    let intruder = Tenant::register(&site, "intruder").await?;
    let shown = site.upload(&owner.token, "owned/a.txt", 10).await?.expect(201, "an upload")?;
    let hidden = site.upload(&owner.token, "restricted/b.txt", 10).await?.expect(201, "an upload")?;
    let own = site.upload(&intruder.token, "intruding/c.txt", 10).await?.expect(201, "an upload")?;
    let before = everything_of(&site, &owner).await?;
    let denied = site.denials("owner").await?;

    let mut refused = 0;
    for asset in [&shown, &hidden] {
        refused += on_an_asset(&site, &intruder, &asset.text("id"), &asset.text("path"), &own.text("id")).await?;
    }
    refused += at_an_address(&site, &intruder, &hidden.text("path")).await?;
    lists(&site, &owner, &intruder).await?;
    refused += credentials(&site, &owner, &intruder).await?;
    administration(&site, &owner, &intruder).await?;

    ensure!(site.denials("owner").await? == denied + refused, "each of the {refused} refusals is counted once");
    let after = everything_of(&site, &owner).await?;
    ensure!(before == after, "{before} became {after}");
    site.cluster.converged(SETTLE).await?;
    site.cluster.shutdown().await
}

/// What the owner sees of its own: descriptions, content, the account.
async fn everything_of(site: &Site, owner: &Tenant) -> Result<Value> {
    let list = site.get("/api/v2/assets", &owner.token).await?.expect(200, "the list")?.json();
    let mut contents = Vec::new();
    for asset in list["assets"].as_array().context("assets")? {
        let path = format!("/assets/{}", asset["path"].as_str().context("a path")?);
        for node in site.cluster.nodes() {
            let there = wait::until(SETTLE, "a node to have the asset", || async {
                site.send(site.to(node, Method::GET, &path, &owner.token)).await?.expect(200, &path)
            });
            contents.push(there.await?.body);
        }
    }
    // How many nodes are known to hold a copy changes by itself.
    let assets: Vec<Value> = list["assets"]
        .as_array()
        .context("assets")?
        .iter()
        .map(|asset| json!([asset["id"], asset["path"], asset["sha256"], asset["cache_ttl"], asset["visibility"], asset["revision"]]))
        .collect();
    let account = site.get("/api/v2/account", &owner.token).await?.expect(200, "the account")?.json();
    Ok(json!([assets, contents, account]))
}

/// By its id and by its path: 403, as the page has it. Gives how many were refused.
async fn on_an_asset(site: &Site, intruder: &Tenant, id: &str, path: &str, own: &str) -> Result<u64> {
    let of = |id: &str, rest: &str| format!("/api/v2/assets/{id}{rest}");
    let verbs = [
        (Method::GET, of(id, ""), None),
        (Method::HEAD, of(id, ""), None),
        (Method::GET, of(id, "/replication"), None),
        (Method::PATCH, of(id, ""), Some(json!({ "cache_ttl": 1 }))),
        (Method::PATCH, of(id, ""), Some(json!({ "visibility": "public" }))),
        (Method::DELETE, of(id, ""), None),
        (Method::POST, of(id, "/move"), Some(json!({ "path": "intruding/taken" }))),
        (Method::POST, of(own, "/move"), Some(json!({ "path": path }))),
    ];
    let mut refused = 0;
    for (method, path, body) in &verbs {
        // A precondition or a key changes nothing about it.
        for header in [None, Some(("If-Match", "*")), Some(("Idempotency-Key", "intruding"))] {
            let mut request = site.ask(method.clone(), path, &intruder.token);
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = site.send(request).await?;
            let code = if *method == Method::HEAD { String::new() } else { "asset_of_other_client".to_owned() };
            ensure!(answer.status == 403 && answer.code() == code, "{method} {path} with {header:?}: {answer:?}");
            refused += 1;
        }
    }
    site.upload(&intruder.token, path, 11).await?.refuses(403, "asset_of_other_client", "an upload to its path")?;
    let nothing = [(Method::GET, ""), (Method::PATCH, ""), (Method::DELETE, ""), (Method::POST, "/move"), (Method::GET, "/replication")];
    for (method, rest) in nothing {
        let request = site.ask(method, &of("as_none", rest), &intruder.token).json(&json!({ "path": "x", "cache_ttl": 1 }));
        site.send(request).await?.expect(404, "what there is not")?;
    }
    Ok(refused + 1)
}

/// A restricted asset at its address: neither by a token of somebody else, nor by an address that somebody else signed.
async fn at_an_address(site: &Site, intruder: &Tenant, path: &str) -> Result<u64> {
    for address in [format!("/{path}"), format!("/assets/{path}")] {
        site.get(&address, &intruder.token).await?.refuses(403, "asset_of_other_client", &address)?;
        let sign = site.ask(Method::POST, "/api/v2/assets/sign", &intruder.token).json(&json!({ "path": path }));
        let query = site.send(sign).await?.expect(200, "signed")?.text("query");
        site.get(&format!("{address}?{query}"), "").await?.refuses(401, "signed_url_invalid", &address)?;
        site.get(&address, "").await?.refuses(401, "token_missing", &address)?;
    }
    Ok(2)
}

/// Lists, figures and purges are of one's own.
async fn lists(site: &Site, owner: &Tenant, intruder: &Tenant) -> Result<()> {
    for prefix in ["", "owned/", "restricted/"] {
        let list = site.get(&format!("/api/v2/assets?prefix={prefix}"), &intruder.token).await?.expect(200, "a list")?.json();
        let assets = list["assets"].as_array().context("assets")?;
        ensure!(assets.iter().all(|asset| asset["client_id"] == intruder.client.client_id.as_str()), "{list}");
    }
    let cursor = site.get("/api/v2/assets?limit=1", &owner.token).await?.text("next_cursor");
    ensure!(!cursor.is_empty(), "the owner has two assets");
    site.get(&format!("/api/v2/assets?limit=1&cursor={cursor}"), &intruder.token).await?.refuses(
        400,
        "invalid_cursor",
        "the owner's cursor",
    )?;
    for pattern in ["owned/*", "restricted/**"] {
        let purge = site.ask(Method::POST, "/api/v2/cache/purge", &intruder.token).json(&json!({ "pattern": pattern }));
        let purged = site.send(purge).await?.expect(200, "a purge")?;
        ensure!(purged.json()["purged"] == 0, "{purged:?}");
    }
    for path in ["/api/v2/metrics", "/api/v2/account"] {
        let answer = site.get(path, &intruder.token).await?.expect(200, path)?;
        ensure!(answer.text("client_id") == intruder.client.client_id, "{answer:?}");
    }
    Ok(())
}

/// Tokens of another client are neither known, nor ended, nor used up. Gives how many refusals were because of the owner.
async fn credentials(site: &Site, owner: &Tenant, intruder: &Tenant) -> Result<u64> {
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        intruder.secret().iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let post = |path: &str, fields: Vec<(String, String)>| site.send(site.ask(Method::POST, path, "").form(&fields));
    let facts = post("/api/v2/auth/introspect", with(&[("token", &owner.token)])).await?.expect(200, "introspection")?;
    ensure!(facts.json() == json!({ "active": false }), "{facts:?}");
    post("/api/v2/auth/revoke", with(&[("token", &owner.token)])).await?.refuses(400, "invalid_request", "revoking the owner's token")?;
    post("/api/v2/auth/revoke", with(&[("token", &owner.client.refresh_token)])).await?.expect(200, "as if there were no such token")?;
    let stolen = with(&[("grant_type", "refresh_token"), ("refresh_token", &owner.client.refresh_token)]);
    post("/api/v2/auth/token", stolen).await?.refuses(400, "invalid_grant", "the owner's refresh token")?;
    for answer in site.everywhere("/api/v2/account", &owner.token).await? {
        answer.expect(200, "the owner's token is as it was")?;
    }
    let mut fields = owner.secret().to_vec();
    fields.extend([("grant_type", "refresh_token"), ("refresh_token", owner.client.refresh_token.as_str())]);
    site.form("/api/v2/auth/token", &fields).await?.expect(200, "the owner's refresh token was not used up")?;
    Ok(1)
}

/// What administrators do is for no client, not even about itself.
async fn administration(site: &Site, owner: &Tenant, intruder: &Tenant) -> Result<()> {
    let before = site.denials("scope").await?;
    let mut asked = 0;
    for id in [&owner.client.client_id, &intruder.client.client_id] {
        let verbs = [
            (Method::GET, String::new()),
            (Method::POST, String::new()),
            (Method::GET, format!("/{id}")),
            (Method::PATCH, format!("/{id}")),
            (Method::DELETE, format!("/{id}")),
            (Method::POST, format!("/{id}/secret")),
            (Method::POST, format!("/{id}/refresh-tokens")),
        ];
        for (method, path) in verbs {
            let request = site.ask(method.clone(), &format!("/api/v2/admin/clients{path}"), &intruder.token);
            let answer = site.send(request.json(&json!({ "name": "mine", "status": "suspended" }))).await?;
            answer.refuses(403, "administrator_required", &format!("{method} {path}"))?;
            asked += 1;
        }
    }
    ensure!(site.denials("scope").await? == before + asked, "each refusal is counted once");
    Ok(())
}
