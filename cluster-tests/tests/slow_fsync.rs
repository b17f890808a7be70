//! Slow disks make the cluster slow, not wrong: no needless elections, no lost uploads, and the work of many clients
//! shares syncs.

use anyhow::{Result, ensure};
use cluster_tests::Cluster;
use cluster_tests::client::Upload;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn slow_disks_only_slow_things_down() -> Result<()> {
    property("slow_fsync", Limit::minutes(3, 5), slow_fsync).await
}

async fn slow_fsync(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).disk_faults(true);
    let cluster = cluster.setting("cluster", "election_min", "900ms").setting("cluster", "election_max", "1500ms").start().await?;
    let api = cluster.api("slow").await?;
    let ledger = Ledger::new();
    let leader = cluster.leader().await?;
    let fast = uploads(&run, &cluster, &api, &ledger, "fast").await?;
    for node in cluster.nodes() {
        node.disk().slow_fsync(DELAY)?;
    }
    let slow = uploads(&run, &cluster, &api, &ledger, "slow").await?;
    run.say(format_args!("{UPLOADS} uploads: {fast:.2?} with fast disks, {slow:.2?} with {DELAY:?} for each sync"));
    ensure!(slow >= DELAY, "faster than a single sync");
    ensure!(cluster.nodes().iter().all(|node| node.disk().hits() > 0), "a node did not sync at all");
    let still = cluster.leader().await?;
    ensure!(still.slot() == leader.slot(), "slow disks have cost {} the lead", leader.name());
    for node in cluster.nodes() {
        node.disk().heal()?;
    }
    ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(30)).await?;
    cluster.converged(Duration::from_secs(30)).await?;
    cluster.shutdown().await
}

/// Some uploads from several clients at once, and how long they took.
async fn uploads(run: &Run, cluster: &Cluster, api: &cluster_tests::client::Api, ledger: &Ledger, name: &str) -> Result<Duration> {
    let start = Instant::now();
    let clients = (0..CLIENTS).map(|client| async move {
        let seed = run.seed().derive(&format!("{name} {client}"));
        let mut settler = Settler::new(api, cluster.nodes(), seed.rng("nodes"));
        for number in 0..UPLOADS / CLIENTS {
            let path = format!("{name}/{client}/{number}");
            let content = Content::new(seed.derive(&path), 50_000);
            let asset = settler.upload(&Upload::new(&path, content.bytes()).key(&path)).await?;
            ledger.note(asset, &path, content)?;
        }
        anyhow::Ok(())
    });
    try_join_all(clients).await?;
    Ok(start.elapsed())
}

const CLIENTS: usize = 8;
const UPLOADS: usize = 64;
/// A bad disk, and a twelfth of the time after which a leader is missed: that is three times what it is by default, so that a busy machine is
/// no reason for an election.
const DELAY: Duration = Duration::from_millis(75);
