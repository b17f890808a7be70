//! The loss of a leader fences nobody: at the distances of three continents, another leads before any node's view is too old.
//!
//! Three voters and an edge beside each, 40, 75 and 110 ms apart, one way. The leader is killed again and again while clients write. Each
//! node counts how often it was fenced after it had been fresh; at every kill that must be never, on every node that lives. The report
//! says for how long no write was acknowledged.

use anyhow::{Result, ensure};
use cluster_tests::client::{Api, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn no_connected_node_is_fenced_when_a_leader_is_lost() -> Result<()> {
    property("leader_kills", Limit::minutes(4, 20), leader_kills).await
}

/// How long a byte is under way between two regions.
fn distance(a: &str, b: &str) -> Duration {
    let millis = match (a, b) {
        ("eu-ams", "us-nyc") | ("us-nyc", "eu-ams") => 40,
        ("us-nyc", "ap-sin") | ("ap-sin", "us-nyc") => 75,
        _ => 110,
    };
    Duration::from_millis(millis)
}

async fn leader_kills(run: Run) -> Result<()> {
    let cluster = Cluster::builder().edges("eu-ams", 1).edges("us-nyc", 1).edges("ap-sin", 1).seed(run.seed());
    // As `docs/operations.md` says for voters across oceans.
    let cluster = cluster.setting("cluster", "heartbeat", "250ms").setting("cluster", "election_min", "500ms");
    let cluster = cluster.setting("cluster", "election_max", "800ms").start().await?;
    let api = cluster.api("leader-kills").await?;
    cluster.distances(distance);
    let writes = Writes::default();
    let clients = (0..CLIENTS).map(|client| write(&run, &api, cluster.nodes(), &writes, client));
    let kills = async {
        let gaps = kill(&run, &cluster, &writes).await;
        writes.over.store(true, Ordering::Relaxed);
        gaps
    };
    let (_, mut gaps) = tokio::try_join!(try_join_all(clients), kills)?;
    gaps.sort_unstable();
    let (middle, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    run.say(format_args!("{} kills, {} writes; without writes: p50 {middle:.2?}, max {longest:.2?}", gaps.len(), writes.ledger.len()));

    cluster.links().heal_all();
    cluster.converged(Duration::from_secs(60)).await?;
    writes.ledger.listed_once_at(&api, cluster.nodes(), "kills/").await?;
    cluster.shutdown().await
}

/// What was acknowledged, and when.
#[derive(Default)]
struct Writes {
    ledger: Ledger,
    at: Mutex<Vec<Instant>>,
    over: AtomicBool,
}

/// Uploads at nodes chosen at random, one after the other, until the kills are over.
async fn write(run: &Run, api: &Api, nodes: &[Node], writes: &Writes, client: usize) -> Result<()> {
    let seed = run.seed().derive(&format!("client {client}"));
    let api = api.clone().with_own_token().with_deadline(Duration::from_secs(8));
    let mut settler = Settler::new(&api, nodes, seed.rng("nodes"));
    for number in 0.. {
        if writes.over.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("kills/{client}/{number}");
        let content = Content::new(seed.derive(&path), 1_000);
        let upload = Upload::new(&path, content.bytes()).key(format!("{}-{path}", run.seed()));
        writes.ledger.note(settler.upload(&upload).await?, &path, content)?;
        writes.at.lock().push(Instant::now());
    }
    Ok(())
}

/// Kills leaders, and returns for how long no write was acknowledged after each.
async fn kill(run: &Run, cluster: &Cluster, writes: &Writes) -> Result<Vec<Duration>> {
    let mut gaps = Vec::new();
    for number in 1..=run.scaled(2, 20) {
        settled(cluster).await?;
        never_fenced(cluster, None).await?;
        let victim = cluster.leader().await?;
        let killed = Instant::now();
        victim.kill_9().await?;
        // Whoever is to be fenced for it is by the end of this.
        let mut oldest = 0;
        while killed.elapsed() < BOUND + Duration::from_secs(1) {
            oldest = oldest.max(never_fenced(cluster, Some(&victim)).await?);
            tokio::time::sleep(LOOK).await;
        }
        wait::until(Duration::from_secs(60), "writes to go on", || async {
            let after = writes.at.lock().iter().filter(|at| **at > killed).count();
            ensure!(after >= 20, "{after} writes");
            Ok(())
        })
        .await?;
        let gap = longest_gap(&writes.at.lock(), killed);
        never_fenced(cluster, Some(&victim)).await?;
        run.say(format_args!("kill {number}: {} gone, {gap:.2?} without writes; the oldest view seen was of {oldest} ms", victim.name()));
        gaps.push(gap);
        victim.start()?;
        victim.ready(Duration::from_secs(60)).await?;
    }
    Ok(gaps)
}

/// The longest time between two acknowledgements one after the other, from the last before the kill on.
fn longest_gap(at: &[Instant], killed: Instant) -> Duration {
    let mut at: Vec<Instant> = at.to_vec();
    at.sort_unstable();
    let first = at.iter().rposition(|at| *at <= killed).unwrap_or(0);
    at[first..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Waits until every node is fresh: one that has just started is not.
async fn settled(cluster: &Cluster) -> Result<()> {
    wait::until(Duration::from_secs(60), "every node to be fresh", || async {
        for node in cluster.nodes() {
            ensure!(node.figure("ncore_fresh").await? == 1, "{} is fenced", node.name());
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// That no living node was fenced since it was first fresh. Returns how old the oldest view is, in milliseconds.
async fn never_fenced(cluster: &Cluster, without: Option<&Node>) -> Result<u64> {
    let mut oldest = 0;
    for node in cluster.nodes().iter().filter(|node| without.is_none_or(|gone| gone.slot() != node.slot())) {
        let fencings = node.figure("ncore_fencings_total").await?;
        ensure!(fencings == 0, "{} was fenced {fencings} times:\n{}", node.name(), node.log_tail(20));
        oldest = oldest.max(node.figure("ncore_staleness_milliseconds").await?);
    }
    Ok(oldest)
}

const CLIENTS: usize = 6;
const LOOK: Duration = Duration::from_millis(100);
/// The default of `cluster.freshness_bound`.
const BOUND: Duration = Duration::from_secs(5);
