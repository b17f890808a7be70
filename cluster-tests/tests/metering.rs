//! What clients use is counted once: exactly while nothing crashes, also over leader changes and clean restarts, and never more than the
//! truth; a crash loses what one node counted in ten seconds at most. And every node gives the same answer.
//!
//! The truth is what the load was answered: whole assets, which hit or miss, and ranges that are refused. Requests to the API count too,
//! and asking for the counts is one; so bytes are checked from below.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Outcome, Upload, Usage};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_once() -> Result<()> {
    property("metering", Limit::minutes(6, 20), metering).await
}

async fn metering(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("metered").await?;
    let other = cluster.api("another").await?;
    level_reached(&cluster).await?;
    let content = Content::new(run.seed(), ASSET_BYTES);
    let asset = api.at(cluster.node(0)).upload(&Upload::new("counted", content.bytes()).key("counted")).await.done()?;
    for node in cluster.nodes() {
        wait::until(PATIENCE, "the asset to be listed at every node", || async {
            // A 404 would count: no node is asked for what it may not have heard of.
            api.at(node).up_to_date().asset(&asset.id).await.done()
        })
        .await?;
    }
    let mut load = Load { api: &api, path: asset.path, sent: Counts::default(), lost: Counts::default(), recent: VecDeque::new() };

    // Leaders are stopped in the middle of it, hand over, and are started again.
    for _ in 0..run.scaled(2, 10) {
        load.run(cluster.nodes(), 20).await?;
        let leader = cluster.leader().await?;
        leader.stop().await?;
        let others: Vec<Node> = cluster.nodes().iter().filter(|node| node.slot() != leader.slot()).cloned().collect();
        load.run(&others, 20).await?;
        wait::until(PATIENCE, "another leader", || cluster.leader_among(&others)).await?;
        leader.restart().await?;
        load.run(cluster.nodes(), 20).await?;
    }
    load.settled(&cluster, Counts::default()).await?;
    run.say(format_args!("leaders changed, nodes were stopped and started: {:?}, exactly", load.sent));

    for round in 0..run.scaled(1, 10) {
        let victim = cluster.node(usize::try_from(round)? % cluster.nodes().len()).clone();
        let end = Instant::now() + run.scaled(Duration::from_secs(14), Duration::from_secs(25));
        while Instant::now() < end {
            load.run(cluster.nodes(), 5).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        victim.kill_9().await?;
        let may_be_lost = load.of_the_last(&victim, LOST_MAX);
        victim.restart().await?;
        load.run(cluster.nodes(), 5).await?;
        let lost = load.settled(&cluster, may_be_lost).await?;
        run.say(format_args!("kill {round}: {lost:?} lost of {:?}, and {may_be_lost:?} might have been", load.sent));
    }
    let of_other = other.at(cluster.node(0)).usage().await.done()?;
    ensure!(of_other.hits + of_other.misses == 0, "another client has counts: {of_other:?}");
    cluster.converged(PATIENCE).await?;
    cluster.shutdown().await
}

/// Requests are counted from this level on.
async fn level_reached(cluster: &Cluster) -> Result<()> {
    wait::until(PATIENCE, "schema level 5", || async {
        let status = cluster.status().await?;
        ensure!(status.schema_level >= 5, "at level {}", status.schema_level);
        Ok(())
    })
    .await?;
    Ok(())
}

/// Answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// With a whole asset.
    assets: u64,
    /// 416.
    refused: u64,
}

impl Counts {
    fn of(usage: &Usage) -> Self {
        Self { assets: usage.hits + usage.misses, refused: usage.status.get("4xx").copied().unwrap_or_default() }
    }

    fn minus(self, other: Self) -> Option<Self> {
        Some(Self { assets: self.assets.checked_sub(other.assets)?, refused: self.refused.checked_sub(other.refused)? })
    }
}

struct Load<'a> {
    api: &'a Api,
    path: String,
    /// The truth.
    sent: Counts,
    /// What crashes are known to have cost.
    lost: Counts,
    /// When which node gave which answer, for as long as a crash may lose it.
    recent: VecDeque<(Instant, usize, Counts)>,
}

impl Load<'_> {
    /// Asks each node so many times.
    async fn run(&mut self, nodes: &[Node], times: u32) -> Result<()> {
        for _ in 0..times {
            for node in nodes {
                self.ask(node).await?;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, node: &Node) -> Result<()> {
        let at = self.api.at(node);
        at.get(&self.path).await.done().with_context(|| format!("at {}", node.name()))?;
        let mut answered = Counts { assets: 1, refused: 0 };
        if self.sent.assets.is_multiple_of(3) {
            match at.get_range(&self.path, 1_000_000..2_000_000).await {
                Outcome::Rejected(problem) if problem.status == 416 => answered.refused = 1,
                other => anyhow::bail!("a range beyond the end: {other:?}"),
            }
        }
        self.sent = Counts { assets: self.sent.assets + answered.assets, refused: self.sent.refused + answered.refused };
        self.recent.push_back((Instant::now(), node.slot(), answered));
        Ok(())
    }

    /// What a node answered in this time.
    fn of_the_last(&mut self, node: &Node, time: Duration) -> Counts {
        let recent = self.recent.drain(..).filter(|(at, slot, _)| at.elapsed() <= time && *slot == node.slot());
        recent.fold(Counts::default(), |sum, (_, _, answered)| Counts {
            assets: sum.assets + answered.assets,
            refused: sum.refused + answered.refused,
        })
    }

    /// Waits until every node gives the same counts, which are the truth but for what is lost, and looks again when everything that might
    /// count a second time has. Gives what was lost since the last time: at most `may_be_lost`.
    async fn settled(&mut self, cluster: &Cluster, may_be_lost: Counts) -> Result<Counts> {
        let due = self.sent.minus(self.lost).context("more is lost than was sent")?;
        let missing = wait::until(PATIENCE, "the counts to be those of the load", || async {
            let missing = self.missing(cluster, due).await?;
            let in_bounds = may_be_lost.minus(missing).is_some();
            ensure!(in_bounds, "{missing:?} of {due:?} are missing, and {may_be_lost:?} may be");
            Ok(missing)
        })
        .await?;
        tokio::time::sleep(TWO_REPORTS).await;
        let still_missing = self.missing(cluster, due).await?;
        let came = missing.minus(still_missing).with_context(|| format!("{missing:?} were missing, and then {still_missing:?}"))?;
        if may_be_lost == Counts::default() {
            ensure!(came == Counts::default(), "{came:?} came late");
            let usage = self.api.at(cluster.node(0)).usage().await.done()?;
            ensure!(usage.bytes_out >= due.assets * ASSET_BYTES as u64, "too few bytes: {usage:?}");
        }
        self.lost = Counts { assets: self.lost.assets + still_missing.assets, refused: self.lost.refused + still_missing.refused };
        Ok(still_missing)
    }

    /// By how much the counts at every node are less than what is due. More than is due is an error, which no waiting mends.
    async fn missing(&self, cluster: &Cluster, due: Counts) -> Result<Counts> {
        let mut all = Vec::new();
        for node in cluster.nodes() {
            let usage = self.api.at(node).up_to_date().usage().await.done()?;
            let counted = Counts::of(&usage);
            assert!(due.minus(counted).is_some(), "more than the truth: {counted:?} at {}, of {due:?}", node.name());
            all.push(counted);
        }
        let first = all.first().copied().context("there are nodes")?;
        ensure!(all.iter().all(|counted| *counted == first), "the nodes differ: {all:?}");
        due.minus(first).context("counted above")
    }
}

const ASSET_BYTES: usize = 3_000;
/// What a crash may lose of one node.
const LOST_MAX: Duration = Duration::from_secs(10);
/// Longer than two reports are apart.
const TWO_REPORTS: Duration = Duration::from_secs(17);
const PATIENCE: Duration = Duration::from_secs(90);
