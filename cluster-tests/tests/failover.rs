//! A change that is asked for while the leader is gone is done as soon as another leads.
//!
//! Whoever waits for the old leader's answer must not wait any longer than for the new one: not for a connection that was reset,
//! and not for one that is open and silent.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::Upload;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_the_next_leader_and_no_longer() -> Result<()> {
    property("failover", Limit::minutes(4, 8), failover).await
}

/// How the leader goes.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Its connections are reset, and new ones are refused.
    Killed,
    /// Its connections stay open, and nothing comes over them.
    Paused,
}

async fn failover(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("failover").await?;
    for (number, end) in [End::Killed, End::Paused].into_iter().cycle().take(run.scaled(4, 20)).enumerate() {
        let content = Content::new(run.seed().derive(&format!("{number}")), 1_000);
        let asset = api.at(cluster.node(0)).upload(&Upload::new(format!("failover/{number}"), content.bytes())).await.done()?;
        cluster.converged(Duration::from_secs(60)).await?;
        let leader = cluster.leader().await?;
        let follower = cluster.follower().await?;
        // The token and the connection are there before.
        api.at(&follower).asset(&asset.id).await.done()?;

        match end {
            End::Killed => leader.kill_9().await?,
            End::Paused => leader.pause()?,
        }
        let gone = Instant::now();
        let change = async {
            api.at(&follower).delete(&asset.id).await.done()?;
            Ok::<_, anyhow::Error>(gone.elapsed())
        };
        let election = async {
            another_leads(&follower, &leader).await?;
            Ok::<_, anyhow::Error>(gone.elapsed())
        };
        let (changed, elected) = tokio::try_join!(change, election)?;
        run.say(format_args!("{end:?}: another leads after {elected:.2?}, the change is done after {changed:.2?}"));
        ensure!(changed < elected + SLACK, "{end:?}: done {:.2?} after another led", changed.saturating_sub(elected));

        match end {
            End::Killed => leader.start()?,
            End::Paused => leader.resume()?,
        }
        leader.ready(Duration::from_secs(60)).await?;
    }
    cluster.shutdown().await
}

/// Waits until `node` knows a leader that is not `old`. Asked often, and of the node alone: it has to know at once.
async fn another_leads(node: &Node, old: &Node) -> Result<()> {
    let (url, old) = (format!("{}/metrics", node.url()), old.id()?);
    wait::until(Duration::from_secs(30), "another leader", || async {
        let figures = reqwest::get(&url).await?.text().await?;
        let leader = figures.lines().find_map(|line| line.strip_prefix("ncore_raft_leader "));
        let leader: u64 = leader.context("no such figure")?.trim().parse()?;
        ensure!(leader != 0 && leader != old, "it names {leader}");
        Ok(())
    })
    .await?;
    Ok(())
}

/// What a change may take once another leads. A healthy cluster needs some milliseconds; the machine may be busy.
const SLACK: Duration = Duration::from_secs(1);
