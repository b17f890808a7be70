//! Uploads in pieces go on while nodes die.
//!
//! Clients send files in pieces of random length, each to a node chosen at random, while nodes are killed without warning. After
//! whatever happened they ask any node how far they are, and go on from there. No node ever tells less than was acknowledged
//! (promise 1), and each file is whole at every node in the end.

use anyhow::{Context as _, Result, anyhow, ensure};
use cluster_tests::client::{Uploader, offset_of};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, log_uniform};
use cluster_tests::{Cluster, Node, Seed, wait};
use futures_util::future::try_join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_is_never_taken_back() -> Result<()> {
    property("resumable_kills", Limit::minutes(4, 15), kills).await
}

async fn kills(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let client = Uploader::add(&cluster).await?;
    let (ledger, killed) = (Ledger::new(), CancellationToken::new());
    let writers = (0..CLIENTS).map(|number| {
        let seed = run.seed().derive(&format!("client {number}"));
        Writer { client: &client, nodes: cluster.nodes(), rng: seed.rng("choices"), broken: 0 }.run(seed, number, &ledger, &killed)
    });
    let (broken, ()) = tokio::try_join!(try_join_all(writers), kill(&run, &cluster, &killed))?;
    run.say(format_args!("{} uploads, {} requests without a good answer", ledger.len(), broken.iter().sum::<usize>()));
    cluster.converged(Duration::from_secs(60)).await?;
    ledger.readable_at(client.api(), cluster.nodes(), Duration::from_secs(60)).await?;
    cluster.converged(Duration::from_secs(30)).await?;
    cluster.shutdown().await
}

/// Kills nodes one after the other, and lets each come back.
async fn kill(run: &Run, cluster: &Cluster, killed: &CancellationToken) -> Result<()> {
    let mut rng = run.seed().rng("victims");
    for _ in 0..run.scaled(4, 20) {
        let node = cluster.nodes().choose(&mut rng).context("a node")?;
        sleep(Duration::from_millis(rng.random_range(500..2_500))).await;
        node.kill_9().await?;
        run.say(format_args!("kill -9 {}", node.name()));
        sleep(Duration::from_millis(rng.random_range(500..2_500))).await;
        node.start()?;
        node.ready(Duration::from_secs(60)).await?;
    }
    killed.cancel();
    Ok(())
}

/// One client, who uploads one file after the other.
struct Writer<'a> {
    client: &'a Uploader,
    nodes: &'a [Node],
    rng: StdRng,
    /// Requests without a good answer.
    broken: usize,
}

impl<'a> Writer<'a> {
    /// Uploads until no more nodes are killed. Gives how many requests had no good answer.
    async fn run(mut self, seed: Seed, number: usize, ledger: &Ledger, killed: &CancellationToken) -> Result<usize> {
        let mut file = 0;
        while file == 0 || !killed.is_cancelled() {
            let path = format!("pieces/{number}/{file}");
            let content = Content::new(seed.derive(&path), log_uniform(&mut self.rng, &(1 << 10..=6 << 20)));
            self.upload(&path, &content).await.with_context(|| path.clone())?;
            let (client, node) = (self.client, self.node());
            let asset = wait::until(SETTLE, "the asset", || async {
                let found = client.api().at(node).up_to_date().find(&path).await.done().map_err(|error| anyhow!(error))?;
                found.context("all of its bytes were there, and there is no asset")
            });
            ledger.note(asset.await?, &path, content)?;
            file += 1;
        }
        Ok(self.broken)
    }

    async fn upload(&mut self, path: &str, content: &Content) -> Result<()> {
        let bytes = content.bytes();
        let length = bytes.len() as u64;
        let upload = loop {
            match self.client.create(self.node(), path, bytes.len()).await {
                Ok(upload) => break upload,
                Err(_) => self.pause().await,
            }
        };
        // How far it is known to be there, and how far it was ever sent.
        let (mut there, mut furthest) = (0, 0);
        while there < length {
            let from = usize::try_from(there)?;
            let piece = bytes.slice(from..bytes.len().min(from + self.rng.random_range(1..1 << 20)));
            let sent = there + piece.len() as u64;
            furthest = sent.max(furthest);
            match self.client.append(self.node(), &upload, there, piece).await {
                Ok(answer) if answer.status() == 204 => {
                    let acknowledged = offset_of(&answer)?;
                    ensure!(acknowledged == sent, "{sent} bytes were sent, and {acknowledged} acknowledged");
                    there = acknowledged;
                    continue;
                }
                Ok(answer) => ensure!(answer.status() == 409 || answer.status().is_server_error(), "{answer:?}"),
                Err(_) => {}
            }
            self.pause().await;
            match self.client.offset(self.node(), &upload).await {
                Ok(told) => {
                    ensure!((there..=furthest).contains(&told), "{there} of {furthest} bytes were acknowledged, and {told} are told");
                    there = told;
                }
                Err(_) => self.pause().await,
            }
        }
        Ok(())
    }

    fn node(&mut self) -> &'a Node {
        &self.nodes[self.rng.random_range(0..self.nodes.len())]
    }

    async fn pause(&mut self) {
        self.broken += 1;
        sleep(Duration::from_millis(100)).await;
    }
}

const CLIENTS: usize = 4;
const SETTLE: Duration = Duration::from_secs(60);
