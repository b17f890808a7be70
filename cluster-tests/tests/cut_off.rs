//! A node that is cut off goes on serving what it holds, refuses what it cannot promise, and comes back.
//!
//! Promises 6, 1 and 9: reads of held assets go on at the node that is cut off; a write there is answered with 503,
//! `Retry-After`, and an outcome that says whether it may have happened; the majority goes on; after healing all are in
//! the same state, and a write of unknown outcome can be settled with the same key.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::{Api, Cause, Outcome, Upload};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Entry, Settler};
use cluster_tests::{Cluster, Node, wait};
use rand::seq::SliceRandom as _;
use std::time::{Duration, Instant};

/// How long a node may wait for the others, as set for these nodes.
const REQUEST_DEADLINE: Duration = Duration::from_secs(3);
/// What an answer may take beyond that: everything that is not waiting for other nodes, on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_serves_and_refuses() -> Result<()> {
    property("cut_off", Limit::minutes(4, 10), cut_off).await
}

/// What is cut, and from where.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Follower(Cut),
    Leader(Cut),
    /// What the leader sends does not reach one follower.
    LeaderUnheard,
    /// What one follower sends does not reach the leader.
    FollowerUnheard,
}

async fn cut_off(run: Run) -> Result<()> {
    let cluster = Cluster::builder()
        .seed(run.seed())
        .setting("cluster", "request_deadline", format!("{}s", REQUEST_DEADLINE.as_secs()))
        .start()
        .await?;
    let api = cluster.api("cut-off").await?;
    let held = upload(&run, &api, &cluster, "held").await?;
    for node in cluster.nodes() {
        held.readable_at(&api, node, Duration::from_secs(30)).await?;
    }

    let mut scenes = vec![
        Scene::Follower(Cut::Silent),
        Scene::Leader(Cut::Silent),
        Scene::Follower(Cut::Refused),
        Scene::Leader(Cut::Refused),
        Scene::LeaderUnheard,
        Scene::FollowerUnheard,
    ];
    scenes.shuffle(&mut run.seed().rng("scenes"));
    for (number, scene) in scenes.into_iter().enumerate() {
        run.say(format_args!("{scene:?}"));
        let stage = Stage { run: &run, cluster: &cluster, api: api.clone().with_own_token(), held: &held, number };
        stage.play(scene).await.with_context(|| format!("{scene:?}"))?;
    }
    cluster.shutdown().await
}

struct Stage<'a> {
    run: &'a Run,
    cluster: &'a Cluster,
    api: Api,
    held: &'a Entry,
    number: usize,
}

impl Stage<'_> {
    async fn play(&self, scene: Scene) -> Result<()> {
        let leader = self.cluster.leader().await?;
        let follower = self.cluster.follower().await?;
        self.api.at(&leader).log_in().await?;
        let links = self.cluster.links();
        let open = match scene {
            Scene::Follower(how) => {
                links.isolate(follower.slot(), how);
                self.alone(&follower).await?
            }
            Scene::Leader(how) => {
                links.isolate(leader.slot(), how);
                self.alone(&leader).await?
            }
            Scene::LeaderUnheard => {
                links.one_way(leader.slot(), follower.slot());
                self.half_deaf(&follower).await?
            }
            Scene::FollowerUnheard => {
                links.one_way(follower.slot(), leader.slot());
                self.half_deaf(&follower).await?
            }
        };
        self.held.readable_at(&self.api, self.cluster.node(0), Duration::from_secs(5)).await?;
        links.heal_all();
        let healed = Instant::now();
        self.cluster.converged(Duration::from_secs(60)).await?;
        self.run.say(format_args!("the same state {:.2?} after healing", healed.elapsed()));
        self.settle(&open, "after").await?;
        Ok(())
    }

    /// A node without any other. Returns the upload that it did not acknowledge.
    async fn alone(&self, node: &Node) -> Result<Upload> {
        self.held.readable_at(&self.api, node, Duration::from_secs(5)).await.context("a read right after the cut")?;
        let upload = self.upload("alone");
        let start = Instant::now();
        let outcome = self.api.at(node).upload(&upload).await;
        let took = start.elapsed();
        self.run.say(format_args!("a write at {} after {took:.2?}: {outcome:?}", node.name()));
        let problem = match &outcome {
            Outcome::Unavailable(Cause::Answered(problem)) | Outcome::Unknown(Cause::Answered(problem)) => problem,
            other => bail!("a write at a node that is cut off must be answered and not done: {other:?}"),
        };
        ensure!(took < REQUEST_DEADLINE + SLACK, "the answer came after {took:?}");
        ensure!(problem.status == 503 && problem.retry_after.is_some(), "{problem:?}");
        ensure!(problem.content_type.starts_with("application/problem+json") && !problem.code.is_empty(), "{problem:?}");
        ensure!(matches!(problem.outcome.as_deref(), Some("unavailable" | "unknown")), "{problem:?}");
        // By now its view is older than the bound, and public content is served all the same.
        wait::throughout(Duration::from_secs(3), || self.held.readable_at(&self.api, node, Duration::from_secs(2))).await?;
        self.majority_goes_on(node).await?;
        Ok(upload)
    }

    /// A node that can be heard by some and not by others, or hear them.
    async fn half_deaf(&self, node: &Node) -> Result<Upload> {
        let upload = self.upload("half");
        if let Outcome::Rejected(problem) = self.api.at(node).upload(&upload).await {
            bail!("a write must be done, unavailable or unknown: {problem}");
        }
        self.held.readable_at(&self.api, node, Duration::from_secs(5)).await?;
        self.majority_goes_on(node).await?;
        Ok(upload)
    }

    /// The others accept a write, and find a leader first if they must.
    async fn majority_goes_on(&self, without: &Node) -> Result<()> {
        let others: Vec<Node> = self.cluster.nodes().iter().filter(|node| node.slot() != without.slot()).cloned().collect();
        let rng = self.run.seed().rng(&format!("majority {}", self.number));
        let start = Instant::now();
        let asset = Settler::new(&self.api, &others, rng).upload(&self.upload("majority")).await?;
        self.run.say(format_args!("the others took a write within {:.2?}", start.elapsed()));
        let there = self.api.at(&others[0]).up_to_date();
        wait::until(Duration::from_secs(30), "the write to be listed", || async {
            let found = there.find(&asset.path).await.done()?;
            ensure!(found.as_ref().is_some_and(|found| found.id == asset.id), "{found:?}");
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn settle(&self, upload: &Upload, purpose: &str) -> Result<()> {
        let rng = self.run.seed().rng(&format!("{purpose} {}", self.number));
        let asset = Settler::new(&self.api, self.cluster.nodes(), rng).upload(upload).await?;
        let entry = Entry { asset, content: self.content(purpose_of(upload.path())) };
        for node in self.cluster.nodes() {
            entry.readable_at(&self.api, node, Duration::from_secs(30)).await?;
        }
        Ok(())
    }

    fn upload(&self, purpose: &str) -> Upload {
        let path = format!("cut/{}/{purpose}", self.number);
        Upload::new(&path, self.content(purpose).bytes()).key(format!("{}-{path}", self.run.seed()))
    }

    fn content(&self, purpose: &str) -> Content {
        Content::new(self.run.seed().derive(&format!("{purpose} {}", self.number)), 100_000)
    }
}

fn purpose_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

async fn upload(run: &Run, api: &Api, cluster: &Cluster, name: &str) -> Result<Entry> {
    let content = Content::new(run.seed().derive(name), 3 << 20);
    let upload = Upload::new(format!("cut/{name}"), content.bytes()).key(name);
    Ok(Entry { asset: api.at(cluster.node(0)).upload(&upload).await.done()?, content })
}
