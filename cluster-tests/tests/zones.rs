//! A zone is made at one node and is there at every other, for its owner and for nobody else; a purge of it has a place in the log, and every
//! node has applied it when it is answered; and both outlive a node that is killed.

use anyhow::{Result, ensure};
use cluster_tests::client::Answer;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::site::{SETTLE, Site};
use cluster_tests::{Cluster, wait};
use reqwest::Method;
use serde_json::{Value, json};

/// The schema level that zones need.
const LEVEL: u32 = 8;
const SCOPES: &str = "zones:read zones:write cache:purge";
const ZONES: &str = "/api/v1/zones";

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_at_every_node_and_its_owner_s_alone() -> Result<()> {
    property("zones", Limit::minutes(3, 6), zones).await
}

async fn zones(run: Run) -> Result<()> {
    let site =
        Site::of(Cluster::builder().seed(run.seed()).edges("eu-ams", 1).setting("zones", "suffix", "edge.test").start().await?).await?;
    wait::until(SETTLE, "the schema level of zones", || async {
        let level = site.cluster.status().await?.schema_level;
        ensure!(level >= LEVEL, "it is {level}");
        Ok(())
    })
    .await?;
    let register =
        |name: &str| json!({ "name": name, "scopes": SCOPES.split(' ').collect::<Vec<_>>(), "plan": { "name": "small", "zones": 1 } });
    let (owner, other) = (site.register(&register("owner")).await?, site.register(&register("other")).await?);
    let (mine, theirs) = (site.token(&owner, SCOPES).await?, site.token(&other, SCOPES).await?);

    let wanted = json!({ "origin_url": "https://origin.test", "custom_domains": ["static.test"] });
    let zone = ask(&site, Method::POST, ZONES, &mine, &wanted).await?.expect(201, "a zone")?.json()["data"].clone();
    let path = format!("{ZONES}/{}", zone["uuid"].as_str().unwrap_or_default());
    ensure!(zone["cdn_hostname"].as_str().is_some_and(|host| host.ends_with(".edge.test")), "{zone}");
    for answer in site.everywhere(&path, &mine).await? {
        ensure!(answer.status == 200 && answer.json()["data"] == zone, "{answer:?}");
    }
    for answer in site.everywhere(&path, &theirs).await? {
        ensure!(answer.status == 404 && answer.json() == json!({ "message": "Not Found." }), "{answer:?}");
    }
    // A name is one zone's in the cluster, and a plan is kept.
    let refused = ask(&site, Method::POST, ZONES, &theirs, &wanted).await?.expect(422, "the host of another")?;
    ensure!(refused.json()["errors"]["custom_domains"].is_array(), "{refused:?}");
    let refused =
        ask(&site, Method::POST, ZONES, &mine, &json!({ "origin_url": "https://origin.test" })).await?.expect(422, "one too many")?;
    ensure!(refused.json()["errors"]["zones"].is_array(), "{refused:?}");

    let purge = site.ask(Method::POST, &format!("{path}/purge"), &mine).header("Prefer", "ack=all");
    let purge = site.send(purge.json(&json!({ "type": "path", "paths": ["/a.png", "/img/*"] }))).await?.expect(202, "a purge")?;
    ensure!(purge.header("x-ncore-ack") == "all", "{purge:?}");
    let purge = purge.json()["data"].clone();
    let purged = format!("{path}/purge/{}", purge["id"].as_str().unwrap_or_default());
    for answer in site.everywhere(&purged, &mine).await? {
        let data = &answer.json()["data"];
        let nodes = data["edge_statuses"].as_object().map_or(0, serde_json::Map::len);
        ensure!(data["status"] == "completed" && nodes == site.cluster.nodes().len(), "{answer:?}");
    }

    let victim = site.cluster.node(1);
    victim.kill_9().await?;
    victim.start()?;
    victim.ready(SETTLE).await?;
    wait::until(SETTLE, "the node to be as before", || async {
        let answer = site.send(site.to(victim, Method::GET, &purged, &mine)).await?;
        ensure!(answer.status == 200 && answer.json()["data"]["paths"] == purge["paths"], "{answer:?}");
        Ok(())
    })
    .await?;

    let delete = site.send(site.ask(Method::DELETE, &path, &mine).header("Prefer", "ack=all")).await?.expect(204, "a removal")?;
    ensure!(delete.header("x-ncore-ack") == "all", "{delete:?}");
    for answer in site.everywhere(&path, &mine).await? {
        ensure!(answer.status == 404, "{answer:?}");
    }
    ask(&site, Method::POST, ZONES, &theirs, &wanted).await?.expect(201, "the host is free")?;
    site.cluster.converged(SETTLE).await?;
    site.cluster.shutdown().await
}

async fn ask(site: &Site, method: Method, path: &str, token: &str, body: &Value) -> Result<Answer> {
    site.send(site.ask(method, path, token).json(body)).await
}
