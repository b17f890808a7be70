//! Every operation of the document, as one client's life: what was changed at one node is there at the next.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cluster_tests::client::{PIECE, sha256};
use cluster_tests::site::{Registered, SETTLE, Site};
use cluster_tests::{Cluster, run::Run, wait};
use futures_util::StreamExt as _;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::contract::{Contract, call};

const SCOPES: &str = "assets:read assets:write cache:purge metrics:read";
/// Whether a field is what it has to be.
type IsRight = fn(&Value) -> bool;
/// The schema of the page: what an asset has had in every version.
const ASSET: [(&str, IsRight); 11] = [
    ("id", Value::is_string),
    ("path", Value::is_string),
    ("url", Value::is_string),
    ("mime", Value::is_string),
    ("size", Value::is_u64),
    ("sha256", Value::is_string),
    ("client_id", Value::is_string),
    ("cache_ttl", Value::is_u64),
    ("created_at", Value::is_u64),
    ("node", Value::is_string),
    ("replicated", Value::is_boolean),
];

pub(crate) async fn property(run: Run) -> Result<()> {
    // One address for all, as behind a balancer: what a node says of an asset has its address, and is the same at each then.
    let cluster = Cluster::builder().seed(run.seed()).setting("advertise", "http", "http://cdn.test").start().await?;
    let site = Site::of(cluster).await?;
    let contract = Contract::read(&site).await?;
    for_anybody(&contract).await?;
    let client = administration(&contract).await?;
    let token = credentials(&contract, &client).await?;
    let kept = assets(&contract, &client, &token).await?;
    let in_pieces = in_pieces(&contract, &token).await?;
    usage(&contract, &client, &token).await?;
    ends(&contract, &client, &token, [&kept, &in_pieces]).await?;
    run.say(format_args!("{} successes of the document were seen", contract.is_whole()?));
    site.cluster.converged(SETTLE).await?;
    site.cluster.shutdown().await
}

fn as_is(request: RequestBuilder) -> RequestBuilder {
    request
}

async fn for_anybody(contract: &Contract<'_>) -> Result<()> {
    let nodes: BTreeSet<_> = contract.site.cluster.nodes().iter().map(|node| node.name().to_owned()).collect();
    let mut seen = BTreeSet::new();
    for _ in &nodes {
        let status = contract.call(call("status"), 200, as_is).await?;
        let document = status.json();
        ensure!(document["status"] == "operational" && document["ts"].is_u64() && document["version"].is_string(), "{status:?}");
        seen.insert(status.text("node"));
    }
    ensure!(seen == nodes, "each call goes to another node: {seen:?}");
    contract.call(call("openapi"), 200, as_is).await?;
    let metadata = contract.call(call("authorizationServer"), 200, as_is).await?;
    ensure!(metadata.text("token_endpoint").ends_with("/api/v2/auth/token"), "{metadata:?}");
    let tus = contract.call(call("discoverUploads"), 204, as_is).await?;
    ensure!(tus.header("tus-max-size") == "524288000" && tus.header("tus-version") == "1.0.0", "{tus:?}");
    Ok(())
}

async fn administration(contract: &Contract<'_>) -> Result<Registered> {
    let admin = contract.site.administrator.as_str();
    let wanted = json!({ "name": "whole", "domains": ["whole.test"], "plan": { "name": "Pro", "storage_bytes": 1_000_000_000 } });
    let registered = contract.call(call("registerClient").by(admin), 201, |request| request.json(&wanted)).await?;
    let id = registered.text("client_id");
    ensure!(registered.header("location") == format!("/api/v2/admin/clients/{id}"), "{registered:?}");
    let shown = contract.call(call("showClient").of(&id).by(admin), 200, as_is).await?;
    ensure!(shown.json()["plan"]["name"] == "Pro" && shown.text("status") == "active", "{shown:?}");
    let list = contract.call(call("listClients").query("limit=1000").by(admin), 200, as_is).await?;
    let clients = list.json()["clients"].as_array().cloned().unwrap_or_default();
    ensure!(clients.iter().any(|client| client["client_id"] == *id), "{list:?}");
    let change = json!({ "domains": ["whole.test", "*.whole.test"] });
    contract.call(call("changeClient").of(&id).by(admin), 200, |request| request.json(&change)).await?;
    let shown = contract.call(call("showClient").of(&id).by(admin), 200, as_is).await?;
    ensure!(shown.json()["domains"] == change["domains"], "{shown:?}");
    let renewed = contract.call(call("rotateSecret").of(&id).by(admin), 200, as_is).await?;
    ensure!(renewed.text("secret") != registered.text("secret") && renewed.text("secret").starts_with("ncs_"), "the secret is as before");
    let given = contract.call(call("addRefreshToken").of(&id).by(admin), 201, as_is).await?;
    Ok(Registered { client_id: id, secret: renewed.text("secret"), refresh_token: given.text("refresh_token") })
}

/// Gives a token that was got in the form of the page.
async fn credentials(contract: &Contract<'_>, client: &Registered) -> Result<String> {
    let Registered { client_id, secret, refresh_token } = client;
    let wanted = json!({ "client_id": client_id, "secret": secret, "scope": SCOPES });
    let issued = contract.call(call("issueToken"), 200, |request| request.json(&wanted)).await?;
    let document = issued.json();
    ensure!(document["token_type"] == "Bearer" && document["expires_in"] == 86_400 && document["scope"] == SCOPES, "{issued:?}");
    ensure!(issued.header("cache-control") == "no-store" && issued.header("pragma") == "no-cache", "{issued:?}");
    let token = issued.text("access_token");
    ensure!(token.starts_with("eyJ0eXAi"), "{token}");
    let keys = contract.call(call("keys"), 200, as_is).await?;
    ensure!(keys.json()["keys"][0]["kid"].is_string(), "{keys:?}");

    let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", client_id), ("client_secret", secret)];
    let refreshed = contract.call(call("issueToken"), 200, |request| request.form(&refresh)).await?;
    let another = refreshed.text("access_token");
    let asked = [("token", another.as_str())];
    let by_client = |request: RequestBuilder| request.basic_auth(client_id, Some(secret)).form(&asked);
    let facts = contract.call(call("introspectToken"), 200, by_client).await?;
    ensure!(facts.json()["active"] == true && facts.text("client_id") == *client_id, "{facts:?}");
    contract.call(call("revokeToken"), 200, by_client).await?;
    let facts = contract.call(call("introspectToken"), 200, by_client).await?;
    ensure!(facts.json() == json!({ "active": false }), "{facts:?}");
    let account = contract.call(call("showAccount").by(&token), 200, as_is).await?;
    ensure!(account.text("client_id") == *client_id, "{account:?}");
    Ok(token)
}

/// Gives the id of an asset that stays.
async fn assets(contract: &Contract<'_>, client: &Registered, token: &str) -> Result<String> {
    const CONTENT: &[u8] = b"not really a film";
    let form = || Form::new().text("path", "video-bg/my-asset.webm").text("cache_ttl", "600").part("file", file(CONTENT));
    let upload = call("uploadAsset").by(token);
    let uploaded = contract.call(upload, 201, |request| request.multipart(form()).header("Idempotency-Key", "\"once\"")).await?;
    let asset = uploaded.json();
    for (name, is_right) in ASSET {
        ensure!(is_right(&asset[name]), "{name} in {asset}");
    }
    let id = uploaded.text("id");
    ensure!(id.starts_with("as_") && asset["path"] == "video-bg/my-asset.webm" && asset["mime"] == "video/webm", "{asset}");
    ensure!(asset["size"] == CONTENT.len() && asset["sha256"] == sha256(CONTENT) && asset["cache_ttl"] == 600, "{asset}");
    ensure!(asset["client_id"] == client.client_id.as_str() && uploaded.header("location") == format!("/api/v2/assets/{id}"), "{asset}");
    let again = contract.call(upload, 201, |request| request.multipart(form()).header("Idempotency-Key", "\"once\"")).await?;
    ensure!(again.text("id") == id && again.text("revision") == uploaded.text("revision"), "the same key, and twice: {again:?}");

    let list = contract.call(call("listAssets").query("prefix=video-bg/").by(token), 200, as_is).await?;
    ensure!(list.json()["assets"][0]["id"] == *id && list.json()["has_more"] == false, "{list:?}");
    // The tag is of the description, which says how many copies there are: it changes until all are there.
    everywhere(contract, &id, token).await?;
    let tag = contract.call(call("showAsset").of(&id).by(token), 200, as_is).await?.header("etag").to_owned();
    contract.call(call("showAsset").of(&id).by(token), 304, |request| request.header("If-None-Match", &tag)).await?;
    let change = json!({ "cache_ttl": 60, "visibility": "restricted" });
    let patch = call("patchAsset").of(&id).by(token);
    let patched = contract.call(patch, 200, |request| request.json(&change).header("If-Match", &tag)).await?;
    ensure!(patched.json()["cache_ttl"] == 60 && patched.text("visibility") == "restricted", "{patched:?}");
    let target = json!({ "path": "video-bg/moved.webm" });
    contract.call(call("moveAsset").of(&id).by(token), 200, |request| request.json(&target)).await?;
    let shown = contract.call(call("showAsset").of(&id).by(token), 200, as_is).await?;
    ensure!(shown.text("path") == "video-bg/moved.webm" && shown.json()["cache_ttl"] == 60, "{shown:?}");

    let signed = contract.call(call("signAddress").by(token), 200, |request| request.json(&target)).await?;
    let address = format!("/assets/video-bg/moved.webm?{}", signed.text("query"));
    for node in contract.site.cluster.nodes() {
        wait::until(SETTLE, "what was signed at one node to be good at another", || async {
            let read = contract.site.send(contract.site.bare(node, Method::GET, &address)).await?;
            read.expect(200, &address).map(drop)
        })
        .await?;
    }
    let key = contract.call(call("showSigningKey").by(token), 200, as_is).await?;
    ensure!(key.text("client_id") == client.client_id, "{key:?}");
    Ok(id)
}

/// Every node holds it, as the API says at each.
async fn everywhere(contract: &Contract<'_>, id: &str, token: &str) -> Result<()> {
    wait::until(SETTLE, "verified copies at every node", || async {
        let copies = contract.call(call("showReplication").of(id).by(token), 200, as_is).await?.json();
        let nodes = copies["nodes"].as_array().context("nodes")?;
        ensure!(copies["replicated"] == true && nodes.iter().filter(|node| node["state"] == "verified").count() == 3, "{copies}");
        Ok(())
    })
    .await
    .map_err(Into::into)
}

/// Gives the id of the asset.
async fn in_pieces(contract: &Contract<'_>, token: &str) -> Result<String> {
    let begin = async |path: &str| -> Result<String> {
        let metadata = format!("path {}", STANDARD.encode(path));
        let fill = |request: RequestBuilder| tus(request).header("Upload-Length", 10).header("Upload-Metadata", metadata);
        let created = contract.call(call("createUpload").by(token), 201, fill).await?;
        let location = created.header("location");
        Ok(location.strip_prefix("/api/v2/uploads/").with_context(|| format!("an upload: {created:?}"))?.to_owned())
    };
    let upload = begin("pieces/whole.bin").await?;
    for (offset, piece) in [(0, "01234"), (5, "56789")] {
        let shown = contract.call(call("showUpload").of(&upload).by(token), 200, tus).await?;
        ensure!(shown.header("upload-offset") == offset.to_string() && shown.header("upload-length") == "10", "{shown:?}");
        let fill = |request: RequestBuilder| {
            tus(request).header("Upload-Offset", offset).header("Content-Type", PIECE).body(Bytes::from_static(piece.as_bytes()))
        };
        let taken = contract.call(call("appendUpload").of(&upload).by(token), 204, fill).await?;
        ensure!(taken.header("upload-offset") == (offset + 5).to_string() && taken.header("tus-resumable") == "1.0.0", "{taken:?}");
    }
    let done = contract.call(call("showUpload").of(&upload).by(token), 200, tus).await?;
    let asset = done.header("x-ncore-asset").to_owned();
    let shown = contract.call(call("showAsset").of(&asset).by(token), 200, as_is).await?;
    ensure!(shown.text("sha256") == sha256(b"0123456789"), "{shown:?}");

    let given_up = begin("pieces/given-up.bin").await?;
    contract.call(call("endUpload").of(&given_up).by(token), 204, tus).await?;
    contract.call(call("showUpload").of(&given_up).by(token), 404, tus).await?;
    Ok(asset)
}

fn tus(request: RequestBuilder) -> RequestBuilder {
    request.header("Tus-Resumable", "1.0.0")
}

/// What was used, and by which requests.
async fn usage(contract: &Contract<'_>, client: &Registered, token: &str) -> Result<()> {
    let purge = json!({ "pattern": "video-bg/*" });
    let purged = contract.call(call("purgeCache").by(token), 200, |request| request.json(&purge)).await?;
    ensure!(purged.json()["purged"] == 1, "{purged:?}");
    let metrics = contract.call(call("showMetrics").query("granularity=day").by(token), 200, as_is).await?;
    ensure!(metrics.text("client_id") == client.client_id && metrics.text("granularity") == "day", "{metrics:?}");
    wait::until(SETTLE, "the purge to be in the log at another node", || async {
        let query = "prefix=/api/v2/cache/purge&status=200";
        let logs = contract.call(call("listLogs").query(query).by(token), 200, as_is).await?.json();
        ensure!(logs["logs"][0]["request_id"] == purged.header("x-request-id"), "{logs}");
        Ok(())
    })
    .await?;
    followed(contract, token).await
}

/// The stream has the requests of every node. A node is followed from when it is first asked for more, a moment after the stream began: so
/// requests go on until one at each node was told.
async fn followed(contract: &Contract<'_>, token: &str) -> Result<()> {
    let stream = contract.request(call("followLogs").query("prefix=/api/v2/account").by(token))?.send().await?;
    ensure!(stream.status() == 200 && stream.headers()["content-type"] == "text/event-stream", "{stream:?}");
    let at_each: Vec<_> = contract.site.cluster.nodes().iter().map(|node| format!("\"node\":\"{}\",\"client_id\"", node.name())).collect();
    let (mut text, mut chunks) = (String::new(), stream.bytes_stream());
    let hearing = async {
        while !at_each.iter().all(|record| text.contains(record)) {
            text.push_str(std::str::from_utf8(&chunks.next().await.context("the stream ended")??)?);
        }
        ensure!(text.contains("event: log\ndata: "), "{text}");
        Ok(())
    };
    let asking = async {
        loop {
            contract.call(call("showAccount").by(token), 200, as_is).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        heard = timeout(EVENTS, hearing) => heard.context("some node's requests are not told")??,
        failed = asking => return failed,
    }
    contract.saw("followLogs", 200);
    Ok(())
}

/// Everything goes, and is gone at the next node.
async fn ends(contract: &Contract<'_>, client: &Registered, token: &str, ids: [&String; 2]) -> Result<()> {
    let [one, other] = ids;
    contract.call(call("deleteAsset").of(one).by(token), 204, as_is).await?;
    contract.call(call("showAsset").of(one).by(token), 404, as_is).await?;
    let wanted = json!({ "assets": [{ "id": other }, { "path": "video-bg/moved.webm" }] });
    let deleted = contract.call(call("deleteAssets").by(token), 200, |request| request.json(&wanted)).await?;
    ensure!(deleted.json()["deleted"] == 1 && deleted.json()["results"][1]["status"] == 404, "{deleted:?}");
    let list = contract.call(call("listAssets").by(token), 200, as_is).await?;
    ensure!(list.json()["assets"] == json!([]), "{list:?}");
    let admin = contract.site.administrator.as_str();
    contract.call(call("deleteClient").of(&client.client_id).by(admin), 204, as_is).await?;
    contract.call(call("showClient").of(&client.client_id).by(admin), 404, as_is).await?;
    contract.call(call("showAccount").by(token), 401, as_is).await?;
    Ok(())
}

fn file(content: &'static [u8]) -> Part {
    Part::bytes(content).file_name("my-asset.webm")
}

/// How long the next event of a stream may take.
const EVENTS: Duration = Duration::from_secs(20);
