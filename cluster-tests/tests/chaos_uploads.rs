//! Uploads go on while nodes die.
//!
//! Clients upload to nodes chosen at random while the leader is killed three times and every node once, without
//! warning. A client without a definite answer repeats the upload with the same idempotency key elsewhere. Afterwards
//! (promises 1, 3 and 9): every acknowledged asset has the right bytes at every node, each is there once, and all nodes
//! are in the same state.

use anyhow::Result;
use cluster_tests::client::{Api, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler, log_uniform};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use rand::seq::SliceRandom as _;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_uploads_survive_kills() -> Result<()> {
    property("chaos_uploads", Limit::minutes(4, 15), chaos).await
}

async fn chaos(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("chaos").await?;
    let ledger = Ledger::new();
    let sizes = 1 << 10..=run.scaled(2 << 20, 20 << 20);
    let pace = Pace { chunk: run.scaled(20, 66), permits: Semaphore::new(0) };

    let clients = (0..CLIENTS).map(|client| {
        let work = Work { client, sizes: sizes.clone(), ledger: ledger.clone(), pace: &pace };
        work.run(&run, api.clone().with_own_token(), cluster.nodes())
    });
    let (attempts, ()) = tokio::try_join!(try_join_all(clients), kill(&run, &cluster, &ledger, &pace))?;
    run.say(format_args!("{} uploads acknowledged, {} requests", ledger.len(), attempts.iter().sum::<u64>()));

    cluster.converged(Duration::from_secs(60)).await?;
    ledger.listed_once_at(&api, cluster.nodes(), "chaos/").await?;
    ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
    let state = cluster.converged(Duration::from_secs(30)).await?;
    run.say(format_args!("all nodes are in state {state}"));
    cluster.shutdown().await
}

/// Keeps uploads from running ahead of the kills: each takes a permit, and every kill brings new ones.
struct Pace {
    /// Uploads from one kill to the next.
    chunk: usize,
    permits: Semaphore,
}

/// What one client is to upload.
struct Work<'a> {
    client: usize,
    sizes: RangeInclusive<usize>,
    ledger: Ledger,
    pace: &'a Pace,
}

impl Work<'_> {
    /// Uploads as long as there are permits. Returns how many requests that took.
    async fn run(self, run: &Run, api: Api, nodes: &[Node]) -> Result<u64> {
        let seed = run.seed().derive(&format!("client {}", self.client));
        let mut sizes = seed.rng("sizes");
        let mut settler = Settler::new(&api, nodes, seed.rng("nodes"));
        for number in 0.. {
            let Ok(permit) = self.pace.permits.acquire().await else { break };
            permit.forget();
            let path = format!("chaos/{}/{number}", self.client);
            let content = Content::new(seed.derive(&path), log_uniform(&mut sizes, &self.sizes));
            let upload = Upload::new(&path, content.bytes()).key(format!("{}-{path}", run.seed()));
            let asset = settler.upload(&upload).await?;
            self.ledger.note(asset, &path, content)?;
        }
        Ok(settler.attempts())
    }
}

/// Whom to kill next.
#[derive(Clone, Copy)]
enum Victim {
    Leader,
    Slot(usize),
}

/// Kills in the middle of each chunk of uploads, and lets the victim come back.
async fn kill(run: &Run, cluster: &Cluster, ledger: &Ledger, pace: &Pace) -> Result<()> {
    let mut victims = vec![Victim::Leader; 3];
    victims.extend((0..cluster.nodes().len()).map(Victim::Slot));
    victims.shuffle(&mut run.seed().rng("victims"));
    for victim in victims {
        let node = match victim {
            Victim::Leader => cluster.leader().await?,
            Victim::Slot(slot) => cluster.node(slot).clone(),
        };
        let middle = ledger.len() + pace.chunk / 2;
        pace.permits.add_permits(pace.chunk);
        reach(ledger, middle).await?;
        node.kill_9().await?;
        let before = ledger.len();
        run.say(format_args!("kill -9 {} at {before} uploads", node.name()));
        // The others go on without it.
        pace.permits.add_permits(3);
        reach(ledger, before + 3).await?;
        node.start()?;
        node.ready(Duration::from_secs(60)).await?;
    }
    wait::until(Duration::from_secs(90), "the last uploads", || async { (pace.permits.available_permits() == 0).then_some(()) }).await?;
    pace.permits.close();
    Ok(())
}

/// Waits until so many uploads are acknowledged.
async fn reach(ledger: &Ledger, mark: usize) -> Result<()> {
    wait::until(Duration::from_secs(90), "uploads to go on", || async {
        let done = ledger.len();
        if done >= mark { Ok(()) } else { Err(format!("{done} of {mark} acknowledged")) }
    })
    .await?;
    Ok(())
}

const CLIENTS: usize = 8;
