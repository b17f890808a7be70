//! Viewers and clients at every node, and what became of each of their requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use cluster_tests::client::{Api, Bytewise, Outcome, Upload};
use cluster_tests::run::Run;
use cluster_tests::workload::{Content, Ledger};
use cluster_tests::{Cluster, Seed, wait};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::balancer::Balancer;
use super::watch::Moves;

/// The load, running.
pub(crate) struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<()>>,
}

/// What came of it.
pub(crate) struct Report {
    shared: Arc<Shared>,
}

struct Shared {
    api: Api,
    balancer: Arc<Balancer>,
    seed: Seed,
    /// What viewers read: it is at every node before the upgrade begins.
    shelf: Vec<(String, Content)>,
    reads: Vec<AtomicU64>,
    writes: Vec<AtomicU64>,
    failed_reads: Mutex<Vec<String>>,
    attempts: Mutex<Vec<Attempt>>,
    ledger: Ledger,
    over: AtomicBool,
}

/// An upload that was sent.
struct Attempt {
    sent: Instant,
    answered: Instant,
    failure: Option<String>,
}

impl Load {
    /// Fills the shelf, and begins to read and write at every node.
    pub(crate) async fn start(run: &Run, cluster: &Cluster, balancer: &Arc<Balancer>) -> Result<Self> {
        let api = cluster.api("upgrade").await?;
        let seed = run.seed().derive("load");
        let shelf = SHELF.iter().enumerate();
        let shelf: Vec<_> =
            shelf.map(|(at, size)| (format!("shelf/{at}"), Content::new(seed.derive(&format!("shelf {at}")), *size))).collect();
        let ledger = Ledger::new();
        for (path, content) in &shelf {
            let asset = api.at(cluster.node(0)).upload(&Upload::new(path, content.bytes())).await.done()?;
            ledger.note(asset, path, *content)?;
        }
        ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(60)).await?;
        let counters = || cluster.nodes().iter().map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            api,
            balancer: Arc::clone(balancer),
            seed,
            shelf,
            reads: counters(),
            writes: counters(),
            failed_reads: Mutex::default(),
            attempts: Mutex::default(),
            ledger,
            over: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for home in 0..cluster.nodes().len() {
            tasks.spawn(Arc::clone(&shared).view(home));
            tasks.spawn(Arc::clone(&shared).view_slowly(home));
            tasks.spawn(Arc::clone(&shared).write(home));
        }
        Ok(Self { shared, tasks })
    }

    /// Waits until every viewer and every client has done some more.
    pub(crate) async fn goes_on(&self, run: &Run) -> Result<()> {
        let counts = |counters: &[AtomicU64]| counters.iter().map(|counter| counter.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let (reads, writes) = (counts(&self.shared.reads), counts(&self.shared.writes));
        let more = run.scaled(5, 40);
        wait::until(Duration::from_secs(90), "the load to go on", || async {
            let failed = self.shared.failed_reads.lock().first().cloned();
            if failed.is_some() {
                return Ok(failed);
            }
            let (now_reads, now_writes) = (counts(&self.shared.reads), counts(&self.shared.writes));
            let went_on = |before: &[u64], now: &[u64]| before.iter().zip(now).all(|(before, now)| *now >= before + more);
            ensure!(went_on(&reads, &now_reads) && went_on(&writes, &now_writes), "{now_reads:?} reads, {now_writes:?} writes");
            Ok(None)
        })
        .await?
        .map_or(Ok(()), |failed| Err(anyhow!("a read failed: {failed}")))
    }

    /// Ends it.
    pub(crate) async fn end(mut self) -> Result<Report> {
        self.shared.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a part of the load died")??;
        }
        Ok(Report { shared: self.shared })
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Reads what stands on the shelf, and lists it, one after the other.
    async fn view(self: Arc<Self>, home: usize) -> Result<()> {
        let mut number = home;
        while !self.is_over() {
            number += 1;
            // The largest is for those on slow lines: to compare it each time would be the load.
            let (path, content) = &self.shelf[number % (self.shelf.len() - 1)];
            let node = self.balancer.choose(home);
            let there = self.api.at(node);
            let failed = match there.get(path).await {
                Outcome::Ok(download) if download.judge(&content.bytes()) == Bytewise::Right => None,
                Outcome::Ok(download) => Some(format!("{:?}", download.judge(&content.bytes()))),
                other => Some(format!("{:?}", other.done().err())),
            };
            let unlisted = match there.page("shelf/", None).await {
                Outcome::Ok(page) if page.assets.len() == self.shelf.len() => None,
                Outcome::Ok(page) => Some(format!("{} assets are listed", page.assets.len())),
                other => Some(format!("{:?}", other.done().err())),
            };
            for what in failed.into_iter().chain(unlisted) {
                self.failed_reads.lock().push(format!("{path} at {}: {what}", node.name()));
            }
            self.reads[home].fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// A viewer on a slow line: some seconds for the largest asset, over which the node may be told to stop.
    async fn view_slowly(self: Arc<Self>, home: usize) -> Result<()> {
        let (path, content) = self.shelf.iter().max_by_key(|(_, content)| content.size()).context("an empty shelf")?;
        let expected = content.bytes();
        while !self.is_over() {
            let node = self.balancer.choose(home);
            if let Err(error) = read_slowly(&format!("{}/assets/{path}", node.url()), &expected).await {
                self.failed_reads.lock().push(format!("{path}, slowly, at {}: {error:#}", node.name()));
            }
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// Uploads, each followed up by its key until it is done.
    async fn write(self: Arc<Self>, home: usize) -> Result<()> {
        let api = self.api.clone().with_own_token();
        for number in 0.. {
            if self.is_over() {
                break;
            }
            let path = format!("written/{home}/{number}");
            let content = Content::new(self.seed.derive(&path), 5_000);
            let upload = Upload::new(&path, content.bytes()).key(format!("{}-{path}", self.seed));
            let asset = wait::until(Duration::from_secs(60), "an upload to be settled", || async {
                let node = self.balancer.choose(home);
                let sent = Instant::now();
                let outcome = api.at(node).upload(&upload).await;
                let failure = (!matches!(outcome, Outcome::Ok(_))).then(|| format!("{path} at {}: {outcome:?}", node.name()));
                self.attempts.lock().push(Attempt { sent, answered: Instant::now(), failure });
                outcome.done().map_err(|not| anyhow!("{not}"))
            })
            .await?;
            self.ledger.note(asset, &path, content)?;
            self.writes[home].fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }
}

async fn read_slowly(url: &str, expected: &[u8]) -> Result<()> {
    let mut response = reqwest::get(url).await?.error_for_status()?;
    let mut at = 0;
    let pieces = u32::try_from(expected.len() / PIECE)?.max(1);
    let mut paid = 0;
    while let Some(chunk) = response.chunk().await? {
        ensure!(expected.get(at..at + chunk.len()) == Some(&chunk[..]), "wrong after byte {at}");
        at += chunk.len();
        while paid < at / PIECE {
            paid += 1;
            tokio::time::sleep(SLOW_READ / pieces).await;
        }
    }
    ensure!(at == expected.len(), "ended after {at} bytes");
    Ok(())
}

impl Report {
    /// Says the figures, and checks that no read failed, and no write but while the leadership moved.
    pub(crate) fn check(&self, run: &Run, moves: &Moves) -> Result<()> {
        let reads: u64 = self.shared.reads.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
        let attempts = self.shared.attempts.lock();
        let failed: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.failure.is_some()).collect();
        let longest = attempts.iter().map(|attempt| attempt.answered - attempt.sent).max().unwrap_or_default();
        let span = failed.iter().map(|attempt| attempt.answered - attempt.sent).sum::<Duration>();
        let (count, moving) = moves.summary();
        run.say(format_args!("{} reads and lists of {reads} rounds failed", self.shared.failed_reads.lock().len()));
        run.say(format_args!("the leadership moved {count} times, for {moving:.2?} at most"));
        run.say(format_args!(
            "{} of {} writes failed, after {span:.2?} together; the slowest took {longest:.2?}",
            failed.len(),
            attempts.len()
        ));
        ensure!(self.shared.failed_reads.lock().is_empty(), "{:#?}", self.shared.failed_reads.lock());
        for attempt in failed {
            let failure = attempt.failure.as_deref().unwrap_or_default();
            ensure!(moves.touch(attempt.sent, attempt.answered), "a write failed while nobody's leadership moved: {failure}");
        }
        Ok(())
    }

    /// Every upload that was acknowledged is at every node, once.
    pub(crate) async fn nothing_is_lost(&self, cluster: &Cluster) -> Result<()> {
        let Shared { api, ledger, .. } = &*self.shared;
        ledger.listed_once_at(api, cluster.nodes(), "").await?;
        ledger.readable_at(api, cluster.nodes(), Duration::from_secs(90)).await
    }
}

/// Sizes of the assets that are read. The last is larger than what sockets hold on the way.
const SHELF: [usize; 6] = [0, 10, 5_000, 100_000, 2_000_000, 16_000_000];
/// How long a slow viewer takes for the largest: longer than a node that is to stop still takes requests.
const SLOW_READ: Duration = Duration::from_secs(4);
const PIECE: usize = 256 << 10;
const PACE: Duration = Duration::from_millis(100);
