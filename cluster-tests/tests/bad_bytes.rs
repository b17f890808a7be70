//! A byte that is wrong on the disk or on the wire never reaches a viewer (promise 2).
//!
//! On the disk: bits are flipped in the blobs and hash trees of a stopped node, and ends cut off; the node starts, with
//! nothing in memory, and is read. While a peer is in reach every read ends well, if not at once. Without a peer the
//! connection breaks before the wrong byte. On the wire: bits are flipped between the nodes while assets travel.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::{Api, Bytewise, Outcome, Upload};
use cluster_tests::corrupt::{self, Damage, Part};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Entry, Ledger, Settler, log_uniform};
use cluster_tests::{Cluster, Node, wait};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn damaged_disks_never_show() -> Result<()> {
    property("bad_bytes_on_disk", Limit::minutes(4, 10), on_disk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_wires_never_show() -> Result<()> {
    property("bad_bytes_on_the_wire", Limit::minutes(4, 10), on_the_wire).await
}

async fn on_disk(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("bad-bytes").await?;
    let mut rng = run.seed().rng("damage");
    let entries = uploads(&run, &api, &cluster, 16).await?;
    for entry in &entries {
        replicated(&api, &cluster, entry).await?;
    }
    let mut tally = Tally::default();
    for round in 0..run.scaled(4, 8) {
        let node = cluster.node(rng.random_range(0..cluster.nodes().len()));
        let with_peers = round % 2 == 0;
        let damage = damage(node, &mut rng).await?;
        tally.damage += damage.len();
        if !with_peers {
            cluster.links().isolate(node.slot(), Cut::Silent);
            reads_break_in_time(&api, node, &entries, &mut tally).await.with_context(|| shown(&damage))?;
            cluster.links().heal_all();
        }
        reads_end_well(&api, node, &entries, &mut tally).await.with_context(|| shown(&damage))?;
        for entry in &entries {
            replicated(&api, &cluster, entry).await?;
        }
        run.say(format_args!("{} ({}): {tally:?}", node.name(), if with_peers { "with peers" } else { "alone at first" }));
    }
    ensure!(tally.damage >= 60, "only {} pieces of damage were done", tally.damage);
    ensure!(tally.broken > 0, "no read of a damaged blob without peers broke off: was the damage read at all?");
    cluster.shutdown().await
}

#[derive(Debug, Default)]
struct Tally {
    /// Pieces of damage done.
    damage: usize,
    /// Bodies that were right and complete.
    right: usize,
    /// Bodies that broke off after a right beginning, or were refused.
    broken: usize,
}

/// Stops the node, damages every blob and every hash tree of it, and starts it.
async fn damage(node: &Node, rng: &mut StdRng) -> Result<Vec<Damage>> {
    node.stop().await?;
    let mut files = corrupt::files(&node.data_dir(), Part::Data)?;
    files.extend(corrupt::files(&node.data_dir(), Part::Outboard)?);
    ensure!(!files.is_empty(), "{} has no blobs in {}", node.name(), node.data_dir().display());
    let damage = files.iter().map(|file| corrupt::damage(file, rng)).collect::<Result<_>>()?;
    node.start()?;
    node.ready(Duration::from_secs(30)).await?;
    Ok(damage)
}

/// For the report of a failure.
fn shown(damage: &[Damage]) -> String {
    let lines: Vec<String> = damage.iter().map(Damage::to_string).collect();
    format!("after this damage:\n{}", lines.join("\n"))
}

/// Every asset, read until it is complete. One wrong byte fails.
async fn reads_end_well(api: &Api, node: &Node, entries: &[Entry], tally: &mut Tally) -> Result<()> {
    stream::iter(entries)
        .map(|entry| entry.readable_at(api, node, Duration::from_secs(30)))
        .buffer_unordered(4)
        .try_collect::<()>()
        .await?;
    tally.right += entries.len();
    Ok(())
}

/// Every asset and a part of it, read once each. What is answered must be right as far as it goes.
async fn reads_break_in_time(api: &Api, node: &Node, entries: &[Entry], tally: &mut Tally) -> Result<()> {
    let verdicts: Vec<Verdict> = stream::iter(entries)
        .map(|entry| async move {
            let whole = look(api, node, entry, 0..entry.content.size()).await?;
            let middle = entry.content.size() / 2;
            let part = look(api, node, entry, middle / 2..middle + 1).await?;
            anyhow::Ok([whole, part])
        })
        // All at once: a node without peers takes its time to find that out.
        .buffer_unordered(entries.len())
        .try_concat_vec()
        .await?;
    tally.right += verdicts.iter().filter(|verdict| **verdict == Verdict::Right).count();
    tally.broken += verdicts.iter().filter(|verdict| **verdict == Verdict::Broken).count();
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Broken,
}

async fn look(api: &Api, node: &Node, entry: &Entry, range: std::ops::Range<usize>) -> Result<Verdict> {
    let there = api.at(node);
    let path = &entry.asset.path;
    let outcome = if range == (0..entry.content.size()) {
        there.get(path).await
    } else {
        there.get_range(path, range.start as u64..range.end as u64).await
    };
    let Outcome::Ok(download) = outcome else { return Ok(Verdict::Broken) };
    match download.judge(&entry.content.bytes()[range.clone()]) {
        Bytewise::Right => Ok(Verdict::Right),
        Bytewise::RightUntilBroken { .. } => Ok(Verdict::Broken),
        Bytewise::Wrong { offset } => {
            bail!("{path} {range:?} at {}: wrong at byte {offset} of {} received", node.name(), download.bytes.len())
        }
    }
}

/// Collects the pairs of a stream into one list.
trait ConcatVec<T> {
    async fn try_concat_vec(self) -> Result<Vec<T>>;
}

impl<T, S: stream::Stream<Item = Result<[T; 2]>>> ConcatVec<T> for S {
    async fn try_concat_vec(self) -> Result<Vec<T>> {
        let pairs: Vec<[T; 2]> = self.try_collect().await?;
        Ok(pairs.into_iter().flatten().collect())
    }
}

async fn on_the_wire(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).setting("cluster", "request_deadline", "5s").start().await?;
    let api = cluster.api("bad-wire").await?.with_deadline(Duration::from_secs(10));
    let mut rng = run.seed().rng("wire");
    let ledger = Ledger::new();
    let mut open = Vec::new();
    for round in 0..run.scaled(3, 8) {
        cluster.links().heal_all();
        cluster.leader().await?;
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            cluster.links().flip(from, to, rng.random_range(100_000..1_000_000));
        }
        for number in 0..6 {
            let path = format!("wire/{round}/{number}");
            let content = Content::new(run.seed().derive(&path), log_uniform(&mut rng, &(10_000..=2 << 20)));
            let node = cluster.node(rng.random_range(0..3));
            match api.at(node).upload(&Upload::new(&path, content.bytes()).key(&path)).await {
                Outcome::Ok(asset) => ledger.note(asset, &path, content)?,
                Outcome::Rejected(problem) => bail!("{path} was refused for good: {problem}"),
                Outcome::Unavailable(_) | Outcome::Unknown(_) => open.push((path, content)),
            }
            // Read at once at another node, which must fetch what it does not have yet.
            for entry in ledger.entries().iter().rev().take(2) {
                look(&api, cluster.node(rng.random_range(0..3)), entry, 0..entry.content.size()).await?;
            }
        }
        run.say(format_args!("{} bits flipped, {} acknowledged, {} open", cluster.links().flips(), ledger.len(), open.len()));
    }
    ensure!(cluster.links().flips() > 0, "no bit was flipped");
    cluster.links().heal_all();
    let mut settler = Settler::new(&api, cluster.nodes(), run.seed().rng("settle"));
    for (path, content) in open {
        let asset = settler.upload(&Upload::new(&path, content.bytes()).key(&path)).await?;
        ledger.note(asset, &path, content)?;
    }
    ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
    cluster.converged(Duration::from_secs(60)).await?;
    cluster.shutdown().await
}

async fn uploads(run: &Run, api: &Api, cluster: &Cluster, count: usize) -> Result<Vec<Entry>> {
    let mut rng = run.seed().rng("sizes");
    let mut entries = Vec::new();
    for number in 0..count {
        let path = format!("bad/{number}");
        // Large enough for a hash tree of some depth, and around the boundaries of groups and slices.
        let content = Content::new(run.seed().derive(&path), log_uniform(&mut rng, &(40_000..=3 << 20)));
        let upload = Upload::new(&path, content.bytes()).key(&path);
        let asset = api.at(cluster.node(number % cluster.nodes().len())).upload(&upload).await.done()?;
        entries.push(Entry { asset, content });
    }
    Ok(entries)
}

/// Waits until every node says that it holds a verified copy.
async fn replicated(api: &Api, cluster: &Cluster, entry: &Entry) -> Result<()> {
    let there = api.at(cluster.node(0));
    wait::until(Duration::from_secs(60), "verified copies everywhere", || async {
        let replication = there.replication(&entry.asset.id).await.done().context("ask")?;
        ensure!(replication.replicated && replication.verified() == cluster.nodes().len(), "{replication:?}");
        Ok(())
    })
    .await?;
    Ok(())
}
