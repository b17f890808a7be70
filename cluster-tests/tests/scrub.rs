//! Damage that nobody reads is found all the same, reported while it lasts, and repaired.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Replication, Upload};
use cluster_tests::corrupt::{self, Part};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Entry};
use cluster_tests::{Cluster, Node, wait};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_reported_and_repaired() -> Result<()> {
    property("scrub", Limit::minutes(3, 4), scrub).await
}

async fn scrub(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).setting("storage", "scrub_age", "1s").start().await?;
    let api = cluster.api("scrub").await?;
    let mut rng = run.seed().rng("damage");
    // One slice: a copy is good, or it is of no use to anybody.
    let content = Content::new(run.seed(), 300_000);
    let upload = Upload::new("first", content.bytes()).key("first");
    let asset = api.at(cluster.node(0)).upload(&upload).await.done().context("upload")?;
    let entry = Entry { asset, content };
    status(&api, &cluster, &entry, "whole", |status| status.replicated && status.verified() == 3).await?;

    let damaged = cluster.node(1);
    let damage = corrupt::damage(&blob(damaged)?, &mut rng)?;
    // Nobody reads it, so that it is replaced says that it was found.
    wait::until(SETTLE, "a good copy", || async {
        ensure!(fs::read(blob(damaged)?)? == entry.content.bytes(), "not yet");
        Ok(())
    })
    .await
    .with_context(|| damage.to_string())?;
    status(&api, &cluster, &entry, "whole again", |status| status.replicated && status.verified() == 3).await?;
    run.say("one damaged copy was found and replaced");

    // Now every copy, so that it lasts: there is nothing to repair it from.
    for node in cluster.nodes() {
        node.stop().await?;
        corrupt::damage(&blob(node)?, &mut rng)?;
    }
    for node in cluster.nodes() {
        node.start()?;
    }
    for node in cluster.nodes() {
        node.ready(Duration::from_secs(60)).await?;
    }
    let all_damaged = |status: &Replication| !status.replicated && status.states().get("corrupt") == Some(&3);
    status(&api, &cluster, &entry, "damaged everywhere", all_damaged).await?;
    run.say("damage that cannot be repaired is in the status");

    // The same content comes in once more, and is what the others are repaired from.
    let again = Upload::new("second", entry.content.bytes()).key("second");
    api.at(cluster.node(2)).upload(&again).await.done().context("upload again")?;
    status(&api, &cluster, &entry, "whole at last", |status| status.replicated && status.verified() == 3).await?;
    for node in cluster.nodes() {
        ensure!(fs::read(blob(node)?)? == entry.content.bytes(), "{}", node.name());
        entry.readable_at(&api, node, Duration::from_secs(30)).await?;
    }
    cluster.converged(Duration::from_secs(60)).await?;
    cluster.shutdown().await
}

/// Waits until the status of an asset is as wanted.
async fn status(api: &Api, cluster: &Cluster, entry: &Entry, what: &str, is_so: impl Fn(&Replication) -> bool) -> Result<()> {
    let there = api.at(cluster.node(0));
    wait::until(SETTLE, what, || async {
        let replication = there.replication(&entry.asset.id).await.done().context("ask")?;
        ensure!(is_so(&replication), "{replication:?}");
        Ok(())
    })
    .await?;
    Ok(())
}

/// The file of the only blob that a node has.
fn blob(node: &Node) -> Result<PathBuf> {
    let mut files = corrupt::files(&node.data_dir(), Part::Data)?;
    ensure!(files.len() == 1, "{} has {files:?}", node.name());
    files.pop().context("one")
}

const SETTLE: Duration = Duration::from_secs(60);
