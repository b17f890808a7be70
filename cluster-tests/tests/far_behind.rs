//! A node that was away for longer than the log reaches back takes over a checkpoint, and a transfer that is cut goes on where it was.
//!
//! A voter and an edge are stopped, and the state grows far beyond what the log keeps, by rows as large as a command may write. Then
//! one after the other comes back. Its transfer is cut three times in the middle: its links are cut for some seconds, its connections
//! are reset, and it is killed itself. It ends in the same state as the others, and what it was sent, counted on its links and by the
//! senders, is at most 1.1 times the checkpoint. The short form has a state of some tens of megabytes, the long one of more than 500.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Upload};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, Seed, wait};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_cut_three_times_is_sent_once() -> Result<()> {
    property("far_behind", Limit::minutes(6, 30), far_behind).await
}

async fn far_behind(run: Run) -> Result<()> {
    let keep = run.scaled(128, 512);
    let rate = run.scaled("8MiB", "64MiB");
    let cluster = Cluster::builder().edges("eu-ams", 1).seed(run.seed());
    let cluster = cluster.setting("cluster", "log_keep", keep).setting("transfer", "checkpoint_rate", rate).start().await?;
    let api = cluster.api("far-behind").await?;
    let leader = cluster.leader().await?;
    let edge = cluster.node(3).clone();
    let voter = cluster.nodes()[..3].iter().find(|node| node.slot() != leader.slot()).context("a follower")?.clone();
    let sources: Vec<Node> = cluster.nodes()[..3].iter().filter(|node| node.slot() != voter.slot()).cloned().collect();
    for away in [&voter, &edge] {
        away.kill_9().await?;
    }

    let began = Instant::now();
    let left_at = figure(&sources[0], "ncore_raft_last_log").await?;
    let rows = run.scaled(ROWS_SHORT, ROWS_LONG);
    grow(run.seed(), &sources, rows).await?;
    checkpointed(&api, &sources, keep).await?;
    out_of_reach(&sources, left_at).await?;
    run.say(format_args!("{rows} rows of {} KB written in {:.1?}", DOMAINS * DOMAIN / 1_000, began.elapsed()));

    for away in [&voter, &edge] {
        let bytes = Transfer { run: &run, cluster: &cluster, sources: &sources, away }.cut_three_times().await?;
        ensure!(bytes >= run.scaled(SIZE_SHORT, SIZE_LONG), "the checkpoint has only {bytes} bytes");
    }
    cluster.converged(Duration::from_secs(120)).await?;
    let taken = figure(&edge, "ncore_hub_checkpoints_total").await?;
    ensure!(taken == 1, "the edge took over {taken} checkpoints");
    cluster.shutdown().await
}

/// Adds clients, each with as many and as long domains as a client may have.
async fn grow(seed: Seed, nodes: &[Node], rows: usize) -> Result<()> {
    stream::iter(0..rows)
        .map(|row| async move {
            let random = Content::new(seed.derive(&format!("row {row}")), DOMAINS * DOMAIN).bytes();
            let letters: Vec<u8> = random.iter().map(|byte| LETTERS[usize::from(byte % 64)]).collect();
            let domain = |letters: &[u8]| format!("--domain={}", String::from_utf8_lossy(letters));
            let domains: Vec<String> = letters.chunks(DOMAIN).map(domain).collect();
            let name = format!("--name=row-{row}");
            let arguments: Vec<&str> = std::iter::once(name.as_str()).chain(domains.iter().map(String::as_str)).collect();
            let operator = nodes[row % nodes.len()].operator();
            wait::until(Duration::from_secs(60), "a client to be added", || operator.run(&["client", "add"], &arguments)).await
        })
        .buffer_unordered(WRITERS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

/// Writes small rows until the newest checkpoint of each voter has all the large ones, and not one more: the next checkpoint, with
/// which a transfer would begin again, is to be a whole log away.
async fn checkpointed(api: &Api, voters: &[Node], keep: u64) -> Result<()> {
    let last_large = figure(&voters[0], "ncore_raft_committed").await?;
    for number in 0..2 * keep {
        if lagging(voters, last_large).await?.is_none() {
            return Ok(());
        }
        let content = number.to_le_bytes().to_vec();
        api.at(&voters[0]).upload(&Upload::new(format!("small/{number}"), content)).await.done()?;
    }
    wait::until(Duration::from_secs(60), "a checkpoint of all large rows", || async {
        let lagging = lagging(voters, last_large).await?;
        ensure!(lagging.is_none(), "that of {} does not reach {last_large}", lagging.map_or("", Node::name));
        Ok(())
    })
    .await?;
    Ok(())
}

/// Waits until no log has `index` any more. That follows a checkpoint a little later, and until then a voter that comes back is sent
/// entries.
async fn out_of_reach(voters: &[Node], index: u64) -> Result<()> {
    for voter in voters {
        wait::until(Duration::from_secs(30), "the log to be cut", || async {
            let first = figure(voter, "ncore_raft_log_first").await?;
            ensure!(first > index, "that of {} begins at {first}, and {index} is in it", voter.name());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// One whose newest checkpoint does not reach `index`.
async fn lagging(voters: &[Node], index: u64) -> Result<Option<&Node>> {
    for voter in voters {
        if figure(voter, "ncore_raft_snapshot").await? < index {
            return Ok(Some(voter));
        }
    }
    Ok(None)
}

/// A node that comes back, and those that it can take a checkpoint from.
struct Transfer<'a> {
    run: &'a Run,
    cluster: &'a Cluster,
    sources: &'a [Node],
    away: &'a Node,
}

impl Transfer<'_> {
    /// Starts the node and cuts its transfer three times. Returns the size of the checkpoint.
    async fn cut_three_times(&self) -> Result<u64> {
        let (arrived, sent) = (self.arrived(), self.sent().await?);
        let began = Instant::now();
        self.away.start()?;
        let size = self.size().await?;
        for (number, cut) in [Break::Links, Break::Connections, Break::Process].into_iter().enumerate() {
            let due = size / 4 * (number as u64 + 1);
            wait::until(PATIENCE, "a part of the checkpoint", || async {
                let now = self.arrived() - arrived;
                ensure!(now >= due, "{now} of {size} bytes");
                Ok(())
            })
            .await?;
            let now = self.arrived() - arrived;
            ensure!(now < size, "it was not cut in the middle: {now} of {size} bytes had arrived");
            self.run.say(format_args!("{}: {cut:?} cut after {now} of {size} bytes", self.away.name()));
            self.cut(cut).await?;
        }
        self.away.ready(PATIENCE).await?;
        let known = figure(&self.sources[0], "ncore_raft_committed").await?;
        wait::until(PATIENCE, "the node to have what the others have", || async {
            let revision = figure(self.away, "ncore_revision").await?;
            ensure!(revision >= known, "it is at {revision} of {known}");
            Ok(())
        })
        .await?;
        let (arrived, sent) = (self.arrived() - arrived, self.sent().await? - sent);
        self.run.say(format_args!(
            "{}: {arrived} bytes arrived and {sent} of the checkpoint were sent, of {size} ({:.3} times), in {:.1?}",
            self.away.name(),
            arrived as f64 / size as f64,
            began.elapsed()
        ));
        // Not to the byte: files that are there already, and are the same, are not sent.
        ensure!(sent * 10 >= size * 9, "it did not take the checkpoint: {sent} of {size} bytes were sent");
        ensure!(arrived.max(sent) * 10 <= size * 11, "{arrived} bytes arrived and {sent} were sent, of {size}");
        Ok(size)
    }

    async fn cut(&self, cut: Break) -> Result<()> {
        let links = self.cluster.links();
        let slot = self.away.slot();
        match cut {
            Break::Links => {
                links.isolate(slot, Cut::Refused);
                // As long as it takes to give up each of the others.
                tokio::time::sleep(Duration::from_secs(4)).await;
                links.heal_all();
            }
            Break::Connections => self.sources.iter().for_each(|source| links.reset(slot, source.slot())),
            Break::Process => {
                self.away.kill_9().await?;
                self.away.start()?;
            }
        }
        Ok(())
    }

    /// The size of the checkpoint that the node will take: those of the voters differ little.
    async fn size(&self) -> Result<u64> {
        let mut sizes = Vec::new();
        for source in self.sources {
            sizes.push(figure(source, "ncore_raft_snapshot_bytes").await?);
        }
        sizes.into_iter().min().context("there are sources")
    }

    /// Bytes that have arrived at the node, of whatever kind.
    fn arrived(&self) -> u64 {
        let others = self.cluster.nodes().iter().filter(|node| node.slot() != self.away.slot());
        others.map(|node| self.cluster.links().flow(node.slot(), self.away.slot()).passed()).sum()
    }

    /// Bytes of checkpoints that the sources have sent.
    async fn sent(&self) -> Result<u64> {
        let mut sent = 0;
        for source in self.sources {
            sent += figure(source, "ncore_raft_snapshot_sent_bytes_total").await?;
        }
        Ok(sent)
    }
}

/// How a transfer is cut.
#[derive(Debug, Clone, Copy)]
enum Break {
    /// The node reaches nobody for some seconds.
    Links,
    /// Connections break, and new ones are let through.
    Connections,
    /// The node is killed, and started again.
    Process,
}

async fn figure(node: &Node, name: &str) -> Result<u64> {
    let figures = reqwest::get(format!("{}/metrics", node.url())).await?.text().await?;
    let value = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.with_context(|| format!("{} has no {name}", node.name()))?.trim().parse().context("a number")
}

/// As many and as long domains as a client may have.
const DOMAINS: usize = 1_000;
const DOMAIN: usize = 256;
const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
/// Rows, and what a checkpoint of them has at least, in bytes: three quarters of their length are random.
const ROWS_SHORT: usize = 160;
const ROWS_LONG: usize = 2_800;
const SIZE_SHORT: u64 = 25_000_000;
const SIZE_LONG: u64 = 500_000_000;
const WRITERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(120);
