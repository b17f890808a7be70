//! A disk without room: an upload is refused as such (507), nothing of it stays, and the node goes on.

use anyhow::{Result, bail, ensure};
use cluster_tests::client::{Outcome, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Entry, Settler};
use cluster_tests::{Cluster, wait};
use std::fs;
use std::path::Path;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_uploads_and_nothing_else() -> Result<()> {
    property("disk_full", Limit::minutes(3, 5), disk_full).await
}

async fn disk_full(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).disk_faults(true).start().await?;
    let api = cluster.api("disk-full").await?;
    let node = cluster.follower().await?;
    let held = Content::new(run.seed().derive("held"), 1 << 20);
    let asset = api.at(&node).upload(&Upload::new("full/held", held.bytes()).key("held")).await.done()?;
    let held = Entry { asset, content: held };

    // The control plane has room: it needs little, and its own end of room is another test's affair.
    let disk = node.disk().except("/raft/").except("/state/");
    disk.full(true)?;
    let before = size_below(&node.data_dir())?;
    let content = Content::new(run.seed().derive("refused"), 4 << 20);
    let refused = Upload::new("full/refused", content.bytes()).key("refused");
    for attempt in 0..5 {
        let outcome = api.at(&node).upload(&refused.clone().key(format!("refused {attempt}"))).await;
        let Outcome::Rejected(problem) = &outcome else { bail!("a full disk must refuse: {outcome:?}") };
        ensure!(problem.status == 507, "{problem:?}");
        ensure!(problem.content_type.starts_with("application/problem+json") && !problem.code.is_empty(), "{problem:?}");
        ensure!(problem.request_id.is_some(), "{problem:?}");
    }
    ensure!(disk.hits() > 0, "no write met the full disk");
    let grown = size_below(&node.data_dir())?.saturating_sub(before);
    run.say(format_args!("refused five times; the data directory has grown by {grown} bytes"));
    ensure!(grown < 2 << 20, "{grown} bytes of refused uploads stay behind");
    for other in cluster.nodes() {
        let found = api.at(other).up_to_date().find("full/refused").await.done()?;
        ensure!(found.is_none(), "{} lists what was refused: {found:?}", other.name());
        held.readable_at(&api, other, Duration::from_secs(20)).await?;
    }

    // The others have room for two copies.
    let others: Vec<_> = cluster.nodes().iter().filter(|other| other.slot() != node.slot()).cloned().collect();
    let content = Content::new(run.seed().derive("elsewhere"), 2 << 20);
    let upload = Upload::new("full/elsewhere", content.bytes()).key("elsewhere");
    let asset = Settler::new(&api, &others, run.seed().rng("elsewhere")).upload(&upload).await?;
    let elsewhere = Entry { asset, content };

    disk.heal()?;
    let asset = wait::until(Duration::from_secs(30), "room again", || async { api.at(&node).upload(&refused).await.done() }).await?;
    let refused = Entry { asset, content: Content::new(run.seed().derive("refused"), 4 << 20) };
    for other in cluster.nodes() {
        for entry in [&held, &elsewhere, &refused] {
            entry.readable_at(&api, other, Duration::from_secs(30)).await?;
        }
    }
    cluster.converged(Duration::from_secs(60)).await?;
    cluster.shutdown().await
}

/// How many bytes the files below a directory have. Files come and go while this looks.
fn size_below(dir: &Path) -> Result<u64> {
    let mut size = 0;
    let Ok(entries) = fs::read_dir(dir) else { return Ok(0) };
    for entry in entries.flatten() {
        size += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_below(&entry.path())?,
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        };
    }
    Ok(size)
}
