//! Whatever hubs die, every edge has the same history: no entry lost, doubled or out of order.
//!
//! Three regions with a voter, two relays and edges each. While clients write, relays and voters, the leader among them, are killed and
//! started again, several at a time, but never two voters. Meanwhile the state of every node is hashed again and again: two nodes that
//! have applied the same entries must have the same hash, whenever each of them got there. Afterwards every node comes to the same
//! state, lists every acknowledged write once, and none has stopped by itself: a node that is to apply an entry twice, or before its turn,
//! does.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::{Api, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const REGIONS: [&str; 3] = ["eu-ams", "us-nyc", "ap-sin"];
const RELAYS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_edge_has_the_same_history_whatever_hubs_die() -> Result<()> {
    property("hub_kills", Limit::minutes(4, 40), hub_kills).await
}

async fn hub_kills(run: Run) -> Result<()> {
    // The long form: three voters and thirty edges, six of them relays.
    let edges = run.scaled(1, 8);
    let plan = REGIONS.iter().fold(Cluster::builder(), |plan, region| plan.relays(region, RELAYS));
    let plan = REGIONS.iter().fold(plan, |plan, region| plan.edges(region, edges));
    let cluster = plan.seed(run.seed()).start().await?;
    let (voters, others) = cluster.nodes().split_at(REGIONS.len());
    let relays = &others[..REGIONS.len() * RELAYS];
    run.say(format_args!("{} voters, {} relays and {} edges", voters.len(), relays.len(), others.len() - relays.len()));
    let api = cluster.api("hub-kills").await?;
    follows_relays(&cluster, others).await?;

    let storm = Storm { run: &run, cluster: &cluster, end: Instant::now() + run.scaled(SHORT, LONG), over: AtomicBool::new(false) };
    let ledger = Ledger::new();
    let (kills, mut history) = (AtomicU64::new(0), History::default());
    let clients = (0..CLIENTS).map(|client| storm.write(&api, &ledger, client));
    let killers = async {
        let (one, other) = relays.split_at(relays.len() / 2);
        tokio::try_join!(
            storm.kill("relays", one, &kills),
            storm.kill("more relays", other, &kills),
            storm.kill("voters", voters, &kills)
        )?;
        storm.over.store(true, Ordering::Relaxed);
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(try_join_all(clients), killers, storm.compare(&mut history))?;
    let kills = kills.into_inner();
    run.say(format_args!("{kills} kills, {} writes acknowledged, {} states compared", ledger.len(), history.seen));
    ensure!(kills >= run.scaled(6, 150) && ledger.len() as u64 > kills, "hardly a storm");

    let state = cluster.converged(Duration::from_secs(120)).await?;
    run.say(format_args!("all {} nodes are in state {state}", cluster.nodes().len()));
    history.note(&cluster).await?;
    ensure!(history.seen > cluster.nodes().len(), "nothing to compare with");
    ledger.listed_once_at(&api, cluster.nodes(), "storm/").await?;
    for node in cluster.nodes() {
        ended_by_nobody_else(node)?;
    }
    cluster.shutdown().await
}

struct Storm<'a> {
    run: &'a Run,
    cluster: &'a Cluster,
    end: Instant,
    over: AtomicBool,
}

impl Storm<'_> {
    /// Uploads at nodes chosen at random, one after the other, until the kills are over.
    async fn write(&self, api: &Api, ledger: &Ledger, client: usize) -> Result<()> {
        let seed = self.run.seed().derive(&format!("client {client}"));
        let api = api.clone().with_own_token();
        let mut settler = Settler::new(&api, self.cluster.nodes(), seed.rng("nodes"));
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let path = format!("storm/{client}/{number}");
            let content = Content::new(seed.derive(&path), 2_000);
            let upload = Upload::new(&path, content.bytes()).key(format!("{}-{path}", self.run.seed()));
            ledger.note(settler.upload(&upload).await?, &path, content)?;
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// Kills one of `victims` after another, each for a moment.
    async fn kill(&self, name: &str, victims: &[Node], kills: &AtomicU64) -> Result<()> {
        let mut choice = self.run.seed().rng(name);
        while Instant::now() < self.end {
            let victim = victims.choose(&mut choice).context("there are victims")?;
            victim.kill_9().await.with_context(|| format!("{} must run until it is killed:\n{}", victim.name(), victim.log_tail(20)))?;
            kills.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(choice.random_range(0..2_500))).await;
            victim.start()?;
            // Of the voters the next one goes when this one is back.
            victim.ready(Duration::from_secs(60)).await?;
            tokio::time::sleep(Duration::from_millis(choice.random_range(0..2_500))).await;
        }
        Ok(())
    }

    /// Compares the states of all nodes until the kills are over.
    async fn compare(&self, history: &mut History) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            history.note(self.cluster).await?;
            tokio::time::sleep(COMPARE).await;
        }
        Ok(())
    }
}

/// The hash of the state at each index, whoever was there and whenever.
#[derive(Default)]
struct History {
    at: BTreeMap<u64, (String, String)>,
    seen: usize,
}

impl History {
    /// Takes the state of every node that answers.
    async fn note(&mut self, cluster: &Cluster) -> Result<()> {
        // An edge that is not killed: whoever is asked must be there for as long as it takes.
        let at = cluster.nodes().last().context("there are nodes")?;
        // A node that dies while it is asked is as good as one that was dead before.
        let Ok(status) = at.operator().status_with_state_hash().await else { return Ok(()) };
        for node in &status.nodes {
            let Some((index, hash)) = node.state() else { continue };
            self.seen += 1;
            let known = self.at.entry(index).or_insert_with(|| (hash.to_owned(), node.name.clone()));
            if known.0 != hash {
                bail!("at index {index} {} has state {hash}, and {} had {}", node.name, known.1, known.0);
            }
        }
        Ok(())
    }
}

/// Waits until every node follows: the edges a relay.
async fn follows_relays(cluster: &Cluster, others: &[Node]) -> Result<()> {
    wait::until(Duration::from_secs(60), "edges to follow relays", || async {
        let status = cluster.status().await?;
        for (at, node) in others.iter().enumerate() {
            let seen = status.node(node.name()).with_context(|| format!("{} is not in {status:?}", node.name()))?;
            let depth = if at < REGIONS.len() * RELAYS { 1 } else { 2 };
            ensure!(seen.parent.is_some() && seen.depth == depth, "{seen:?}");
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// That the node's log tells of no end but those it was given.
fn ended_by_nobody_else(node: &Node) -> Result<()> {
    let bytes = fs::read(node.log_path()).with_context(|| format!("read the log of {}", node.name()))?;
    let text = String::from_utf8_lossy(&bytes);
    let bad = text.lines().find(|line| ["must stop", "the node stops", "panicked"].iter().any(|sign| line.contains(sign)));
    ensure!(bad.is_none(), "{}: {}", node.name(), bad.unwrap_or_default());
    Ok(())
}

const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(600);
const CLIENTS: usize = 3;
const PACE: Duration = Duration::from_millis(400);
const COMPARE: Duration = Duration::from_secs(5);
