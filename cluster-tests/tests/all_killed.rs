//! The power fails everywhere at once.
//!
//! All nodes are killed within a millisecond while uploads are under way, and started again. Nothing acknowledged may
//! be lost, uploads without an answer can be settled with the same key, and the cluster works again (promises 1 and 9).

use anyhow::Result;
use cluster_tests::client::{Api, Outcome, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler, log_uniform};
use cluster_tests::{Cluster, wait};
use futures_util::future::{join_all, try_join_all};
use rand::RngExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_all_nodes_die() -> Result<()> {
    property("all_killed", Limit::minutes(4, 15), all_killed).await
}

async fn all_killed(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("all-killed").await?;
    let ledger = Ledger::new();
    for round in 0..run.scaled(2, 10) {
        let open = uploads_until_death(&run, &cluster, &api, &ledger, round).await?;
        for node in cluster.nodes() {
            node.start()?;
        }
        try_join_all(cluster.nodes().iter().map(|node| node.ready(Duration::from_secs(60)))).await?;
        run.say(format_args!("round {round}: {} acknowledged in all, {} uploads without an answer", ledger.len(), open.len()));
        let mut settler = Settler::new(&api, cluster.nodes(), run.seed().rng(&format!("settle {round}")));
        for Open { path, content } in open {
            let asset = settler.upload(&upload(&path, content)).await?;
            ledger.note(asset, &path, content)?;
        }
        ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
    }
    cluster.converged(Duration::from_secs(60)).await?;
    ledger.listed_once_at(&api, cluster.nodes(), "all-killed/").await?;
    cluster.shutdown().await
}

/// An upload whose outcome is not known.
struct Open {
    path: String,
    content: Content,
}

/// Uploads from several clients until some are acknowledged, then kills all nodes at a random instant.
async fn uploads_until_death(run: &Run, cluster: &Cluster, api: &Api, ledger: &Ledger, round: usize) -> Result<Vec<Open>> {
    // Set just before, so that clients have one upload under way each and do not begin another.
    let dead = AtomicBool::new(false);
    let mark = ledger.len() + 20;
    let clients = (0..CLIENTS).map(|client| upload_until(&dead, run, cluster, api, ledger, (round, client)));
    let death = async {
        wait::until(Duration::from_secs(60), "twenty uploads", || async { (ledger.len() >= mark).then_some(()) }).await?;
        // Not in step with any acknowledgement. The random instant is the point, nothing is waited for.
        let random = run.seed().rng(&format!("instant {round}")).random_range(0..30);
        tokio::time::sleep(Duration::from_millis(random)).await;
        dead.store(true, Ordering::SeqCst);
        for killed in join_all(cluster.nodes().iter().map(cluster_tests::Node::kill_9)).await {
            killed?;
        }
        Ok(())
    };
    let (open, ()) = tokio::try_join!(try_join_all(clients), death)?;
    Ok(open.into_iter().flatten().collect())
}

async fn upload_until(
    dead: &AtomicBool,
    run: &Run,
    cluster: &Cluster,
    api: &Api,
    ledger: &Ledger,
    (round, client): (usize, usize),
) -> Result<Vec<Open>> {
    let seed = run.seed().derive(&format!("round {round} client {client}"));
    let mut rng = seed.rng("uploads");
    let mut open = Vec::new();
    for number in 0.. {
        if dead.load(Ordering::SeqCst) || open.len() >= 5 {
            break;
        }
        let path = format!("all-killed/{round}/{client}/{number}");
        let content = Content::new(seed.derive(&path), log_uniform(&mut rng, &(1 << 10..=512 << 10)));
        let node = cluster.node(rng.random_range(0..cluster.nodes().len()));
        match api.at(node).upload(&upload(&path, content)).await {
            Outcome::Ok(asset) => ledger.note(asset, &path, content)?,
            Outcome::Unavailable(_) | Outcome::Unknown(_) => open.push(Open { path, content }),
            Outcome::Rejected(problem) => anyhow::bail!("{path} was refused for good: {problem}"),
        }
    }
    Ok(open)
}

fn upload(path: &str, content: Content) -> Upload {
    Upload::new(path, content.bytes()).key(path)
}

const CLIENTS: usize = 6;
