//! Assets are held where the operator wants them, and can be read everywhere.
//!
//! Four nodes of three regions. What a rule names holds an asset, by the status and on the disk, and nothing else does in the
//! end: also where an asset came in by a node that is not named, and when a rule changes. Every node serves every asset all along,
//! also while a node that holds it is down.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Upload};
use cluster_tests::corrupt::{self, Part};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Entry};
use cluster_tests::{Cluster, Node, wait};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_where_they_are_wanted() -> Result<()> {
    property("placement", Limit::minutes(4, 6), placement).await
}

async fn placement(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).edges("eu-ams", 1).setting("storage", "grace", "1s").start().await?;
    let operator = cluster.node(0).operator();
    let credentials = wait::until(SETTLE, "a client", || operator.add_client("placement")).await?;
    let client = credentials.client_id.clone();
    let api = Api::new(credentials)?;
    for node in cluster.nodes() {
        let there = api.at(node);
        wait::until(SETTLE, "the client to be known", || there.log_in()).await?;
    }

    place(&cluster, &client, "two/", &["--copies", "2"]).await?;
    place(&cluster, &client, "eu/", &["--region", "eu-ams"]).await?;
    let mut two = Vec::new();
    let mut europe = Vec::new();
    for number in 0..8 {
        two.push(asset(&run, &api, cluster.node(number % 4), &format!("two/{number}")).await?);
    }
    for number in 0..3 {
        // By the node in New York, which is not to keep it.
        europe.push(asset(&run, &api, cluster.node(1), &format!("eu/{number}")).await?);
    }
    let everywhere = asset(&run, &api, cluster.node(2), "all").await?;
    let all: Vec<&Entry> = two.iter().chain(&europe).chain([&everywhere]).collect();
    for entry in &two {
        let held = held_by(&api, &cluster, entry).await?;
        let regions: BTreeSet<&str> = held.iter().map(|node| node.region()).collect();
        ensure!(held.len() == 2 && regions.len() == 2, "two copies in two regions: {held:?}");
    }
    for entry in &europe {
        let held = held_by(&api, &cluster, entry).await?;
        ensure!(held.len() == 2 && held.iter().all(|node| node.region() == "eu-ams"), "the nodes of Europe: {held:?}");
    }
    ensure!(held_by(&api, &cluster, &everywhere).await?.len() == 4, "without a rule every node holds it");
    only_there(&api, &cluster, &all).await?;
    readable(&api, &cluster, &all).await?;
    only_there(&api, &cluster, &all).await.context("after every node was read")?;
    run.say("everything is where it is wanted, and can be read everywhere");

    place(&cluster, &client, "two/", &["--region", "us-nyc"]).await?;
    for entry in &two {
        let held = held_by(&api, &cluster, entry).await?;
        ensure!(held.len() == 1 && held[0].region() == "us-nyc", "the node in New York: {held:?}");
    }
    only_there(&api, &cluster, &all).await?;
    readable(&api, &cluster, &all).await?;
    run.say("everything has moved");

    place(&cluster, &client, "two/", &["--copies", "2"]).await?;
    let held = held_by(&api, &cluster, &two[0]).await?;
    only_there(&api, &cluster, &all).await?;
    let lost = held.first().context("a holder")?;
    lost.kill_9().await?;
    for node in cluster.nodes().iter().filter(|node| node.slot() != lost.slot()) {
        two[0].readable_at(&api, node, Duration::from_secs(30)).await.context("while a node that holds it is down")?;
    }
    lost.start()?;
    lost.ready(Duration::from_secs(60)).await?;

    place(&cluster, &client, "eu/", &["--region", "mars", "--copies", "1"]).await?;
    let rules: Vec<Rule> = operator.json(&["placement", "list"], &["--json"]).await?;
    let fits: Vec<(&str, &str)> = rules.iter().map(|rule| (rule.prefix.as_str(), rule.fit.as_str())).collect();
    ensure!(fits == [("eu/", "no_node_in_regions"), ("two/", "met")], "{rules:?}");
    for prefix in ["eu/", "two/"] {
        operator.run(&["placement", "remove"], &[&client, "--prefix", prefix]).await?;
    }
    for entry in &all {
        ensure!(held_by(&api, &cluster, entry).await?.len() == 4, "{} is to be everywhere again", entry.asset.path);
    }
    only_there(&api, &cluster, &all).await?;
    cluster.converged(Duration::from_secs(60)).await?;
    cluster.shutdown().await
}

/// What `ncore placement list --json` prints of a rule.
#[derive(Debug, Deserialize)]
struct Rule {
    prefix: String,
    fit: String,
}

async fn place(cluster: &Cluster, client: &str, prefix: &str, policy: &[&str]) -> Result<()> {
    let operator = cluster.node(0).operator();
    let arguments = [&[client, "--prefix", prefix], policy].concat();
    // The level of the state rises by itself, once every node can apply it.
    wait::until(SETTLE, "a rule to be set", || operator.run(&["placement", "set"], &arguments)).await?;
    Ok(())
}

/// The nodes that must hold an asset, once all of them do.
async fn held_by(api: &Api, cluster: &Cluster, entry: &Entry) -> Result<Vec<Node>> {
    let there = api.at(cluster.node(0));
    let what = format!("{} to be replicated", entry.asset.path);
    let replication = wait::until(SETTLE, &what, || async {
        let replication = there.replication(&entry.asset.id).await.done().context("ask")?;
        ensure!(replication.replicated, "{replication:?}");
        Ok(replication)
    })
    .await?;
    let mut held = Vec::new();
    for node in cluster.nodes() {
        let holding = replication.holding(node.name(), node.id()?).context("a node is missing")?;
        match holding.state.as_str() {
            "verified" => held.push(node.clone()),
            "not_placed" => {}
            other => anyhow::bail!("{other} at {}, although it is replicated", node.name()),
        }
    }
    Ok(held)
}

/// Waits until each node has as many blobs on its disk as there are assets that it must hold. No two have the same content.
async fn only_there(api: &Api, cluster: &Cluster, entries: &[&Entry]) -> Result<()> {
    let mut expected = vec![0; cluster.nodes().len()];
    for entry in entries {
        for node in held_by(api, cluster, entry).await? {
            expected[node.slot()] += 1;
        }
    }
    wait::until(SETTLE, "surplus copies to go", || async {
        for node in cluster.nodes() {
            let files = corrupt::files(&node.data_dir(), Part::Data)?.len();
            ensure!(files == expected[node.slot()], "{} has {files} blobs, and must hold {}", node.name(), expected[node.slot()]);
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// All of every asset, and a part of it, at every node.
async fn readable(api: &Api, cluster: &Cluster, entries: &[&Entry]) -> Result<()> {
    for node in cluster.nodes() {
        for entry in entries {
            entry.readable_at(api, node, Duration::from_secs(30)).await?;
            let (from, to) = (entry.content.size() / 3, entry.content.size() / 2);
            let part = api.at(node).get_range(&entry.asset.path, from as u64..to as u64).await.done()?;
            ensure!(part.bytes == entry.content.bytes()[from..to], "a part of {} at {}", entry.asset.path, node.name());
        }
    }
    Ok(())
}

async fn asset(run: &Run, api: &Api, node: &Node, path: &str) -> Result<Entry> {
    let content = Content::new(run.seed().derive(path), 1_500_000);
    let asset =
        api.at(node).upload(&Upload::new(path, content.bytes()).key(path)).await.done().with_context(|| format!("upload {path}"))?;
    Ok(Entry { asset, content })
}

const SETTLE: Duration = Duration::from_secs(60);
