//! One node with very many small assets: what it takes to hold them, to list them, to start with them, and to make a checkpoint.
//!
//! `cluster-bench million --assets 1000000` makes a cluster of one node, uploads that many assets of distinct content through the
//! API, and then prints: resident memory idle, while listing and while reading; how long a page of 1,000 assets by prefix takes;
//! how long a restart takes until `/readyz` says yes; and the longest wait of a write and of a read while a checkpoint is made
//! (by `ncore cluster backup`, which makes it in the same way as the node itself does after so many changes). Nothing is asserted.
//!
//! One node holds all assets, as every node of a cluster does; what more nodes add to a node is replication, not assets. Client and
//! node share the machine, and everything goes over loopback.

mod load;
mod process;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use cluster_tests::{Cluster, Node};
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::process::cpu_seconds;
use load::{Client, GROUP};
use process::{Memory, disk_bytes, memory, reset_peak};

/// Fill one node with small assets, and measure it.
#[derive(Args)]
pub(crate) struct Million {
    /// How many assets
    #[arg(long, default_value_t = 1_000_000)]
    assets: u64,
    /// Bytes of content of each
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Uploads at a time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The binary to measure; by default the one that the tests use
    #[arg(long)]
    ncore: Option<PathBuf>,
}

/// Pages, reads and seconds of each measurement.
const PAGES: u64 = 1_000;
const READS: u64 = 50_000;
const WATCHED: Duration = Duration::from_secs(10);
const RESTARTS: usize = 3;
/// After the load, until memtables are written and allocations are given back.
const REST: Duration = Duration::from_secs(15);

impl Million {
    pub(crate) async fn run(self) -> Result<()> {
        ensure!(self.assets >= GROUP, "--assets must be at least {GROUP}");
        let mut cluster = Cluster::builder().region("here", 1).setting("log", "filter", "warn");
        if let Some(binary) = &self.ncore {
            cluster = cluster.binary(binary);
        }
        let cluster = cluster.start().await?;
        let node = cluster.node(0);
        println!("one node, {} assets of {} bytes, {} uploads at a time", self.assets, self.size, self.connections);
        say_memory("empty", node)?;
        let client = Client::new(&cluster).await?;
        self.fill(node, &client).await?;
        tokio::time::sleep(REST).await;
        say_memory("idle", node)?;
        say_disk(node)?;
        self.list(node, &client).await?;
        self.read(node, &client).await?;
        self.checkpoints(node, &client, &cluster).await?;
        restarts(node).await?;
        say_memory("after the last restart", node)?;
        cluster.shutdown().await
    }

    async fn fill(&self, node: &Node, client: &Client) -> Result<()> {
        let began = Instant::now();
        let tenth = (self.assets / 10).max(1);
        let mut done = 0;
        while done < self.assets {
            let (part, end) = (Instant::now(), (done + tenth).min(self.assets));
            client.upload(done..end, self.size, self.connections).await?;
            let rate = (end - done) as f64 / part.elapsed().as_secs_f64();
            done = end;
            println!("  {done:>9} assets, {rate:>6.0} uploads/s, {}", memory(node)?);
        }
        println!("loaded in {:.0?}", began.elapsed());
        Ok(())
    }

    /// Pages of 1,000 by prefix, one after the other over one connection.
    async fn list(&self, node: &Node, client: &Client) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(2);
        let mut times = Histogram::<u64>::new(3)?;
        reset_peak(node)?;
        let before = cpu(node)?;
        for _ in 0..PAGES {
            let group = random.random_range(0..self.assets / GROUP);
            let began = Instant::now();
            let bytes = client.page(group).await?;
            record(&mut times, began.elapsed())?;
            ensure!(bytes > GROUP * 100, "a page of {bytes} bytes is not {GROUP} assets");
        }
        let each = (cpu(node)? - before) * 1e3 / PAGES as f64;
        println!(
            "pages of {GROUP} by prefix, {PAGES} of them at random: {}; {each:.2} ms of the node's processor time each",
            spread(&times)
        );
        say_memory("while listing", node)
    }

    async fn read(&self, node: &Node, client: &Client) -> Result<()> {
        reset_peak(node)?;
        let began = Instant::now();
        let times = client.read(self.assets, READS, self.connections).await?;
        let rate = READS as f64 / began.elapsed().as_secs_f64();
        println!("reads of assets at random, {READS} of them, {} at a time: {rate:.0}/s, {}", self.connections, spread(&times));
        say_memory("while reading", node)
    }

    /// The longest waits of one writer and one reader, first alone and then while checkpoints are made.
    async fn checkpoints(&self, node: &Node, client: &Client, cluster: &Cluster) -> Result<()> {
        let ((), alone) = client.watch(self.assets, self.assets, tokio::time::sleep(WATCHED)).await?;
        println!("without a checkpoint, {WATCHED:?}: {alone}");
        let directory = cluster.dir().join("backups");
        let to = directory.to_str().context("a path that is text")?;
        let backup = async { node.operator().run(&["cluster", "backup"], &["--to", to]).await };
        let began = Instant::now();
        let (made, during) = client.watch(self.assets, 2 * self.assets, backup).await?;
        made?;
        println!("while a checkpoint was made and copied, {:.1?}: {during}", began.elapsed());
        std::fs::remove_dir_all(&directory).context("remove the backup")?;
        say_memory("after the checkpoint", node)
    }
}

async fn restarts(node: &Node) -> Result<()> {
    for end in std::iter::repeat_n("SIGTERM", RESTARTS).chain(["kill -9"]) {
        match end {
            "SIGTERM" => drop(node.stop().await?),
            _ => drop(node.kill_9().await?),
        }
        let began = Instant::now();
        node.start()?;
        let probe = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}/readyz", node.url());
        while !probe.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(began.elapsed() < Duration::from_secs(120), "the node is not ready after two minutes");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("ready after {:.2?} (stopped by {end})", began.elapsed());
    }
    Ok(())
}

fn say_memory(when: &str, node: &Node) -> Result<()> {
    let memory: Memory = memory(node)?;
    println!("memory {when}: {memory}");
    Ok(())
}

/// User and system time of the node so far, in seconds: what a busy machine does not spoil.
fn cpu(node: &Node) -> Result<f64> {
    cpu_seconds(node.pid().context("the node does not run")?)
}

fn say_disk(node: &Node) -> Result<()> {
    let parts = ["state", "raft", "index", "blobs"];
    let sizes = parts.iter().map(|part| Ok(format!("{part} {:.0} MB", disk_bytes(&node.data_dir().join(part))? as f64 / 1e6)));
    println!("disk: {}", sizes.collect::<Result<Vec<_>>>()?.join(", "));
    Ok(())
}

fn record(times: &mut Histogram<u64>, time: Duration) -> Result<()> {
    Ok(times.record(u64::try_from(time.as_micros())?)?)
}

fn spread(times: &Histogram<u64>) -> String {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(0.5), at(0.99), times.max() as f64 / 1e3)
}
