//! Nodes that do not vote: they follow hubs, come to the same state, and do everything that a voter does for users.
//!
//! Three voters, two relays and six edges. While clients upload, at any node, hubs are killed: relays, voters, the leader, and edges
//! too. Afterwards every node has the same state and serves every acknowledged asset, each asset's replication counts all of them,
//! and edges are still no members of Raft.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Outcome, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use rand::RngExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn edges_come_to_the_same_state_whatever_hub_dies() -> Result<()> {
    property("edges", Limit::minutes(6, 25), edges).await
}

async fn edges(run: Run) -> Result<()> {
    let cluster = Cluster::builder().relays("eu-ams", 1).edges("eu-ams", 3).relays("us-nyc", 1).edges("us-nyc", 3);
    let cluster = cluster.seed(run.seed()).start().await?;
    let (voters, others) = cluster.nodes().split_at(3);
    settled(&cluster, others).await.context("before the kills")?;
    let api = cluster.api("edges").await?;
    let ledger = Ledger::new();
    let over = AtomicBool::new(false);

    let clients = (0..CLIENTS).map(|client| upload(&run, &api, cluster.nodes(), &ledger, client, &over));
    let kills = async {
        let result = kill(&run, &cluster, voters, others, &ledger).await;
        over.store(true, Ordering::Relaxed);
        result
    };
    let (_, ()) = tokio::try_join!(try_join_all(clients), kills)?;
    run.say(format_args!("{} uploads acknowledged", ledger.len()));

    cluster.converged(Duration::from_secs(90)).await?;
    settled(&cluster, others).await.context("after the kills")?;
    ledger.listed_once_at(&api, cluster.nodes(), "edges/").await?;
    ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(90)).await?;
    counts_everybody(&api, &cluster, &ledger).await?;
    let state = cluster.converged(Duration::from_secs(30)).await?;
    run.say(format_args!("all nodes are in state {state}"));
    cluster.shutdown().await
}

/// Uploads at nodes chosen at random, one after the other, until the kills are over.
async fn upload(run: &Run, api: &Api, nodes: &[Node], ledger: &Ledger, client: usize, over: &AtomicBool) -> Result<()> {
    let seed = run.seed().derive(&format!("client {client}"));
    let api = api.clone().with_own_token();
    let mut settler = Settler::new(&api, nodes, seed.rng("nodes"));
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("edges/{client}/{number}");
        let content = Content::new(seed.derive(&path), 10_000);
        let upload = Upload::new(&path, content.bytes()).key(format!("{}-{path}", run.seed()));
        ledger.note(settler.upload(&upload).await?, &path, content)?;
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// Kills nodes one at a time, those that feed others twice as often as the rest. Uploads go on while each is away.
async fn kill(run: &Run, cluster: &Cluster, voters: &[Node], others: &[Node], ledger: &Ledger) -> Result<()> {
    let mut choice = run.seed().rng("victims");
    for _ in 0..run.scaled(6, 60) {
        let victim = match choice.random_range(0..6) {
            0 | 1 => others[if choice.random() { 0 } else { 4 }].clone(),
            2 => cluster.leader().await?,
            3 => voters[choice.random_range(0..voters.len())].clone(),
            _ => others[choice.random_range(0..others.len())].clone(),
        };
        victim.kill_9().await?;
        let before = ledger.len();
        run.say(format_args!("kill -9 {} at {before} uploads", victim.name()));
        wait::until(Duration::from_secs(90), "uploads to go on", || async {
            let done = ledger.len();
            if done >= before + 6 { Ok(()) } else { Err(format!("{done} after {before} acknowledged")) }
        })
        .await?;
        victim.start()?;
        victim.ready(Duration::from_secs(60)).await?;
    }
    Ok(())
}

/// Waits until every node that does not vote follows a hub, is fresh, and is not a member of Raft.
async fn settled(cluster: &Cluster, others: &[Node]) -> Result<()> {
    wait::until(Duration::from_secs(60), "edges to follow and to be fresh", || async {
        let status = cluster.status().await?;
        for node in others {
            let seen = status.node(node.name()).with_context(|| format!("{} is not in {status:?}", node.name()))?;
            ensure!(seen.role == "edge" && !seen.is_voter(), "{} is a {}", node.name(), seen.role);
            ensure!(seen.parent.is_some() && (1..=2).contains(&seen.depth), "{} follows nobody: {seen:?}", node.name());
            ensure!(seen.freshness.as_deref() == Some("fresh"), "{} is {:?}", node.name(), seen.freshness);
        }
        ensure!(status.voters() == 3, "{} voters", status.voters());
        Ok(())
    })
    .await?;
    Ok(())
}

/// Of the last asset of each client, every node of the cluster is reported to have a verified copy.
async fn counts_everybody(api: &Api, cluster: &Cluster, ledger: &Ledger) -> Result<()> {
    let entry = ledger.entries().pop().context("nothing was uploaded")?;
    wait::until(Duration::from_secs(60), "every node to hold it", || async {
        match api.at(&cluster.nodes()[5]).replication(&entry.asset.id).await {
            Outcome::Ok(replication) => {
                ensure!(replication.replicated, "{replication:?}");
                ensure!(replication.nodes.len() == cluster.nodes().len(), "{replication:?}");
                Ok(())
            }
            other => Err(anyhow::anyhow!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

const CLIENTS: usize = 4;
const PACE: Duration = Duration::from_millis(100);
