//! One token at every node at three times its limit: the cluster as a whole admits what the limit says; purges are counted one by one. And with
//! a node killed or frozen in the middle: nobody is refused for want of somebody who counts, no more is admitted than the documentation says,
//! and of purges never more than the limit.
//!
//! The short form has a window of a few seconds, the long one the limits and the window of the product.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn one_token_at_every_node_gets_its_limit() -> Result<()> {
    property("rate_limits", Limit::minutes(3, 12), counted_together).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_takes_no_limit_along() -> Result<()> {
    property("rate_limits_killed", Limit::minutes(3, 12), async |run| counted_without_one(run, Harm::Killed).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_nothing_is_waited_for_once() -> Result<()> {
    property("rate_limits_frozen", Limit::minutes(3, 12), async |run| counted_without_one(run, Harm::Frozen).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_are_exact_whatever_dies() -> Result<()> {
    property("rate_limits_purges", Limit::minutes(4, 12), async |run| {
        for harm in [Harm::Killed, Harm::Frozen] {
            purges_without_one(&run, harm).await.with_context(|| format!("a node is {harm:?}"))?;
        }
        Ok(())
    })
    .await
}

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Killed,
    /// Its connections stay, and nobody says that it is gone.
    Frozen,
}

async fn counted_together(run: Run) -> Result<()> {
    let plan = Plan { limit: run.scaled(120, 1_000), purges: run.scaled(12, 60), window: window(&run) };
    let cluster = plan.cluster(&run).await?;
    let load = Load::new(&cluster, &plan).await?;
    // Tokens of their own, as a purge counts for both limits.
    let (lists, purges) = (load.token(&cluster).await?, load.token(&cluster).await?);
    let (lists, purges) = tokio::join!(
        load.run(cluster.nodes(), &lists, Request::List, plan.limit),
        load.run(cluster.nodes(), &purges, Request::Purge, plan.purges),
    );
    lists.report(&run, "lists", plan.limit, plan.window);
    purges.report(&run, "purges", plan.purges, plan.window);
    ensure!(lists.failed.is_empty() && purges.failed.is_empty(), "{:?} {:?}", lists.failed, purges.failed);

    let (admitted, allowed) = (lists.admitted.len(), plan.limit * WINDOWS);
    ensure!(admitted * 100 >= allowed * 95 && admitted * 100 <= allowed * 105, "{admitted} lists admitted of {allowed}");
    let most = lists.most_within(plan.window);
    ensure!(most <= plan.limit + cluster.nodes().len(), "{most} lists in one window, of {}", plan.limit);

    let (admitted, allowed) = (purges.admitted.len(), plan.purges * WINDOWS);
    ensure!(admitted == allowed, "{admitted} purges admitted of {allowed}, and enough were asked for");
    let most = purges.most_within(plan.window);
    ensure!(most <= plan.purges, "{most} purges in one window, of {}", plan.purges);
    cluster.shutdown().await
}

async fn counted_without_one(run: Run, harm: Harm) -> Result<()> {
    let plan = Plan { limit: run.scaled(30, 1_000), purges: 0, window: window(&run) };
    let cluster = plan.cluster(&run).await?;
    let load = Load::new(&cluster, &plan).await?;
    // Of so many tokens the node that dies is the home of some, most probably.
    let mut tokens = Vec::new();
    for _ in 0..TOKENS {
        tokens.push(load.token(&cluster).await?);
    }
    let death = async {
        tokio::time::sleep(plan.window.mul_f64(1.2)).await;
        match harm {
            Harm::Killed => cluster.node(0).kill_9().await,
            Harm::Frozen => cluster.node(0).pause(),
        }
    };
    let loads = join_all(tokens.iter().map(|token| load.run(cluster.nodes(), token, Request::List, plan.limit)));
    let (loads, killed) = tokio::join!(loads, death);
    killed?;
    if harm == Harm::Frozen {
        cluster.node(0).resume()?;
    }
    for counts in loads {
        counts.report(&run, &format!("lists, and a node is {harm:?} after 1.2 windows"), plan.limit, plan.window);
        ensure!(counts.failed.is_empty(), "refused for another reason than the limit: {:?}", counts.failed);
        let (admitted, allowed) = (counts.admitted.len(), plan.limit * WINDOWS);
        // What the dead node knew alone is admitted once more, at most. What it held is lost, and so is its share until another is the home.
        ensure!(admitted <= allowed + plan.limit, "{admitted} admitted of {allowed}");
        ensure!(admitted * 3 >= allowed * 2, "{admitted} admitted of {allowed}");
        let most = counts.most_within(plan.window);
        ensure!(most <= 2 * plan.limit + cluster.nodes().len(), "{most} in one window, of {}", plan.limit);
    }
    cluster.shutdown().await
}

/// Each node is the home of some tokens. One of them is away for half a window, and comes back, and then so does the leader. Until the first
/// goes, it alone is asked: of the tokens whose home it is, nobody else knows what was used.
async fn purges_without_one(run: &Run, harm: Harm) -> Result<()> {
    let plan = Plan { limit: 0, purges: run.scaled(12, 60), window: window(run) };
    let cluster = plan.cluster(run).await?;
    counted_by_the_log(&cluster).await?;
    let load = Load::new(&cluster, &plan).await?;
    let mut tokens = Vec::new();
    for _ in 0..TOKENS {
        tokens.push(load.token(&cluster).await?);
    }
    let (leader, follower) = (cluster.leader().await?, cluster.follower().await?);
    let at_first = (&follower, plan.window.mul_f64(0.4));
    let harmed = async {
        for (node, away) in [(&follower, 0.5), (&leader, 0.9)] {
            // By then the permits of a window are used up.
            tokio::time::sleep(plan.window.mul_f64(0.4)).await;
            match harm {
                Harm::Killed => node.kill_9().await?,
                Harm::Frozen => node.pause()?,
            }
            tokio::time::sleep(plan.window.mul_f64(away)).await;
            match harm {
                Harm::Killed => node.start()?,
                Harm::Frozen => node.resume()?,
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    let loads = join_all(tokens.iter().map(|token| load.run_at(cluster.nodes(), Some(at_first), token, Request::Purge, plan.purges)));
    let (loads, harmed) = tokio::join!(loads, harmed);
    harmed?;
    for counts in loads {
        counts.report(run, &format!("purges, and nodes are {harm:?}"), plan.purges, plan.window);
        ensure!(counts.failed.is_empty(), "refused for another reason than the limit: {:?}", counts.failed);
        let most = counts.most_within(plan.window);
        ensure!(most <= plan.purges, "{most} purges in one window, of {}", plan.purges);
        let (admitted, allowed) = (counts.admitted.len(), plan.purges * WINDOWS);
        ensure!(admitted * 3 >= allowed, "only {admitted} purges of {allowed}");
    }
    for node in cluster.nodes() {
        node.ready(PATIENCE).await?;
    }
    cluster.shutdown().await
}

/// The log counts purges from this level on.
async fn counted_by_the_log(cluster: &Cluster) -> Result<()> {
    wait::until(PATIENCE, "schema level 7", || async {
        let status = cluster.status().await?;
        ensure!(status.schema_level >= 7, "at level {}", status.schema_level);
        Ok(())
    })
    .await?;
    Ok(())
}

fn window(run: &Run) -> Duration {
    Duration::from_secs(run.scaled(6, 60))
}

/// What is allowed. Everything is asked for at three times that.
struct Plan {
    limit: usize,
    purges: usize,
    window: Duration,
}

impl Plan {
    async fn cluster(&self, run: &Run) -> Result<Cluster> {
        let window = format!("{}s", self.window.as_secs());
        let cluster = Cluster::builder().seed(run.seed()).setting("rates", "window", window.as_str());
        let cluster = cluster.setting("rates", "per_token", self.limit as u64).setting("rates", "purges", self.purges as u64);
        cluster.start().await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    List,
    Purge,
}

/// What was answered.
#[derive(Debug, Default)]
struct Counts {
    /// When, since the beginning, requests that were admitted were sent, and answered.
    admitted: Vec<(Duration, Duration)>,
    refused: usize,
    /// By a node that is not there, or that cannot check a token now (503); and how that showed, the last time.
    unanswered: usize,
    unanswered_why: String,
    /// What should not be, by status.
    failed: BTreeMap<String, usize>,
}

impl Counts {
    /// The most that were certainly decided within some stretch of this length: all of the time in which each was under way is in it.
    fn most_within(&self, window: Duration) -> usize {
        let begins = self.admitted.iter().map(|(sent, _)| *sent);
        let within = |begin: Duration| self.admitted.iter().filter(|(sent, answered)| *sent >= begin && *answered < begin + window).count();
        begins.map(within).max().unwrap_or(0)
    }

    fn report(&self, run: &Run, what: &str, limit: usize, window: Duration) {
        let mut by_window = vec![0_usize; WINDOWS];
        for (sent, _) in &self.admitted {
            let window = usize::try_from(sent.as_millis() / window.as_millis()).unwrap_or(WINDOWS);
            by_window[window.min(WINDOWS - 1)] += 1;
        }
        let (admitted, allowed) = (self.admitted.len(), limit * WINDOWS);
        let longest = self.admitted.iter().map(|(sent, answered)| *answered - *sent).max().unwrap_or_default();
        run.say(format_args!(
            "{what}: {admitted} admitted of {allowed} ({:.1} %), {by_window:?} by window of {window:?}, {} at most in any, \
             admitted within {longest:.1?}, {} refused, {} unanswered ({})",
            100.0 * admitted as f64 / allowed as f64,
            self.most_within(window),
            self.refused,
            self.unanswered,
            self.unanswered_why,
        ));
    }
}

struct Load {
    http: reqwest::Client,
    window: Duration,
    client_id: String,
    secret: String,
}

impl Load {
    async fn new(cluster: &Cluster, plan: &Plan) -> Result<Self> {
        let credentials = cluster.node(0).operator().add_client("limited").await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, window: plan.window, client_id: credentials.client_id, secret: credentials.secret })
    }

    /// A token that every node takes.
    async fn token(&self, cluster: &Cluster) -> Result<String> {
        let body = serde_json::json!({"client_id": self.client_id, "secret": self.secret});
        let token = wait::until(PATIENCE, "a token", || async {
            let url = format!("{}/api/v2/auth/token", cluster.node(0).url());
            let answer: serde_json::Value = self.http.post(url).json(&body).send().await?.error_for_status()?.json().await?;
            answer["access_token"].as_str().map(str::to_owned).context("a token")
        })
        .await?;
        cluster.converged(PATIENCE).await?;
        Ok(token)
    }

    /// Asks the nodes in turn, at three times `limit` in each window, whatever they answer, until a fourth window would begin.
    async fn run(&self, nodes: &[Node], token: &str, what: Request, limit: usize) -> Counts {
        self.run_at(nodes, None, token, what, limit).await
    }

    /// The same, at one node only at first, for so long.
    async fn run_at(&self, nodes: &[Node], at_first: Option<(&Node, Duration)>, token: &str, what: Request, limit: usize) -> Counts {
        let pause = self.window / u32::try_from(3 * limit).unwrap_or(u32::MAX);
        let end = self.window.mul_f64(WINDOWS as f64 - 1.0 / 12.0);
        let (begin, mut ticks, mut under_way) = (Instant::now(), tokio::time::interval(pause), JoinSet::new());
        for node in nodes.iter().cycle() {
            ticks.tick().await;
            if begin.elapsed() > end {
                break;
            }
            let node = at_first.filter(|(_, time)| begin.elapsed() < *time).map_or(node, |(first, _)| first);
            let request = match what {
                Request::List => self.http.get(format!("{}/api/v2/assets", node.url())),
                Request::Purge => {
                    let body = serde_json::json!({"pattern": "nothing/*"});
                    self.http.post(format!("{}/api/v2/cache/purge", node.url())).json(&body)
                }
            };
            let request = request.bearer_auth(token);
            under_way.spawn(async move {
                let sent = begin.elapsed();
                let answer = request.send().await;
                (sent, begin.elapsed(), answer.map(|answer| Answer::of(&answer)))
            });
        }
        let mut counts = Counts::default();
        for (sent, answered, answer) in under_way.join_all().await {
            match answer {
                Ok(Answer::Admitted) => counts.admitted.push((sent, answered)),
                Ok(Answer::Refused) => counts.refused += 1,
                Ok(Answer::Away) => {
                    counts.unanswered += 1;
                    counts.unanswered_why = "503".to_owned();
                }
                Ok(Answer::Other(what)) => *counts.failed.entry(what).or_default() += 1,
                Err(error) => {
                    counts.unanswered += 1;
                    counts.unanswered_why = format!("{error:?}");
                }
            }
        }
        counts
    }
}

enum Answer {
    Admitted,
    Refused,
    Away,
    Other(String),
}

impl Answer {
    fn of(answer: &reqwest::Response) -> Self {
        let has = |name: &str| answer.headers().contains_key(name);
        let says =
            ["ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].into_iter().all(has);
        match answer.status().as_u16() {
            200 if says => Self::Admitted,
            429 if says && has("retry-after") && has("x-request-id") => Self::Refused,
            503 => Self::Away,
            status => Self::Other(format!("{status}: {:?}", answer.headers())),
        }
    }
}

const WINDOWS: usize = 3;
const TOKENS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
