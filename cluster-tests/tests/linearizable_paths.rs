//! Paths behave as if operations on them happened one after another.
//!
//! Clients put, delete and look up a few paths at nodes chosen at random, while leaders are killed, frozen, or cut off,
//! and come back. Each request
//! presents the newest revision that any client has seen, which makes reads at any node as good as reads at one place
//! (promise 3). What the clients saw is a history; the checker looks for an order in which it makes sense.

use anyhow::{Result, bail, ensure};
use cluster_tests::client::{Api, Outcome, Problem, Upload};
use cluster_tests::history::Recorder;
use cluster_tests::linearizability::{AssetPath, Checker, Held, PathOp, PathOutcome};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_linearizable() -> Result<()> {
    property("linearizable_paths", Limit::minutes(4, 8), linearizable_paths).await
}

type History = Recorder<PathOp, PathOutcome>;

async fn linearizable_paths(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).setting("cluster", "request_deadline", "3s").start().await?;
    let api = cluster.api("linearizable").await?.with_deadline(Duration::from_secs(2));
    let history = History::new();
    let steps = run.scaled(80, 150);
    let clients = (0..CLIENTS).map(|number| {
        let seed = run.seed().derive(&format!("client {number}"));
        let client = Client {
            number,
            api: api.clone().with_own_token(),
            nodes: cluster.nodes(),
            history: history.clone(),
            rng: seed.rng("steps"),
            seen: None,
            run: &run,
        };
        client.run(steps)
    });
    let (_, ()) = tokio::try_join!(try_join_all(clients), harm_leaders(&run, &cluster, &history, steps))?;

    let recorded = history.history();
    let path = std::env::temp_dir().join(format!("ncore-history-{}.jsonl", run.seed()));
    recorded.save(&path)?;
    let open = recorded.operations.iter().filter(|op| op.outcome.is_none()).count();
    run.say(format_args!("{} operations, {open} of them open, in {}", recorded.operations.len(), path.display()));
    ensure!(recorded.operations.len() > CLIENTS * steps / 4, "too few operations came about");
    Checker::default().check::<AssetPath>(&recorded).ok()?;
    std::fs::remove_file(&path)?;
    cluster.converged(Duration::from_secs(60)).await?;
    cluster.shutdown().await
}

/// What happens to a leader.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Kill,
    /// It does not run for a while, and does not know it.
    Freeze,
    /// Nobody hears it, and it hears nobody.
    CutOff,
}

/// Harms the leader when a part of the operations is behind, waits for the next leader, and lets the old one come back.
async fn harm_leaders(run: &Run, cluster: &Cluster, history: &History, steps: usize) -> Result<()> {
    let mut harms = [Harm::Kill, Harm::Freeze, Harm::CutOff];
    harms.shuffle(&mut run.seed().rng("harms"));
    for (number, harm) in harms.into_iter().enumerate() {
        let mark = CLIENTS * steps * (number + 1) / 5;
        wait::until(Duration::from_secs(90), "operations to go on", || async {
            let done = history.len();
            if done >= mark { Ok(()) } else { Err(format!("{done} of {mark}")) }
        })
        .await?;
        let leader = cluster.leader().await?;
        run.say(format_args!("{harm:?} the leader, {}", leader.name()));
        let others: Vec<Node> = cluster.nodes().iter().filter(|node| node.slot() != leader.slot()).cloned().collect();
        match harm {
            Harm::Kill => leader.kill_9().await?,
            Harm::Freeze => leader.pause()?,
            Harm::CutOff => cluster.links().isolate(leader.slot(), Cut::Silent),
        }
        let next = cluster.leader_among(&others).await?;
        run.say(format_args!("{} leads", next.name()));
        match harm {
            Harm::Kill => leader.start()?,
            Harm::Freeze => leader.resume()?,
            Harm::CutOff => cluster.links().heal_all(),
        }
        leader.ready(Duration::from_secs(60)).await?;
    }
    Ok(())
}

struct Client<'a> {
    number: usize,
    api: Api,
    nodes: &'a [Node],
    history: History,
    rng: StdRng,
    /// An asset that this client has met, and where: what it may delete.
    seen: Option<(String, String)>,
    run: &'a Run,
}

impl Client<'_> {
    async fn run(mut self, steps: usize) -> Result<()> {
        for step in 0..steps {
            let path = format!("linear/{}", self.rng.random_range(0..PATHS));
            match self.rng.random_range(0..10) {
                0..4 => self.put(&path, step).await?,
                4..6 => self.delete().await?,
                _ => self.get(&path).await?,
            }
        }
        Ok(())
    }

    async fn put(&mut self, path: &str, step: usize) -> Result<()> {
        let name = format!("{} {step}", self.number);
        let content = Content::new(self.run.seed().derive(&name), self.rng.random_range(1..4_000));
        let upload = Upload::new(path, content.bytes()).key(format!("{}-{name}", self.run.seed()));
        let call = self.call(PathOp::Put { path: path.to_owned(), sha256: short(&content.sha256()) });
        // Some clients never find out; most ask again, and for them it is one operation that took longer.
        let patience = if self.rng.random_bool(0.2) { 1 } else { 100 };
        let mut may_have_happened = false;
        for attempt in 0..patience {
            let node = self.node()?;
            match self.api.at(&node).up_to_date().upload(&upload).await {
                Outcome::Ok(asset) => {
                    call.returned(PathOutcome::Put { id: asset.id.clone() });
                    self.seen = Some((path.to_owned(), asset.id));
                    return Ok(());
                }
                Outcome::Unknown(_) => may_have_happened = true,
                Outcome::Unavailable(_) => {}
                Outcome::Rejected(problem) if problem.status == 409 => may_have_happened = true,
                Outcome::Rejected(problem) => bail!("put {path} at {}: {problem}", node.name()),
            }
            pause(attempt).await;
        }
        if !may_have_happened {
            call.did_not_happen();
        }
        Ok(())
    }

    async fn delete(&mut self) -> Result<()> {
        let Some((path, id)) = self.seen.clone() else { return Ok(()) };
        let node = self.node()?;
        let call = self.call(PathOp::Delete { path, id: id.clone() });
        match self.api.at(&node).up_to_date().delete(&id).await {
            Outcome::Ok(()) => call.returned(PathOutcome::Deleted),
            Outcome::Rejected(problem) if is_gone(&problem) => call.returned(PathOutcome::NotFound),
            Outcome::Rejected(problem) => bail!("delete {id} at {}: {problem}", node.name()),
            Outcome::Unavailable(_) => call.did_not_happen(),
            Outcome::Unknown(_) => drop(call),
        }
        Ok(())
    }

    async fn get(&mut self, path: &str) -> Result<()> {
        let node = self.node()?;
        let call = self.call(PathOp::Get { path: path.to_owned() });
        match self.api.at(&node).up_to_date().find(path).await {
            Outcome::Ok(found) => {
                self.seen = found.as_ref().map(|asset| (path.to_owned(), asset.id.clone())).or(self.seen.take());
                let held = found.map(|asset| Held { id: Some(asset.id), sha256: short(&asset.sha256.unwrap_or_default()) });
                call.returned(PathOutcome::Holds(held));
            }
            Outcome::Rejected(problem) => bail!("look {path} up at {}: {problem}", node.name()),
            Outcome::Unavailable(_) | Outcome::Unknown(_) => {
                call.did_not_happen();
                pause(1).await;
            }
        }
        Ok(())
    }

    fn call(&self, op: PathOp) -> cluster_tests::history::Call<PathOp, PathOutcome> {
        self.history.invoke(self.number as u64, op)
    }

    fn node(&mut self) -> Result<Node> {
        self.nodes.choose(&mut self.rng).cloned().ok_or_else(|| anyhow::anyhow!("there are no nodes"))
    }
}

/// Gives the cluster time to elect a leader; longer and longer, so that it is not drowned in requests.
async fn pause(attempt: u64) {
    tokio::time::sleep(Duration::from_millis(20 * (attempt + 1)).min(Duration::from_millis(300))).await;
}

/// Enough of a digest to tell contents apart, and to be read.
fn short(sha256: &str) -> String {
    sha256.get(..12).unwrap_or(sha256).to_owned()
}

fn is_gone(problem: &Problem) -> bool {
    matches!(problem.status, 404 | 410)
}

const CLIENTS: usize = 6;
const PATHS: usize = 3;
