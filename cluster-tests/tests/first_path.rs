//! The first thing a user does: push a large file at one node, fetch it from the others.
//!
//! Promises 1, 2 and 7 on the easiest day there is: the bytes are the same everywhere, and the API says when every node
//! holds a verified copy.

use anyhow::{Context as _, Result, anyhow, ensure};
use cluster_tests::client::Upload;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger};
use cluster_tests::{Cluster, wait};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_everywhere_and_verified() -> Result<()> {
    property("first_path", Limit::minutes(2, 2), first_path).await
}

async fn first_path(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    run.say("three nodes are ready");
    let api = cluster.api("first-path").await?;
    let content = Content::new(run.seed(), 48 << 20);
    let upload = Upload::new("first/path.webm", content.bytes()).key("first");

    let start = Instant::now();
    let asset = api.at(cluster.node(0)).upload(&upload).await.done().context("upload 48 MiB")?;
    let acknowledged = Instant::now();
    run.say(format_args!("201 after {:.2?}", acknowledged - start));
    ensure!(asset.sha256.as_deref() == Some(&*content.sha256()), "{asset:?}");

    let there = api.at(cluster.node(2));
    let replication = wait::until(Duration::from_secs(60), "three verified copies", || async {
        let replication = there.replication(&asset.id).await.done().map_err(|error| anyhow!(error))?;
        ensure!(replication.replicated && replication.verified() == 3, "{replication:?}");
        Ok(replication)
    })
    .await?;
    run.say(format_args!("{:.2} s from 201 to replicated", acknowledged.elapsed().as_secs_f64()));
    ensure!(replication.asset_id == asset.id && replication.nodes.len() == 3, "{replication:?}");
    let described = there.asset(&asset.id).await.done()?;
    ensure!(described.replicated == Some(true), "replicated by one endpoint and not by the other: {described:?}");

    let ledger = Ledger::new();
    ledger.note(asset, upload.path(), content)?;
    ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(20)).await?;
    for node in cluster.nodes() {
        // Across the boundary of a slice, and the last byte.
        for range in [(1 << 20) - 3..(1 << 20) + 5, content.size() as u64 - 1..content.size() as u64] {
            let part = api.at(node).get_range(upload.path(), range.clone()).await.done()?;
            let expected = upload.content().slice(usize::try_from(range.start)?..usize::try_from(range.end)?);
            ensure!(part.status == 206 && part.bytes == expected, "{range:?} at {}: status {}", node.name(), part.status);
        }
    }
    cluster.converged(Duration::from_secs(20)).await?;
    cluster.shutdown().await
}
