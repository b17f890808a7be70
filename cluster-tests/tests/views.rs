//! No node takes its view for newer than it is (promise 5), on the history of a real cluster.
//!
//! Three voters, two relays and two edges. Clients write without a pause and note when each answer came and which revision it had: all up
//! to that one was committed by then. At the same time every node is asked again and again how old its view is at most, and which revision
//! it has. All processes are on one machine and so have one clock: a node that says at time `t` that its view is at most `s` old has
//! everything that was committed before `t - s`. Meanwhile leaders are killed, hubs cut off, nodes stopped and resumed.
//!
//! This is the invariant that the model of `control-plane/freshness` explores; `revocation.rs` holds the barrier to its own.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Revision, Upload};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Settler};
use cluster_tests::{Cluster, Node};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use rand::RngExt as _;
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn no_view_is_older_than_its_node_says() -> Result<()> {
    property("views", Limit::minutes(6, 20), views).await
}

async fn views(run: Run) -> Result<()> {
    let cluster = Cluster::builder().relays("eu-ams", 1).edges("eu-ams", 1).relays("us-nyc", 1).edges("us-nyc", 1);
    let cluster = cluster.seed(run.seed()).start().await?;
    let api = cluster.api("views").await?;
    let history = History::default();
    let over = AtomicBool::new(false);
    let clients = (0..CLIENTS).map(|client| write(&run, &api, cluster.nodes(), &history, client, &over));
    let watchers = cluster.nodes().iter().map(|node| watch(node, &history, &over));
    let faults = async {
        let result = break_things(&run, &cluster).await;
        over.store(true, Ordering::Relaxed);
        result
    };
    tokio::try_join!(try_join_all(clients), try_join_all(watchers), faults)?;
    history.check(&run, cluster.nodes().len())?;
    cluster.shutdown().await
}

/// What was seen, by the one clock of this machine.
#[derive(Default)]
struct History {
    /// When it was known that everything up to a revision is committed.
    committed: Mutex<Vec<(Instant, Revision)>>,
    /// What nodes said of their views.
    views: Mutex<Vec<View>>,
}

/// What a node said of its view.
struct View {
    node: String,
    /// Everything that was committed before this is in it.
    as_of: Instant,
    revision: Revision,
}

impl History {
    /// Compares each view with the newest of what had to be in it.
    fn check(&self, run: &Run, nodes: usize) -> Result<()> {
        let mut committed = self.committed.lock().clone();
        committed.sort();
        let mut newest = None;
        let floors: Vec<(Instant, Option<Revision>)> = committed
            .iter()
            .map(|(at, revision)| {
                newest = newest.max(Some(*revision));
                (*at, newest)
            })
            .collect();
        let views = self.views.lock();
        let mut tight = 0;
        for view in views.iter() {
            let before = floors.partition_point(|(at, _)| *at < view.as_of);
            let Some((at, Some(floor))) = before.checked_sub(1).map(|last| floors[last]) else { continue };
            ensure!(
                view.revision >= floor,
                "{} was at {} and took its view for younger than {floor}, which was committed {:?} before",
                view.node,
                view.revision,
                view.as_of - at
            );
            tight += usize::from(view.revision == floor);
        }
        run.say(format_args!("{} answers, {} views, {tight} of them with nothing to spare", floors.len(), views.len()));
        ensure!(floors.len() >= 50 && views.len() >= 100 * nodes, "too little was seen");
        Ok(())
    }
}

async fn write(run: &Run, api: &Api, nodes: &[Node], history: &History, client: usize, over: &AtomicBool) -> Result<()> {
    let seed = run.seed().derive(&format!("client {client}"));
    let api = api.clone().with_own_token();
    let mut settler = Settler::new(&api, nodes, seed.rng("nodes"));
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("views/{client}/{number}");
        let content = Content::new(seed.derive(&path), 100);
        settler.upload(&Upload::new(&path, content.bytes()).key(format!("{}-{path}", run.seed()))).await?;
        // The newest of all answers so far; none of them is later than now.
        let newest = api.newest().context("an answer without a revision")?;
        history.committed.lock().push((Instant::now(), newest));
    }
    Ok(())
}

/// What `/readyz` says.
#[derive(Deserialize)]
struct Readiness {
    revision: String,
    staleness_ms: Option<u64>,
}

/// Asks a node again and again. One that does not answer, or knows nothing of the age of its view, says nothing.
async fn watch(node: &Node, history: &History, over: &AtomicBool) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let url = format!("{}/readyz", node.url());
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        if let Ok(answer) = http.get(&url).send().await
            && let Ok(said) = answer.json::<Readiness>().await
            && let Some(staleness) = said.staleness_ms
        {
            // It looked after it was asked, and rounded down.
            let as_of = asked.checked_sub(Duration::from_millis(staleness + 1)).context("a time before the machine was started")?;
            let revision = said.revision.parse().context("what is no revision")?;
            history.views.lock().push(View { node: node.name().to_owned(), as_of, revision });
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// Kills a leader, cuts a node off, stops and resumes one, in turns.
async fn break_things(run: &Run, cluster: &Cluster) -> Result<()> {
    let mut choice = run.seed().rng("faults");
    for round in 0..run.scaled(3, 24) {
        let victim = cluster.nodes()[choice.random_range(0..cluster.nodes().len())].clone();
        let pause = Duration::from_millis(choice.random_range(500..run.scaled(3_000, 8_000)));
        match round % 3 {
            0 => {
                let leader = cluster.leader().await?;
                leader.kill_9().await?;
                tokio::time::sleep(pause / 2).await;
                leader.start()?;
                leader.ready(PATIENCE).await?;
            }
            1 => {
                cluster.links().isolate(victim.slot(), Cut::Silent);
                tokio::time::sleep(pause * 2).await;
                cluster.links().heal_all();
            }
            _ => {
                victim.pause()?;
                tokio::time::sleep(pause * 2).await;
                victim.resume()?;
            }
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

const CLIENTS: usize = 3;
/// The time between two questions to a node.
const PACE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
