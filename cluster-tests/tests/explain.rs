//! Why a request is a hit or a miss, asked at any node of all of them: each says it of itself, a node that does not answer is named, and what
//! a zone serves is its client's in the books of the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use axum::{Router, http::header, routing::get};
use cluster_tests::client::Answer;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::site::{SETTLE, Site};
use cluster_tests::{Cluster, Node, wait};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The schema level that zones need.
const LEVEL: u32 = 8;
const SCOPES: &str = "zones:read zones:write cache:purge metrics:read";
const HOST: &str = "static.test";
const BYTES: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_node_says_why() -> Result<()> {
    property("explain", Limit::minutes(3, 6), explain).await
}

async fn explain(run: Run) -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = origin(Arc::clone(&asked)).await?;
    let allowed = ["127.0.0.0/8"].as_slice();
    let site = Site::of(Cluster::builder().seed(run.seed()).setting("origins", "allow", allowed).start().await?).await?;
    wait::until(SETTLE, "the schema level of zones", || async {
        let level = site.cluster.status().await?.schema_level;
        ensure!(level >= LEVEL, "it is {level}");
        Ok(())
    })
    .await?;
    let register = json!({ "name": "owner", "scopes": SCOPES.split(' ').collect::<Vec<_>>() });
    let owner = site.register(&register).await?;
    let token = site.token(&owner, SCOPES).await?;
    let wanted = json!({ "origin_url": format!("http://{origin}"), "custom_domains": [HOST], "tiers": false });
    let made = site.send(site.ask(Method::POST, "/api/v1/zones", &token).json(&wanted)).await?.expect(201, "a zone")?;
    let uuid = made.json()["data"]["uuid"].as_str().context("an id")?.to_owned();
    let path = format!("/api/v1/zones/{uuid}/explain?url=http://{HOST}/a&header=cookie:%20secret");
    // Every node has the zone once it has been read there at that revision.
    site.everywhere(&format!("/api/v1/zones/{uuid}"), &token).await?;

    let nodes = site.cluster.nodes();
    ensure!(verdicts(&site, &nodes[0], &path, &token).await? == ["MISS", "MISS", "MISS"]);
    ensure!(asked.load(Ordering::SeqCst) == 0, "the origin was asked");
    let answer = viewer(&site, &nodes[1], "/a").await?;
    ensure!(answer.status == 200 && answer.body.len() == BYTES && answer.header("x-cache") == "MISS", "{answer:?}");
    let expected: Vec<_> = (0..3).map(|slot| if slot == 1 { "HIT" } else { "MISS" }).collect();
    for node in nodes {
        let said = verdicts(&site, node, &path, &token).await?;
        ensure!(said == expected, "{said:?} at {}", node.name());
    }
    let one = site.send(site.to(&nodes[2], Method::GET, &format!("{path}&node={}", nodes[1].name()), &token)).await?;
    let said = one.json()["data"]["nodes"].clone();
    ensure!(said.as_array().is_some_and(|said| said.len() == 1) && said[0]["explanation"]["variants"][0]["length"] == BYTES, "{said}");
    ensure!(!one.body.contains("secret"), "{one:?}");

    let url = format!("http://{HOST}/a");
    let told: Value = nodes[0].operator().json(&["zone", "explain"], &[&url, "--all", "--json"]).await?;
    ensure!(told[1]["explanation"]["verdict"] == "HIT" && told[1]["node"] == nodes[1].name(), "{told}");
    let shown = nodes[1].operator().run(&["zone", "explain"], &[&url]).await?;
    ensure!(shown.contains("HIT: it is fresh for another"), "{shown}");

    nodes[1].pause()?;
    let said = site.send(site.to(&nodes[0], Method::GET, &path, &token)).await;
    nodes[1].resume()?;
    let said = said?.expect(200, "what the others say")?.json()["data"]["nodes"].clone();
    ensure!(said[1]["answered"] == false && said[1]["node"] == nodes[1].name() && said[0]["answered"] == true, "{said}");

    // One request, and its bytes, in the books.
    wait::until(SETTLE, "what was served to be in the books", || async {
        let answer = site.get("/api/v2/metrics", &token).await?;
        let totals = &answer.json()["totals"];
        ensure!(totals["misses"] == 1 && totals["bytes_out"].as_u64() >= Some(BYTES as u64), "{totals}");
        Ok(())
    })
    .await?;
    let logs = site.get("/api/v2/logs?prefix=/a", &token).await?.expect(200, "the log")?.json();
    let line = logs["logs"].as_array().and_then(|lines| lines.iter().find(|line| line["path"] == "/a")).context("a line")?;
    ensure!(line["zone"]["id"] == uuid && line["zone"]["origin"] == origin && line["cache"] == "MISS", "{line}");
    site.cluster.shutdown().await
}

/// What each node says in a word, in the order of their ids, asked at one of them.
async fn verdicts(site: &Site, node: &Node, path: &str, token: &str) -> Result<Vec<String>> {
    let answer = site.send(site.to(node, Method::GET, path, token)).await?.expect(200, "an explanation")?;
    let nodes = answer.json()["data"]["nodes"].clone();
    let verdict = |said: &Value| said["explanation"]["verdict"].as_str().unwrap_or("none").to_owned();
    Ok(nodes.as_array().context("nodes")?.iter().map(verdict).collect())
}

async fn viewer(site: &Site, node: &Node, path: &str) -> Result<Answer> {
    site.send(site.bare(node, Method::GET, path).header("host", HOST)).await
}

/// An origin that is counted, and whose content stays fresh.
async fn origin(asked: Arc<AtomicUsize>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let answer = move || {
        asked.fetch_add(1, Ordering::SeqCst);
        async { ([(header::CACHE_CONTROL, "max-age=600")], vec![b'x'; BYTES]) }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/a", get(answer))).await });
    Ok(address)
}
