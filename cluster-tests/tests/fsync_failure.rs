//! A failed fsync stops the node, and nothing acknowledged is lost.
//!
//! After a failed fsync nobody knows what is on the disk, and asking again gives a false answer. So the process ends; the
//! others go on; and the node comes back with what is really there and gets the rest from them.

use anyhow::{Result, bail, ensure};
use cluster_tests::client::{Outcome, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use cluster_tests::{Cluster, Node};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_stops_the_node() -> Result<()> {
    property("fsync_failure", Limit::minutes(4, 6), fsync_failure).await
}

async fn fsync_failure(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).disk_faults(true).start().await?;
    let api = cluster.api("fsync").await?;
    let ledger = Ledger::new();
    let mut settler = Settler::new(&api, cluster.nodes(), run.seed().rng("nodes"));
    for (act, leads) in [("follower", false), ("leader", true)] {
        for number in 0..5 {
            let (path, content) = asset(&run, act, number);
            ledger.note(settler.upload(&upload(&path, content)).await?, &path, content)?;
        }
        let node = if leads { cluster.leader().await? } else { cluster.follower().await? };
        node.disk().fail_fsync()?;
        // Written at the node itself, so that there is something to sync.
        let (path, content) = asset(&run, act, 100);
        match api.at(&node).upload(&upload(&path, content)).await {
            // Two others have it, which is what the answer promises.
            Outcome::Ok(_) | Outcome::Unavailable(_) | Outcome::Unknown(_) => {}
            Outcome::Rejected(problem) if problem.status >= 500 => {}
            Outcome::Rejected(problem) => bail!("a disk that fails is not the client's fault: {problem}"),
        }
        let status = node.exited(Duration::from_secs(30)).await?;
        run.say(format_args!("{} ({act}) ended with {status}", node.name()));
        let last_line = node.log_tail(1);
        ensure!(status.code() == Some(1), "{} ended with {status}; its last line is\n{last_line}", node.name());
        ensure!(last_line.contains("the node stops"), "the reason is not the last line of its log:\n{}", node.log_tail(15));
        ensure!(node.disk().hits() > 0, "no sync failed");

        let others: Vec<Node> = cluster.nodes().iter().filter(|other| other.slot() != node.slot()).cloned().collect();
        let asset = Settler::new(&api, &others, run.seed().rng(act)).upload(&upload(&path, content)).await?;
        ledger.note(asset, &path, content)?;
        ledger.readable_at(&api, &others, Duration::from_secs(30)).await?;

        node.disk().heal()?;
        node.start()?;
        node.ready(Duration::from_secs(60)).await?;
        ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
        cluster.converged(Duration::from_secs(60)).await?;
    }
    ledger.listed_once_at(&api, cluster.nodes(), "fsync/").await?;
    cluster.shutdown().await
}

fn asset(run: &Run, act: &str, number: usize) -> (String, Content) {
    let path = format!("fsync/{act}/{number}");
    let content = Content::new(run.seed().derive(&path), 200_000);
    (path, content)
}

fn upload(path: &str, content: Content) -> Upload {
    Upload::new(path, content.bytes()).key(path)
}
