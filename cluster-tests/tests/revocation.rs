//! Revoked means revoked (promise 8): no request that is sent after the answer to a revocation is let in, at any node.
//!
//! Three voters, two relays and two edges. In each round a token is used at every node, many times a second and whether or not earlier
//! requests were answered, while it is revoked at one of them; or its client is suspended. In some rounds a node is cut off from all
//! others, in some it is stopped (SIGSTOP) and goes on later, with requests waiting for it that were sent after the answer; in some an
//! edge loses the hub that it follows. What decides is when a request was *sent*: one that was under way may have been let in before.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Bearer};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sent_after_the_answer_is_let_in() -> Result<()> {
    property("revocation", Limit::minutes(6, 60), revocation).await
}

/// What else happens while a token is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    None,
    /// A node reaches no other.
    CutOff,
    /// A node is stopped, for so many milliseconds.
    Paused(u64),
    /// An edge loses its hub.
    Orphaned,
}

impl Fault {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "no fault",
            Self::CutOff => "cut off",
            Self::Paused(_) => "paused",
            Self::Orphaned => "another parent",
        }
    }
}

async fn revocation(run: Run) -> Result<()> {
    let cluster = Cluster::builder().relays("eu-ams", 1).edges("eu-ams", 1).relays("us-nyc", 1).edges("us-nyc", 1);
    let cluster = cluster.seed(run.seed()).start().await?;
    let api = cluster.api("revoker").await?;
    level_reached(&cluster, 4).await?;
    let mut choice = run.seed().rng("rounds");
    let mut times: BTreeMap<&str, Histogram<u64>> = BTreeMap::new();
    for number in 0..run.scaled(6, 100) {
        let fault = match number % 4 {
            0 => Fault::None,
            1 => Fault::CutOff,
            2 => Fault::Paused(choice.random_range(1_000..run.scaled(4_000, 30_000))),
            _ => Fault::Orphaned,
        };
        let at = cluster.node(choice.random_range(0..cluster.nodes().len())).clone();
        let others: Vec<&Node> = cluster.nodes().iter().filter(|node| node.slot() != at.slot()).collect();
        let victim = others[choice.random_range(0..others.len())].clone();
        let round = Round { run: &run, cluster: &cluster, api: &api, at, victim, fault };
        let took = round.play().await.with_context(|| format!("round {number}: {fault:?}, revoked at {}", round.at.name()))?;
        times.entry(fault.as_str()).or_insert_with(histogram).record(u64::try_from(took.as_micros())?)?;
    }
    let mut all = histogram();
    for (fault, times) in &times {
        all.add(times)?;
        run.say(format_args!("{fault}: {}", figures(times)));
    }
    run.say(format_args!("all: {}", figures(&all)));
    cluster.shutdown().await
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are a precision")
}

fn figures(times: &Histogram<u64>) -> String {
    let ms = |micros: u64| Duration::from_micros(micros);
    let (p50, p99) = (ms(times.value_at_quantile(0.5)), ms(times.value_at_quantile(0.99)));
    format!("{} rounds, time to the answer: p50 {p50:.1?}, p99 {p99:.1?}, max {:.1?}", times.len(), ms(times.max()))
}

struct Round<'a> {
    run: &'a Run,
    cluster: &'a Cluster,
    api: &'a Api,
    at: Node,
    victim: Node,
    fault: Fault,
}

impl Round<'_> {
    /// Gives how long the answer took.
    async fn play(&self) -> Result<Duration> {
        let token = self.api.bearer(&self.at).await?;
        let hammer = Hammer::start(self.cluster.nodes(), &token);
        wait::until(PATIENCE, "the token to be used at every node", || async { hammer.is_used_everywhere() }).await?;

        let healing = self.break_something().await?;
        let sent = Instant::now();
        let level = token.revoke(&self.at).await?;
        let answered = Instant::now();
        ensure!(level == "all", "the answer was at level {level}");
        // Requests go on, at a node that was stopped or cut off until it is back and for a while longer.
        tokio::time::sleep(AFTERWARDS).await;
        self.heal(healing).await?;
        self.settled().await?;
        tokio::time::sleep(AFTERWARDS).await;
        let tally = hammer.stop(answered).await?;
        self.run.say(format_args!(
            "{:?}, revoked at {}, victim {}: {:.2?}; let in {}, refused {}, of those sent after the answer {}",
            self.fault,
            self.at.name(),
            self.victim.name(),
            answered - sent,
            tally.let_in,
            tally.refused,
            tally.refused_after
        ));
        ensure!(tally.refused_after >= self.cluster.nodes().len(), "hardly anything was asked after the answer: {tally:?}");
        Ok(answered - sent)
    }

    /// Breaks what this round breaks, and says when it is to be mended.
    async fn break_something(&self) -> Result<Healing> {
        match self.fault {
            Fault::None => Ok(Healing::Nothing),
            Fault::CutOff => {
                self.cluster.links().isolate(self.victim.slot(), Cut::Silent);
                Ok(Healing::Links)
            }
            Fault::Paused(ms) => {
                self.victim.pause()?;
                Ok(Healing::Resume { at: Instant::now() + Duration::from_millis(ms) })
            }
            Fault::Orphaned => {
                let status = self.cluster.status().await?;
                let edges = self.cluster.nodes().iter().filter_map(|node| {
                    let parent = status.node(node.name())?.parent?;
                    let hub = self.cluster.nodes().iter().find(|hub| hub.id().is_ok_and(|id| id == parent))?;
                    Some((node, hub))
                });
                // The node that is asked keeps its links: its hub may be the leader, and without that it takes no change.
                let mut edges = edges.filter(|(node, _)| node.slot() != self.at.slot());
                let (edge, hub) = edges.next_back().context("no edge follows a hub")?;
                self.cluster.links().cut(edge.slot(), hub.slot(), Cut::Refused);
                Ok(Healing::Links)
            }
        }
    }

    async fn heal(&self, healing: Healing) -> Result<()> {
        match healing {
            Healing::Nothing => {}
            Healing::Links => self.cluster.links().heal_all(),
            Healing::Resume { at } => {
                tokio::time::sleep_until(at.into()).await;
                self.victim.resume()?;
            }
        }
        Ok(())
    }

    /// Waits until every node is fresh again, so that the next round begins with all of them.
    async fn settled(&self) -> Result<()> {
        try_join_all(self.cluster.nodes().iter().map(|node| node.ready(PATIENCE))).await?;
        wait::until(PATIENCE, "every node to be fresh", || async {
            let status = self.cluster.status().await?;
            for node in self.cluster.nodes() {
                let seen = status.node(node.name()).with_context(|| format!("{} is not in {status:?}", node.name()))?;
                ensure!(seen.freshness.as_deref() == Some("fresh"), "{} is {:?}", node.name(), seen.freshness);
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
}

/// How what was broken is mended.
enum Healing {
    Nothing,
    Links,
    Resume { at: Instant },
}

/// Requests with one token at every node.
struct Hammer {
    over: Arc<AtomicBool>,
    nodes: Vec<JoinSet<()>>,
    asked: Vec<Arc<Asked>>,
}

/// What was asked of one node.
#[derive(Default)]
struct Asked {
    under_way: AtomicUsize,
    /// When each request was sent, and the status of its answer.
    answers: Mutex<Vec<(Instant, u16)>>,
}

/// What came of the requests of a round.
#[derive(Debug, Default)]
struct Tally {
    let_in: usize,
    refused: usize,
    refused_after: usize,
}

impl Hammer {
    fn start(nodes: &[Node], token: &Bearer) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut hammer = Self { over, nodes: Vec::new(), asked: Vec::new() };
        for node in nodes {
            let asked = Arc::new(Asked::default());
            let mut tasks = JoinSet::new();
            tasks.spawn(ask_on(token.clone(), node.clone(), Arc::clone(&asked), Arc::clone(&hammer.over)));
            hammer.nodes.push(tasks);
            hammer.asked.push(asked);
        }
        hammer
    }

    fn is_used_everywhere(&self) -> Option<()> {
        self.asked.iter().all(|asked| asked.answers.lock().iter().any(|(_, status)| *status == 200)).then_some(())
    }

    /// Stops asking, waits for what is under way, and looks at what was let in.
    async fn stop(self, answered: Instant) -> Result<Tally> {
        self.over.store(true, Ordering::Relaxed);
        for mut tasks in self.nodes {
            while let Some(ended) = tasks.join_next().await {
                ended?;
            }
        }
        let mut tally = Tally::default();
        for (number, asked) in self.asked.iter().enumerate() {
            for (sent, status) in asked.answers.lock().iter() {
                let late = sent.checked_duration_since(answered);
                match (status, late) {
                    (200, Some(late)) => anyhow::bail!("node {number} let in what was sent {late:?} after the answer"),
                    (200, None) => tally.let_in += 1,
                    (401 | 503, late) => {
                        tally.refused += 1;
                        tally.refused_after += usize::from(late.is_some());
                    }
                    (other, _) => anyhow::bail!("node {number} answered {other}"),
                }
            }
        }
        Ok(tally)
    }
}

/// Asks one node again and again, whether or not it answers.
async fn ask_on(token: Bearer, node: Node, asked: Arc<Asked>, over: Arc<AtomicBool>) {
    let mut requests = JoinSet::new();
    while !over.load(Ordering::Relaxed) {
        let (token, node, asked_here) = (token.clone(), node.clone(), Arc::clone(&asked));
        asked.under_way.fetch_add(1, Ordering::Relaxed);
        requests.spawn(async move {
            let sent = Instant::now();
            // A connection that broke is neither.
            if let Ok(status) = token.ask(&node).await {
                asked_here.answers.lock().push((sent, status));
            }
            asked_here.under_way.fetch_sub(1, Ordering::Relaxed);
        });
        // A node that is stopped takes fewer, all of which it finds when it goes on.
        let pace = if asked.under_way.load(Ordering::Relaxed) < MANY { PACE } else { PACE * 10 };
        tokio::time::sleep(pace).await;
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
}

/// Waits until commands of this level may be used.
async fn level_reached(cluster: &Cluster, level: u32) -> Result<()> {
    wait::until(PATIENCE, "the schema level to be raised", || async {
        let status = cluster.status().await?;
        ensure!(status.schema_level >= level, "it is {}", status.schema_level);
        Ok(())
    })
    .await?;
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(60);
/// How long requests go on after the answer, and after a node is back.
const AFTERWARDS: Duration = Duration::from_millis(400);
/// The time between two requests at a node.
const PACE: Duration = Duration::from_millis(25);
/// So many requests without an answer are enough for a quick pace.
const MANY: usize = 40;
