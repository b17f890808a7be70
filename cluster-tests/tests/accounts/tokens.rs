//! Tokens: both forms of asking, refreshing with rotation, introspection, metadata and keys, the scopes, and the end of them.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::Answer;
use cluster_tests::site::{Registered, SETTLE, Site};
use cluster_tests::{Node, run::Run, wait};
use reqwest::Method;
use serde_json::{Value, json};

const TOKEN: &str = "/api/v2/auth/token";

pub(crate) async fn property(run: Run) -> Result<()> {
    let site = Site::new(&run).await?;
    let wanted =
        json!({ "name": "shop", "domains": ["shop.test"], "plan": { "name": "Pro", "storage_bytes": 1_000_000 }, "since": 1_700_000_000 });
    let client = site.register(&wanted).await?;
    shown_once(&site, &client).await?;
    asked_for(&site, &client).await?;
    scopes(&site, &client).await?;
    described(&site, &client).await?;
    refreshed(&site, &client).await?;
    revoked_by_an_operator(&site, &client).await?;
    pages(&site).await?;
    keys(&site, &client).await?;
    administrators(&site).await?;
    logs(&site)?;
    site.cluster.converged(SETTLE).await?;
    site.cluster.shutdown().await
}

/// An administrator sees the account, and no secret of it again; the client sees the same.
async fn shown_once(site: &Site, client: &Registered) -> Result<()> {
    let shown = site.manage(Method::GET, &format!("/{}", client.client_id), None, 200).await?;
    let document = shown.json();
    ensure!(document["plan"]["name"] == "Pro" && document["since"] == 1_700_000_000 && document["status"] == "active", "{shown:?}");
    ensure!(document.get("secret").is_none() && document.get("refresh_token").is_none(), "{shown:?}");
    let token = site.token(client, "assets:read").await?;
    let account = site.get("/api/v2/account", &token).await?.expect(200, "the account")?;
    ensure!(account.json() == document, "{account:?} is not {document}");

    // The same key gives the same client, and no secret.
    let register = |name: &str| {
        let request = site.ask(Method::POST, "/api/v2/admin/clients", &site.administrator).header("Idempotency-Key", "once");
        request.json(&json!({ "name": name }))
    };
    let first = site.send(register("twice")).await?.expect(201, "registered")?;
    let again = site.send(register("twice")).await?.expect(201, "registered again")?;
    ensure!(again.text("client_id") == first.text("client_id") && again.json()["secret"].is_null(), "{again:?}");
    ensure!(first.text("secret").starts_with("ncs_") && first.text("refresh_token").starts_with("ncr_"), "{first:?}");
    site.send(register("thrice")).await?.refuses(422, "idempotency_key_reused", "another client for the same key")?;

    for (token, status, code) in
        [("", 401, "token_missing"), (token.as_str(), 403, "administrator_required"), ("nca_guess", 401, "token_invalid")]
    {
        let body = json!({ "name": "mine" });
        let answer = site.send(site.ask(Method::POST, "/api/v2/admin/clients", token).json(&body)).await?;
        answer.refuses(status, code, "registering without being an administrator")?;
    }
    Ok(())
}

/// The form of the page, and those of RFC 6749.
async fn asked_for(site: &Site, client: &Registered) -> Result<()> {
    let (id, secret, scope) = (client.client_id.as_str(), client.secret.as_str(), "assets:read assets:write cache:purge");
    let asks = [
        site.ask(Method::POST, TOKEN, "").json(&json!({ "client_id": id, "secret": secret, "scope": scope })),
        site.ask(Method::POST, TOKEN, "").form(&[("client_id", id), ("client_secret", secret), ("scope", scope)]),
        site.ask(Method::POST, TOKEN, "").basic_auth(id, Some(secret)).form(&[("grant_type", "client_credentials"), ("scope", scope)]),
    ];
    for (form, ask) in asks.into_iter().enumerate() {
        let answer = site.send(ask).await?.expect(200, "a token")?;
        let document = answer.json();
        ensure!(document["token_type"] == "Bearer" && document["expires_in"] == 86_400 && document["scope"] == scope, "{form}: {answer:?}");
        ensure!(document.get("refresh_token").is_none(), "RFC 6749, section 4.4.3: {answer:?}");
        ensure!(answer.header("cache-control") == "no-store" && answer.header("pragma") == "no-cache", "{answer:?}");
        let token = answer.text("access_token");
        ensure!(token.starts_with("eyJ0eXAi"), "{token}");
        for answer in site.everywhere("/api/v2/assets", &token).await? {
            answer.expect(200, "the token at a node")?;
        }
    }
    let wrong = site.denials("secret").await?;
    let answer =
        site.send(site.ask(Method::POST, TOKEN, "").basic_auth(id, Some("ncs_wrong")).form(&[("grant_type", "client_credentials")]));
    let answer = answer.await?.refuses(401, "invalid_client", "a wrong secret")?;
    ensure!(answer.header("www-authenticate").starts_with("Basic realm="), "{answer:?}");
    ensure!(site.denials("secret").await? == wrong + 1, "the wrong secret is counted once");
    Ok(())
}

/// Each endpoint that needs a scope refuses tokens without it, and says which it is.
async fn scopes(site: &Site, client: &Registered) -> Result<()> {
    const SCOPES: [&str; 4] = ["assets:read", "assets:write", "cache:purge", "metrics:read"];
    let cases = [
        (Method::GET, "/api/v2/assets", "assets:read"),
        (Method::GET, "/api/v2/assets/as_none", "assets:read"),
        (Method::GET, "/api/v2/assets/as_none/replication", "assets:read"),
        (Method::GET, "/restricted/none", "assets:read"),
        (Method::POST, "/api/v2/assets/upload", "assets:write"),
        (Method::PATCH, "/api/v2/assets/as_none", "assets:write"),
        (Method::DELETE, "/api/v2/assets/as_none", "assets:write"),
        (Method::POST, "/api/v2/assets/as_none/move", "assets:write"),
        (Method::POST, "/api/v2/assets/sign", "assets:write"),
        (Method::GET, "/api/v2/assets/signing-key", "assets:write"),
        (Method::POST, "/api/v2/cache/purge", "cache:purge"),
        (Method::GET, "/api/v2/metrics", "metrics:read"),
    ];
    let before = site.denials("scope").await?;
    for (method, path, needed) in &cases {
        let others = SCOPES.iter().filter(|scope| *scope != needed).copied().collect::<Vec<_>>().join(" ");
        let token = site.token(client, &others).await?;
        let answer = site.send(site.ask(method.clone(), path, &token)).await?;
        let answer = answer.refuses(403, "scope_missing", &format!("{method} {path} without {needed}"))?;
        let challenge = format!(r#"error="insufficient_scope", scope="{needed}""#);
        ensure!(answer.header("www-authenticate").contains(&challenge), "{answer:?}");
        let token = site.token(client, needed).await?;
        let answer = site.send(site.ask(method.clone(), path, &token)).await?;
        ensure!(answer.status != 401 && answer.status != 403, "{method} {path} with {needed}: {answer:?}");
    }
    ensure!(site.denials("scope").await? == before + u64::try_from(cases.len())?, "each refusal is counted once");
    Ok(())
}

/// Introspection, the metadata and the keys, the same at every node.
async fn described(site: &Site, client: &Registered) -> Result<()> {
    let node = site.cluster.node(1);
    let body = json!({ "client_id": client.client_id, "secret": client.secret, "scope": "assets:read" });
    let token = site.send(site.to(node, Method::POST, TOKEN, "").json(&body)).await?.text("access_token");
    let facts = |answer: Answer| (answer.json()["active"] == true, answer.json());
    let introspect = "/api/v2/auth/introspect";
    let own = [("client_id", client.client_id.as_str()), ("client_secret", &client.secret), ("token", &token)];
    let (active, own) = facts(site.form(introspect, &own).await?);
    ensure!(active && own["client_id"] == client.client_id.as_str() && own["scope"] == "assets:read", "{own}");
    let form = [("token", token.as_str())];
    let (_, by_administrator) = facts(site.send(site.ask(Method::POST, introspect, &site.administrator).form(&form)).await?);
    ensure!(own == by_administrator, "{own} {by_administrator}");

    let other = site.register(&json!({ "name": "other" })).await?;
    let asked = [("client_id", other.client_id.as_str()), ("client_secret", &other.secret), ("token", &token)];
    let answer = site.form(introspect, &asked).await?.expect(200, "another client's token")?;
    ensure!(answer.json() == json!({ "active": false }), "{answer:?}");
    let asked = [("client_id", client.client_id.as_str()), ("client_secret", &client.secret), ("token", "eyJ0eXAi.x.y")];
    ensure!(site.form(introspect, &asked).await?.json() == json!({ "active": false }), "no token at all");
    site.form(introspect, &form).await?.refuses(400, "invalid_request", "without credentials")?;

    let metadata = site.send(site.to(node, Method::GET, "/.well-known/oauth-authorization-server", "")).await?.json();
    ensure!(metadata["issuer"] == own["iss"] && metadata["issuer"] == node.url().as_str(), "RFC 8414, section 3.3: {metadata} {own}");
    ensure!(metadata["token_endpoint"] == format!("{}{TOKEN}", node.url()), "{metadata}");
    let keys: Vec<Value> = site.everywhere("/.well-known/jwks.json", "").await?.iter().map(Answer::json).collect();
    ensure!(keys.iter().all(|set| *set == keys[0]) && keys[0]["keys"][0]["crv"] == "Ed25519", "{keys:?}");
    Ok(())
}

/// Each refresh token is good once; one that is used twice ends all that came of it, at every node.
async fn refreshed(site: &Site, client: &Registered) -> Result<()> {
    let refresh = async |token: &str, scope: Option<&str>| {
        let mut fields = vec![("grant_type", "refresh_token"), ("client_id", &client.client_id), ("client_secret", &client.secret)];
        fields.push(("refresh_token", token));
        fields.extend(scope.map(|scope| ("scope", scope)));
        site.form(TOKEN, &fields).await
    };
    let first = refresh(&client.refresh_token, Some("assets:read")).await?.expect(200, "the first use")?;
    ensure!(first.json()["scope"] == "assets:read", "{first:?}");
    // A mistake does not cost the token.
    refresh(&first.text("refresh_token"), Some("assets:all")).await?.refuses(400, "invalid_scope", "a scope that there is not")?;
    let second = refresh(&first.text("refresh_token"), None).await?.expect(200, "the second use")?;
    ensure!(second.text("refresh_token") != first.text("refresh_token"), "{second:?}");
    for token in [&first, &second] {
        for answer in site.everywhere("/api/v2/account", &token.text("access_token")).await? {
            answer.expect(200, "an access token of the family")?;
        }
    }

    let before = site.denials("refresh").await?;
    refresh(&first.text("refresh_token"), None).await?.refuses(400, "invalid_grant", "the first once more")?;
    for token in [&first, &second] {
        site.refused_everywhere(&token.text("access_token"), "a family that was used twice").await?;
    }
    refresh(&second.text("refresh_token"), None).await?.refuses(400, "invalid_grant", "the newest of a family that ended")?;
    ensure!(site.denials("refresh").await? == before + 2, "both are counted");

    // By RFC 7009 the client ends a family itself, and nobody else's.
    let other = site.register(&json!({ "name": "thief" })).await?;
    let given = given(site, client).await?;
    let access = refresh(&given, None).await?.expect(200, "a further token")?;
    let revoke = |client: &Registered, token: &str| {
        let fields = [("client_id", client.client_id.clone()), ("client_secret", client.secret.clone()), ("token", token.to_owned())];
        site.ask(Method::POST, "/api/v2/auth/revoke", "").form(&fields)
    };
    site.send(revoke(&other, &access.text("refresh_token"))).await?.expect(200, "nothing to do for the other")?;
    site.get("/api/v2/account", &access.text("access_token")).await?.expect(200, "another client revoked it")?;
    let revoked = site.send(revoke(client, &access.text("refresh_token"))).await?.expect(200, "revoked")?;
    ensure!(revoked.header("x-ncore-ack") == "all", "{revoked:?}");
    site.refused_everywhere(&access.text("access_token"), "a family that its client revoked").await
}

/// What an operator pipes into `client revoke-token`: a refresh token, whichever of its family, ends the family.
async fn revoked_by_an_operator(site: &Site, client: &Registered) -> Result<()> {
    let given = given(site, client).await?;
    let (id, secret) = (client.client_id.as_str(), client.secret.as_str());
    let fields = [("grant_type", "refresh_token"), ("client_id", id), ("client_secret", secret), ("refresh_token", &given)];
    let access = site.form(TOKEN, &fields).await?.expect(200, "refreshed")?.text("access_token");
    let operator = site.node().operator();
    let said: Value = serde_json::from_str(&operator.run_with_input(&["client", "revoke-token"], &["--json"], &given).await?)?;
    ensure!(said["revoked"] == true && said["acknowledged"] == "all", "{said}");
    site.refused_everywhere(&access, "a family that an operator revoked").await
}

/// A further refresh token.
async fn given(site: &Site, client: &Registered) -> Result<String> {
    let given = site.manage(Method::POST, &format!("/{}/refresh-tokens", client.client_id), None, 201).await?;
    given.json()["refresh_token"].as_str().map(str::to_owned).context("a refresh token")
}

/// The list of clients, a page at a node at a time, has each once.
async fn pages(site: &Site) -> Result<()> {
    let whole = site.manage(Method::GET, "", None, 200).await?.json();
    let (mut seen, mut path) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = site.manage(Method::GET, &path, None, 200).await?;
        let document = page.json();
        let clients = document["clients"].as_array().context("clients")?;
        ensure!(clients.len() <= 2, "{page:?}");
        seen.extend(clients.iter().cloned());
        let Some(cursor) = document["next_cursor"].as_str() else { break };
        ensure!(page.header("link").contains(cursor), "{page:?}");
        path = format!("?limit=2&cursor={cursor}");
    }
    ensure!(seen.len() > 2 && whole["clients"] == json!(seen), "{whole} is not {seen:?}");
    site.manage(Method::GET, "?cursor=x", None, 400).await?.refuses(400, "invalid_cursor", "a cursor of nothing")?;
    Ok(())
}

/// Another key is published before it signs; with the end of the one that signs, its tokens end at every node, and the other signs.
async fn keys(site: &Site, client: &Registered) -> Result<()> {
    let published = async || -> Result<Vec<String>> {
        let set = site.get("/.well-known/jwks.json", "").await?.json();
        let keys = set["keys"].as_array().context("keys")?;
        Ok(keys.iter().map(|key| key["kid"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let before = published().await?;
    ensure!(!before.is_empty(), "there is a key that signs");
    let token = site.token(client, "assets:read").await?;
    let next: Value = site.node().operator().json(&["signing-key", "rotate"], &["--json"]).await?;
    let next = next["id"].as_str().context("a key")?.to_owned();
    for node in site.cluster.nodes() {
        wait::until(SETTLE, "a node to publish the key", || async {
            let set = site.send(site.to(node, Method::GET, "/.well-known/jwks.json", "")).await?;
            ensure!(set.body.contains(&next), "{set:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    for answer in site.everywhere("/api/v2/account", &token).await? {
        answer.expect(200, "a token of the key that signs")?;
    }
    for key in &before {
        let removed: Value = site.node().operator().json(&["signing-key", "remove"], &[key, "--json"]).await?;
        ensure!(removed["acknowledged"] == "all", "{removed}");
    }
    site.refused_everywhere(&token, "a token of a key that was removed").await?;
    let token = site.token(client, "assets:read").await?;
    for answer in site.everywhere("/api/v2/account", &token).await? {
        answer.expect(200, "a token of the next key")?;
    }
    ensure!(published().await? == [next], "{:?}", published().await?);
    Ok(())
}

/// One who goes is gone at every node, and nobody else is.
async fn administrators(site: &Site) -> Result<()> {
    let added: Value = site.node().operator().json(&["administrator", "add"], &["--name", "bob", "--json"]).await?;
    let (id, token) = (added["id"].as_str().context("an id")?, added["token"].as_str().context("a token")?);
    for node in site.cluster.nodes() {
        wait::until(SETTLE, "a node to know the administrator", || async {
            let answer = site.send(site.to(node, Method::GET, "/api/v2/admin/clients", token)).await?;
            answer.expect(200, "a list")
        })
        .await?;
    }
    site.get("/api/v2/assets", token).await?.refuses(401, "token_invalid", "an administrator is no client")?;
    let removed: Value = site.node().operator().json(&["administrator", "remove"], &[id, "--json"]).await?;
    ensure!(removed["acknowledged"] == "all", "{removed}");
    for (token, status) in [(token, 401), (site.administrator.as_str(), 200)] {
        for answer in site.everywhere("/api/v2/admin/clients", token).await? {
            answer.expect(status, "after one of two was removed")?;
        }
    }
    Ok(())
}

/// The logs say who was not let in, from where and why, and have no secret of anybody.
fn logs(site: &Site) -> Result<()> {
    let read = |node: &Node| fs::read_to_string(node.log_path()).with_context(|| format!("the log of {}", node.name()));
    let text = site.cluster.nodes().iter().map(read).collect::<Result<String>>()?;
    for reason in ["secret", "scope", "token", "refresh"] {
        let line = text.lines().find(|line| line.contains("not let in") && line.contains(&format!("reason=\"{reason}\"")));
        let line = line.with_context(|| format!("nothing in the logs of who was not let in for {reason}"))?;
        ensure!(line.contains("address=127.0.0.1") && line.contains("request_id="), "{line}");
    }
    // How secrets, refresh tokens, tokens of administrators and access tokens begin.
    for prefix in ["ncs_", "ncr_", "nca_", "eyJ"] {
        let line = text.lines().find(|line| line.contains(prefix));
        ensure!(line.is_none(), "a secret in a log: {line:?}");
    }
    Ok(())
}
