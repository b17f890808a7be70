//! Leadership goes to the voter that is nearest to a majority, and stays there.
//!
//! Two voters are near to each other, the third is far from both. When the third leads, every change waits for a long way; soon one of the
//! others leads, by itself, and no change is lost on the way.

use anyhow::{Result, ensure};
use cluster_tests::client::Upload;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, wait};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_to_the_voter_that_is_nearest_to_a_majority() -> Result<()> {
    property("near_leader", Limit::minutes(4, 10), near_leader).await
}

async fn near_leader(run: Run) -> Result<()> {
    let settle = Duration::from_secs(10);
    let cluster = Cluster::builder().setting("cluster", "leader_settle", "10s").setting("cluster", "heartbeat", "250ms");
    let cluster = cluster.setting("cluster", "election_min", "500ms").setting("cluster", "election_max", "800ms");
    let cluster = cluster.seed(run.seed()).start().await?;
    let api = cluster.api("near-leader").await?;
    cluster.distances(|from, to| Duration::from_millis(if [from, to].contains(&"ap-sin") { 90 } else { 10 }));
    let far = cluster.node(2).clone();
    for round in 0..run.scaled(1, 5) {
        wait::until(PATIENCE, "the far voter to lead", || async {
            cluster.node(0).operator().member("transfer-leader", far.id()?).await?;
            let leader = cluster.leader().await?;
            ensure!(leader.slot() == far.slot(), "{} leads", leader.name());
            Ok(())
        })
        .await?;
        let since = Instant::now();
        wait::until(PATIENCE, "a near voter to lead", || async {
            let leader = cluster.leader().await?;
            ensure!(leader.slot() != far.slot(), "{} leads", leader.name());
            Ok(())
        })
        .await?;
        let moved = since.elapsed();
        run.say(format_args!("a near voter leads after {moved:.2?}"));
        ensure!(moved > settle / 2, "it did not wait to see whether that lasts");
        let content = Content::new(run.seed().derive(&format!("{round}")), 1_000);
        api.at(cluster.node(1)).upload(&Upload::new(format!("near/{round}"), content.bytes())).await.done()?;
        wait::throughout(settle * 2, || async {
            ensure!(cluster.leader().await?.slot() != far.slot(), "it leads again");
            Ok(())
        })
        .await?;
    }
    cluster.links().heal_all();
    cluster.converged(PATIENCE).await?;
    cluster.shutdown().await
}

const PATIENCE: Duration = Duration::from_secs(90);
