//! A node joins, votes, leads, loses its vote and gets it back, is drained and removed, and does not come back.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::{Api, Outcome, Upload};
use cluster_tests::cluster::Role;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Entry, Settler};
use cluster_tests::{Cluster, Node, wait};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_and_goes() -> Result<()> {
    property("membership", Limit::minutes(4, 6), membership).await
}

async fn membership(run: Run) -> Result<()> {
    let mut cluster = Cluster::builder().seed(run.seed()).spare("us-sfo").start().await?;
    let api = cluster.api("membership").await?;
    let before = asset(&run, &api, cluster.nodes(), "before").await?;

    let fourth = cluster.join(Role::Edge).await?;
    ensure!(!is_voter(&cluster, &fourth).await?, "it votes without having been asked to");
    run.say(format_args!("{} has joined as {}", fourth.name(), fourth.id()?));
    before.readable_at(&api, &fourth, Duration::from_secs(30)).await.context("what was there before it")?;
    let at_fourth = asset(&run, &api, std::slice::from_ref(&fourth), "at-fourth").await?;

    operate(&cluster, "promote", &fourth).await?;
    votes(&cluster, &fourth, true).await?;
    operate(&cluster, "transfer-leader", &fourth).await?;
    wait::until(SETTLE, "it to lead", || async {
        let leader = cluster.leader().await?;
        ensure!(leader.slot() == fourth.slot(), "{} leads", leader.name());
        Ok(())
    })
    .await?;
    let led = asset(&run, &api, cluster.nodes(), "led-by-fourth").await?;
    run.say("it votes and leads");

    let heir = cluster.node(0).clone();
    operate(&cluster, "transfer-leader", &heir).await?;
    wait::until(SETTLE, "another to lead", || async {
        let leader = cluster.leader().await?;
        ensure!(leader.slot() != fourth.slot(), "it still leads");
        Ok(())
    })
    .await?;
    operate(&cluster, "demote", &fourth).await?;
    votes(&cluster, &fourth, false).await?;
    wait::throughout(Duration::from_secs(3), || async {
        ensure!(!is_voter(&cluster, &fourth).await?, "it votes although an operator took its vote");
        Ok(())
    })
    .await?;
    operate(&cluster, "promote", &fourth).await?;
    votes(&cluster, &fourth, true).await?;
    run.say("it was demoted and promoted");
    operate(&cluster, "drain", &fourth).await?;
    operate(&cluster, "remove", &fourth).await?;
    cluster.forget(&fourth);
    let after = asset(&run, &api, cluster.nodes(), "after").await?;
    run.say("it is removed");

    is_cut_off(&run, &api, &fourth, &after).await.context("right after the removal")?;
    if fourth.pid().is_some() {
        fourth.kill_9().await?;
    }
    fourth.start()?;
    is_cut_off(&run, &api, &fourth, &after).await.context("after a restart")?;
    ensure!(!is_voter(&cluster, &fourth).await?, "it votes again");

    // Three voters are left, so the loss of one is borne.
    cluster.leader().await?.kill_9().await?;
    let last = asset(&run, &api, cluster.nodes(), "last").await?;
    for node in cluster.nodes() {
        if node.pid().is_none() {
            node.start()?;
            node.ready(Duration::from_secs(60)).await?;
        }
    }
    for entry in [&before, &at_fourth, &led, &after, &last] {
        for node in cluster.nodes() {
            entry.readable_at(&api, node, Duration::from_secs(30)).await?;
        }
    }
    if fourth.pid().is_some() {
        fourth.kill_9().await?;
    }
    cluster.converged(Duration::from_secs(60)).await?;
    cluster.shutdown().await
}

/// For some seconds: the node takes no write, and learns of nothing that happened after its removal.
async fn is_cut_off(run: &Run, api: &Api, node: &Node, after: &Entry) -> Result<()> {
    let api = api.clone().with_deadline(Duration::from_secs(3));
    let key = format!("{}-removed", run.seed());
    let upload = Upload::new("members/removed", "from a node that is not one").key(key);
    wait::throughout(Duration::from_secs(5), || async {
        if let Outcome::Ok(asset) = api.at(node).upload(&upload).await {
            bail!("a removed node took a write: {asset:?}");
        }
        if let Outcome::Ok(download) = api.at(node).get(&after.asset.path).await {
            bail!("a removed node serves what was uploaded after its removal ({} bytes)", download.bytes.len());
        }
        Ok(())
    })
    .await
}

/// Whether the others count a node among the voters.
async fn is_voter(cluster: &Cluster, node: &Node) -> Result<bool> {
    Ok(cluster.status().await?.node(node.name()).is_some_and(cluster_tests::cluster::NodeStatus::is_voter))
}

/// Waits until the node that is asked knows what was done at the leader.
async fn votes(cluster: &Cluster, node: &Node, votes: bool) -> Result<()> {
    let what = if votes { "it to vote" } else { "it to vote no more" };
    wait::until(SETTLE, what, || async { (is_voter(cluster, node).await? == votes).then_some(()).context("not yet") }).await?;
    Ok(())
}

/// Runs a membership command at a node that is not the one concerned, until it is done.
async fn operate(cluster: &Cluster, verb: &str, node: &Node) -> Result<()> {
    let at = cluster.node(usize::from(node.slot() == 0)).operator();
    let id = node.id()?;
    wait::until(SETTLE, &format!("`cluster {verb}` of {}", node.name()), || at.member(verb, id)).await?;
    Ok(())
}

async fn asset(run: &Run, api: &Api, nodes: &[Node], name: &str) -> Result<Entry> {
    let path = format!("members/{name}");
    let content = Content::new(run.seed().derive(&path), 300_000);
    let upload = Upload::new(&path, content.bytes()).key(&path);
    let asset = Settler::new(api, nodes, run.seed().rng(name)).upload(&upload).await.with_context(|| format!("upload {path}"))?;
    Ok(Entry { asset, content })
}

const SETTLE: Duration = Duration::from_secs(30);
