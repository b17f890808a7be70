//! Who gets an asset at which address, at whichever node: each call here goes to another node than the one before.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use cluster_tests::client::{Answer, Tenant, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn restricted_assets_are_for_those_who_may() -> Result<()> {
    property("serving_v2_restricted", Limit::minutes(2, 2), restricted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_own_hosts_and_only_its_own_assets() -> Result<()> {
    property("serving_v2_tenants", Limit::minutes(2, 2), tenants).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_asset_is_never_a_mix() -> Result<()> {
    property("serving_v2_replaced", Limit::minutes(2, 2), replaced).await
}

async fn restricted(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let owner = Tenant::add(&cluster, "owner", &["owner.test"]).await?;
    let other = Tenant::add(&cluster, "other", &["other.test"]).await?;
    let mut nodes = Nodes::of(&cluster);

    owner.put(nodes.next(), "restricted/film.webm", "by its path", None).await?;
    let secret = owner.put(nodes.next(), "docs/secret.txt", "by its owner's word", Some("restricted")).await?;
    let open = owner.put(nodes.next(), "pub/open.txt", "for all", None).await?;
    ensure!((&secret["visibility"], &open["visibility"]) == (&json!("restricted"), &json!("public")), "{secret} {open}");

    for (path, body) in [("/pub/open.txt", "for all"), ("/assets/pub/open.txt", "for all")] {
        let answer = settled(&owner, &nodes, path).await?;
        ensure!(answer.status == 200 && answer.body == body, "{path}: {answer:?}");
        ensure!(
            answer.header("cache-control").starts_with("public") && answer.header("repr-digest").starts_with("sha-256=:"),
            "{answer:?}"
        );
        ensure!(answer.header("access-control-allow-origin") == "*", "{answer:?}");
    }
    let addresses = ["/restricted/film.webm", "/assets/restricted/film.webm", "/assets/%72estricted/film.webm", "/assets/docs/secret.txt"];
    for address in addresses {
        for method in [Method::GET, Method::HEAD] {
            let answer = Answer::to(owner.ask(method.clone(), nodes.next(), address)).await?;
            ensure!(answer.status == 401, "{method} {address} without anything: {answer:?}");
            ensure!(answer.header("www-authenticate") == "Bearer realm=\"ncore\"", "{answer:?}");
            ensure!(method == Method::HEAD || answer.code() == "token_missing", "{answer:?}");
        }
        let answer = Answer::to(owner.ask(Method::GET, nodes.next(), address).bearer_auth(&owner.token)).await?;
        ensure!(answer.status == 200 && answer.header("cache-control").starts_with("private"), "{address} with a token: {answer:?}");
        let answer = Answer::to(owner.ask(Method::GET, nodes.next(), address).bearer_auth(&other.token)).await?;
        ensure!(answer.status == 403 && answer.code() == "asset_of_other_client", "{address} with another's token: {answer:?}");
        let answer = Answer::to(owner.ask(Method::GET, nodes.next(), address).bearer_auth("eyJ0eXAi")).await?;
        ensure!(answer.status == 401 && answer.code() == "token_invalid", "{address} with a bad token: {answer:?}");
    }
    // Whether something is there is told to those alone who could have it.
    let missing = "/restricted/none";
    ensure!(Answer::to(owner.ask(Method::GET, nodes.next(), missing)).await?.status == 401, "nothing is shown, and something is told");
    ensure!(Answer::to(owner.ask(Method::GET, nodes.next(), missing).bearer_auth(&owner.token)).await?.status == 404, "it is not there");

    signed(&mut nodes, &owner, &other).await?;

    // What becomes public is public everywhere, and what becomes restricted is restricted everywhere.
    let id = secret["id"].as_str().context("an id")?;
    for (visibility, status) in [("public", 200), ("restricted", 401), ("public", 200)] {
        let path = format!("/api/v2/assets/{id}");
        let patch = owner.ask(Method::PATCH, nodes.next(), &path).bearer_auth(&owner.token).json(&json!({ "visibility": visibility }));
        let patched = Answer::to(patch).await?;
        ensure!(patched.status == 200 && patched.json()["visibility"] == visibility, "{patched:?}");
        for node in cluster.nodes() {
            let answer = wait::until(SETTLE, "a node to follow", || async {
                let answer = Answer::to(owner.ask(Method::GET, node, "/assets/docs/secret.txt")).await?;
                if answer.status == status { Ok(()) } else { Err(anyhow!("{answer:?}")) }
            });
            answer.await?;
        }
    }
    cluster.converged(SETTLE).await?;
    cluster.shutdown().await
}

/// Addresses that are signed at one node are good at the others, for what they were signed for.
async fn signed(nodes: &mut Nodes<'_>, owner: &Tenant, other: &Tenant) -> Result<()> {
    let film = "/restricted/film.webm";
    let sign = |node: &Node, tenant: &Tenant, body: Value| {
        tenant.ask(Method::POST, node, "/api/v2/assets/sign").bearer_auth(&tenant.token).json(&body)
    };
    let cases = [
        (json!({ "path": "restricted/film.webm" }), film, 200),
        (json!({ "path": "restricted/film.webm", "ip": "127.0.0.0/8" }), film, 200),
        (json!({ "path": "restricted/film.webm", "ip": "203.0.113.7" }), film, 401),
        (json!({ "prefix": "restricted/" }), film, 200),
        (json!({ "prefix": "restricted/" }), "/restricted/none", 404),
        (json!({ "prefix": "restricted/fil/" }), film, 401),
        (json!({ "path": "restricted/film" }), film, 401),
        (json!({ "path": "docs/secret.txt", "expires_in": 600 }), "/assets/docs/secret.txt", 200),
    ];
    for (body, address, status) in cases {
        let signed = Answer::to(sign(nodes.next(), owner, body.clone())).await?;
        ensure!(signed.status == 200 && signed.header("cache-control") == "no-store", "{signed:?}");
        let query = signed.json()["query"].as_str().context("a query")?.to_owned();
        let answer = Answer::to(owner.ask(Method::GET, nodes.next(), &format!("{address}?{query}"))).await?;
        ensure!(answer.status == status, "{body} for {address}: {answer:?}");
        let cut = query.strip_suffix(|_: char| true).unwrap_or_default();
        for changed in [query.replace("nc_expires=1", "nc_expires=2"), query.replace("nc_client=cl_", "nc_client=cl-"), cut.to_owned()] {
            let answer = Answer::to(owner.ask(Method::GET, nodes.next(), &format!("{address}?{changed}"))).await?;
            ensure!(answer.status == 401, "{changed} for {address}: {answer:?}");
        }
    }
    let by_other = Answer::to(sign(nodes.next(), other, json!({ "path": "restricted/film.webm" }))).await?.json();
    let query = by_other["query"].as_str().context("a query")?;
    let answer = Answer::to(owner.ask(Method::GET, nodes.next(), &format!("{film}?{query}"))).await?;
    ensure!(answer.status == 401 && answer.code() == "signed_url_invalid", "signed by another client: {answer:?}");
    let short = Answer::to(sign(nodes.next(), owner, json!({ "path": "restricted/film.webm", "expires_in": 1 }))).await?.json();
    let address = format!("{film}?{}", short["query"].as_str().context("a query")?);
    wait::until(SETTLE, "a signed address to expire", || async {
        let answer = Answer::to(owner.ask(Method::GET, nodes.first(), &address)).await?;
        if answer.status == 401 { Ok(()) } else { Err(anyhow!("{answer:?}")) }
    })
    .await?;
    for body in
        [json!({}), json!({ "path": "a", "prefix": "b/" }), json!({ "prefix": "b" }), json!({ "path": "a", "expires_in": 9_999_999 })]
    {
        let refused = Answer::to(sign(nodes.next(), owner, body.clone())).await?;
        ensure!(refused.status == 400, "{body}: {refused:?}");
    }
    Ok(())
}

async fn tenants(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let owner = Tenant::add(&cluster, "owner", &["owner.test"]).await?;
    let other = Tenant::add(&cluster, "other", &["*.other.test"]).await?;
    let mut nodes = Nodes::of(&cluster);
    let mine = owner.put(nodes.next(), "img/a.txt", "mine", None).await?;
    owner.put(nodes.next(), "restricted/b.txt", "only mine", None).await?;
    let taken = other.put(nodes.next(), "img/b.txt", "theirs", None).await?;
    settled(&owner, &nodes, "/assets/img/b.txt").await?;

    let cases = [
        ("owner.test", "/img/a.txt", 200),
        ("OWNER.test:8080", "/img/a.txt", 200),
        ("owner.test", "/img/b.txt", 404),
        ("owner.test", "/assets/img/b.txt", 404),
        ("owner.test", "/restricted/b.txt", 401),
        ("owner.test", "/metrics", 404),
        ("owner.test", "/api/v2/status", 200),
        ("www.other.test", "/img/b.txt", 200),
        ("www.other.test", "/img/a.txt", 404),
        ("other.test", "/img/b.txt", 404),
        ("nobody.test", "/img/a.txt", 404),
        ("nobody.test", "/assets/img/a.txt", 200),
    ];
    for (host, path, status) in cases {
        let answer = Answer::to(owner.ask(Method::GET, nodes.next(), path).header("host", host)).await?;
        ensure!(answer.status == status, "{path} at {host}: {answer:?}");
    }

    // The new verbs on what belongs to somebody else.
    let (mine, taken) = (mine["id"].as_str().context("an id")?, taken["id"].as_str().context("an id")?);
    let of = |id: &str, verb: &str| format!("/api/v2/assets/{id}{verb}");
    let cases = [
        (&other, Method::PATCH, of(mine, ""), json!({ "visibility": "restricted" }), 403),
        (&other, Method::POST, of(mine, "/move"), json!({ "path": "img/mine.txt" }), 403),
        (&other, Method::POST, of(taken, "/move"), json!({ "path": "img/a.txt" }), 403),
        (&owner, Method::POST, of(mine, "/move"), json!({ "path": "restricted/b.txt" }), 409),
        (&owner, Method::POST, of(mine, "/move"), json!({ "path": "../x" }), 400),
        (&owner, Method::POST, of("as_none", "/move"), json!({ "path": "x" }), 404),
        (&owner, Method::POST, of(mine, "/move"), json!({ "path": "moved/a.txt" }), 200),
        (&owner, Method::POST, of(mine, "/move"), json!({ "path": "moved/a.txt" }), 200),
        (&owner, Method::POST, of(mine, "/move"), json!({ "path": "restricted/a.txt" }), 200),
        (&owner, Method::PATCH, of(mine, ""), json!({ "visibility": "public" }), 409),
        (&owner, Method::PATCH, of(mine, ""), json!({ "visibility": "secret" }), 400),
    ];
    for (tenant, method, path, body, status) in cases {
        let answer = Answer::to(tenant.ask(method.clone(), nodes.next(), &path).bearer_auth(&tenant.token).json(&body)).await?;
        ensure!(answer.status == status, "{method} {path} {body}: {answer:?}");
    }
    for node in cluster.nodes() {
        wait::until(SETTLE, "a node to see the move", || async {
            let old = Answer::to(owner.ask(Method::GET, node, "/assets/img/a.txt")).await?;
            let new = Answer::to(owner.ask(Method::GET, node, "/restricted/a.txt").bearer_auth(&owner.token)).await?;
            ensure!(old.status == 404 && new.status == 200 && new.body == "mine", "{old:?} {new:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    let answer = Answer::to(owner.ask(Method::POST, nodes.next(), "/pub/x")).await?;
    ensure!(answer.status == 405 && answer.code() == "method_not_allowed" && answer.header("allow") == "GET, HEAD, OPTIONS", "{answer:?}");
    let preflight = owner.ask(Method::OPTIONS, nodes.next(), "/pub/x").header("origin", "https://page.test");
    let answer =
        Answer::to(preflight.header("access-control-request-method", "GET").header("access-control-request-headers", "range")).await?;
    ensure!(answer.status == 204 && answer.header("access-control-allow-methods").contains("GET"), "{answer:?}");
    ensure!(answer.header("access-control-allow-headers").contains("Range"), "{answer:?}");
    cluster.converged(SETTLE).await?;
    cluster.shutdown().await
}

/// Ranges of an asset that is replaced again and again: each is of one version, whole, and `If-Range` tells them apart.
async fn replaced(run: Run) -> Result<()> {
    const SIZE: usize = 6 << 20;
    const ROUNDS: usize = 6;
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let owner = Tenant::add(&cluster, "owner", &["owner.test"]).await?;
    let mut nodes = Nodes::of(&cluster);
    // Each version is one byte all over, so that a mix shows wherever it is.
    let version = |number: usize| Bytes::from(vec![u8::try_from(number).unwrap_or(0) + b'a'; SIZE]);
    upload(&owner, nodes.next(), "video.webm", version(0)).await?;
    settled(&owner, &nodes, "/assets/video.webm").await?;
    for round in 1..=ROUNDS {
        let at = nodes.next().clone();
        let first = Answer::to(owner.ask(Method::GET, &at, "/assets/video.webm").header("range", "bytes=0-9")).await?;
        let etag = first.header("etag").to_owned();
        let mut download = owner.ask(Method::GET, &at, "/assets/video.webm").header("range", "bytes=10-").send().await?;
        let begun = download.chunk().await?.context("a first chunk")?;
        upload(&owner, nodes.next(), "video.webm", version(round)).await?;
        let (mut all, mut is_whole) = (begun.to_vec(), true);
        loop {
            match download.chunk().await {
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => break,
                // Broken off is honest: the client knows that it does not have all of it.
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        ensure!(all.iter().all(|byte| *byte == all[0]), "round {round}: a mix");
        ensure!(!is_whole || all.len() == SIZE - 10, "round {round}: {} bytes", all.len());
        // Resuming with the old tag gives all of the new version, and never a part of it.
        wait::until(SETTLE, "the new version", || async {
            let resumed = owner.ask(Method::GET, &at, "/assets/video.webm").header("range", "bytes=10-19").header("if-range", &etag);
            let resumed = Answer::to(resumed).await?;
            let expected = version(round);
            match resumed.status {
                200 => ensure!(resumed.body.as_bytes() == &expected[..], "round {round}: the whole is not the new version"),
                status => ensure!(false, "round {round}: {status} while the old version is still there"),
            }
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    run.say(format_args!("{ROUNDS} rounds, no mix"));
    let content = Content::new(run.seed(), 10);
    upload(&owner, nodes.next(), "video.webm", content.bytes()).await?;
    cluster.converged(SETTLE).await?;
    cluster.shutdown().await
}

/// One after the other.
struct Nodes<'a> {
    nodes: &'a [Node],
    turn: usize,
}

impl<'a> Nodes<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        Self { nodes: cluster.nodes(), turn: 0 }
    }

    fn first(&self) -> &'a Node {
        &self.nodes[0]
    }

    fn next(&mut self) -> &'a Node {
        self.turn += 1;
        &self.nodes[self.turn % self.nodes.len()]
    }
}

/// The answer to a GET once every node has the asset, from the last that was asked.
async fn settled(owner: &Tenant, nodes: &Nodes<'_>, path: &str) -> Result<Answer> {
    let mut last = None;
    for node in nodes.nodes {
        let there = wait::until(SETTLE, "a node to have the asset", || async {
            let answer = Answer::to(owner.ask(Method::GET, node, path)).await?;
            if answer.status == 200 { Ok(answer) } else { Err(anyhow!("{answer:?}")) }
        });
        last = Some(there.await?);
    }
    last.context("there is a node")
}

async fn upload(owner: &Tenant, node: &Node, path: &str, content: Bytes) -> Result<()> {
    owner.api.at(node).upload(&Upload::new(path, content)).await.done()?;
    Ok(())
}

/// How long a healthy cluster may take.
const SETTLE: Duration = Duration::from_secs(30);
