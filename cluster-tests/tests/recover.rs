//! Two of three voters are gone for good: the survivor becomes a cluster of its own, and the others join it anew.
//!
//! What the survivor had acknowledged is there, what it never heard of is lost and said to be, a revision of the lost history is
//! refused as such, and a node of the old cluster that comes back from the dead is not listened to.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::{Api, Outcome, Revision, Upload};
use cluster_tests::cluster::Role;
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use cluster_tests::{Cluster, Node, wait};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_becomes_a_cluster_again() -> Result<()> {
    property("recover", Limit::minutes(5, 8), recover).await
}

/// What `ncore cluster recover --json` prints.
#[derive(Debug, Deserialize)]
struct Report {
    node: u64,
    base: String,
    lineage: u32,
    index: u64,
    unverified: u64,
    tail: Tail,
    removed: Vec<Removed>,
    kept: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Tail {
    choice: String,
    entries: u64,
    commands: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Removed {
    id: u64,
}

async fn recover(run: Run) -> Result<()> {
    let mut cluster = Cluster::builder().seed(run.seed()).setting("cluster", "request_deadline", "3s").start().await?;
    let api = cluster.api("recover").await?;
    let kept = Ledger::new();
    uploads(&run, &api, cluster.nodes(), "recover/kept", run.scaled(12, 200), &kept).await?;
    kept.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
    reported(&api, &cluster, &kept).await?;
    cluster.converged(Duration::from_secs(60)).await?;

    let survivor = cluster.follower().await?;
    let gone: Vec<Node> = cluster.nodes().iter().filter(|node| node.slot() != survivor.slot()).cloned().collect();
    let lost = behind_its_back(&run, &cluster, &api, &survivor, &gone).await?;
    let report = recover_from(&run, &survivor).await?;
    ensure!(report.removed.iter().map(|node| node.id).collect::<BTreeSet<_>>() == ids(&gone)?, "{report:?}");
    ensure!(report.lineage == 2 && report.node == survivor.id()? && report.unverified == 0, "{report:?}");

    survivor.start()?;
    survivor.ready(Duration::from_secs(60)).await?;
    let alone = std::slice::from_ref(&survivor);
    kept.readable_at(&api, alone, Duration::from_secs(30)).await.context("what the survivor had")?;
    kept.listed_once_at(&api, alone, "recover/").await.context("and nothing else")?;
    history(&api, &survivor, &report, lost).await?;
    let new = Ledger::new();
    uploads(&run, &api, alone, "after/alone", 5, &new).await?;
    ensure!(api.newest().is_some_and(|revision| revision.lineage == 2 && revision.index > report.index), "{:?}", api.newest());
    run.say("it takes changes");

    from_the_dead(&run, &cluster, &api, &survivor, &gone[0]).await?;
    gone.iter().for_each(|node| cluster.forget(node));
    for node in &gone {
        cluster.rejoin(node, Role::Voter).await.with_context(|| format!("{} joins anew", node.name()))?;
    }
    let voters = "all three to vote";
    wait::until(SETTLE, voters, || async {
        let status = cluster.status().await?;
        ensure!(status.voters() == 3 && status.has_settled_voters(), "{status:?}");
        Ok(())
    })
    .await?;
    uploads(&run, &api, cluster.nodes(), "after/three", 5, &new).await?;
    for ledger in [&kept, &new] {
        ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
    }
    kept.listed_once_at(&api, cluster.nodes(), "recover/").await?;
    new.listed_once_at(&api, cluster.nodes(), "after/").await?;
    cluster.converged(Duration::from_secs(60)).await?;
    history(&api, &gone[1], &report, lost).await.context("at a node that joined later")?;
    run.say("three nodes in the same state");

    // As safe as any cluster of three: the loss of one is borne.
    cluster.leader().await?.kill_9().await?;
    uploads(&run, &api, cluster.nodes(), "after/two", 2, &new).await?;
    cluster.shutdown().await
}

/// Waits until every node has said that it holds everything.
async fn reported(api: &Api, cluster: &Cluster, ledger: &Ledger) -> Result<()> {
    for entry in ledger.entries() {
        wait::until(SETTLE, "an asset to be replicated", || async {
            let asset = api.at(cluster.node(0)).asset(&entry.asset.id).await.done()?;
            ensure!(asset.replicated == Some(true), "{asset:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Changes that the survivor never hears of; then the others die. Gives the newest revision that is lost with them.
async fn behind_its_back(run: &Run, cluster: &Cluster, api: &Api, survivor: &Node, others: &[Node]) -> Result<Revision> {
    // What is merely held up on the way could still arrive.
    cluster.links().isolate(survivor.slot(), Cut::Refused);
    uploads(run, api, others, "recover/lost", 3, &Ledger::new()).await?;
    let lost = api.newest().context("uploads have revisions")?;
    for node in others {
        node.kill_9().await?;
    }
    let refused = survivor.operator().run(&["cluster", "recover"], &["--yes"]).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("running")), "recovered under a node that runs");
    let status = survivor.stop().await?;
    ensure!(status.success(), "{} ended with {status}", survivor.name());
    cluster.links().heal_all();
    run.say(format_args!("{} is left, without what led to {lost}", survivor.name()));
    Ok(lost)
}

async fn recover_from(run: &Run, survivor: &Node) -> Result<Report> {
    let undecided = survivor.operator().run(&["cluster", "recover"], &[]).await;
    ensure!(undecided.is_err_and(|error| error.to_string().contains("--yes")), "recovered without being told to");
    let report: Report = survivor.operator().json(&["cluster", "recover"], &["--yes", "--json"]).await?;
    run.say(format_args!("{report:?}"));
    ensure!(report.tail.choice == "dropped" && report.tail.entries >= report.tail.commands.values().sum(), "{report:?}");
    for part in ["raft", "state"] {
        ensure!(report.kept.join(part).is_dir(), "the old {part} was not kept in {}", report.kept.display());
    }
    Ok(report)
}

/// What was before the base is history, what was after it is lost, and the survivor says which is which.
async fn history(api: &Api, node: &Node, report: &Report, lost: Revision) -> Result<()> {
    let base: Revision = report.base.parse()?;
    ensure!(lost > base, "{lost} is not lost, the base is {base}");
    api.at(node).presenting(base).page("recover/", None).await.done().context("the base is known")?;
    for revision in [lost, Revision { index: base.index + 1, ..base }] {
        match api.at(node).presenting(revision).page("recover/", None).await {
            Outcome::Rejected(problem) if problem.code == "revision_lost" && problem.status == 409 => {}
            other => bail!("{revision} is lost, and {} answered {other:?}", node.name()),
        }
    }
    Ok(())
}

/// A node of the old cluster starts again with all that it had. Nobody listens to it, and it takes no changes.
async fn from_the_dead(run: &Run, cluster: &Cluster, api: &Api, survivor: &Node, dead: &Node) -> Result<()> {
    dead.start()?;
    wait::until(SETTLE, "it to be up", || dead.probe("/healthz")).await?;
    let short = api.clone().with_deadline(Duration::from_secs(4));
    let upload = Upload::new("after/undead", "from another history").key("undead");
    let taken = short.at(dead).upload(&upload).await;
    ensure!(!matches!(taken, Outcome::Ok(_)), "a node of the lost history took a change: {taken:?}");
    let status = survivor.operator().status().await?;
    ensure!(status.nodes.iter().all(|node| node.name != dead.name()), "{status:?}");
    ensure!(cluster.leader_among(std::slice::from_ref(survivor)).await?.slot() == survivor.slot());
    dead.kill_9().await?;
    run.say(format_args!("{} came back from the dead, and was not listened to", dead.name()));
    Ok(())
}

async fn uploads(run: &Run, api: &Api, nodes: &[Node], prefix: &str, count: usize, ledger: &Ledger) -> Result<()> {
    let mut settler = Settler::new(api, nodes, run.seed().rng(prefix));
    for number in 0..count {
        let path = format!("{prefix}/{number}");
        let content = Content::new(run.seed().derive(&path), 1_000 + number * 50_000);
        let asset = settler.upload(&Upload::new(&path, content.bytes()).key(&path)).await?;
        ledger.note(asset, &path, content)?;
    }
    Ok(())
}

fn ids(nodes: &[Node]) -> Result<BTreeSet<u64>> {
    nodes.iter().map(Node::id).collect()
}

const SETTLE: Duration = Duration::from_secs(30);
