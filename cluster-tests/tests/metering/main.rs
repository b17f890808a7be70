//! What clients use is counted once: exactly while nothing crashes, whatever becomes of leaders, links and answers, and over clean restarts;
//! never more than the truth; and a crash loses what one node counted in ten seconds at most. Every node gives the same answer.
//!
//! The truth is that of a load which notes each answer that it got ([`truth`]). What is compared is every figure of
//! `GET /api/v2/metrics`, of every client, hour and day, as every node gives it ([`books`]).

mod books;
mod load;
mod truth;

use anyhow::{Context as _, Result, ensure};
use books::{Books, Settled};
use cluster_tests::link::Cut;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, Node, wait};
use load::Load;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use truth::{Figures, Kill};

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_exact_while_nothing_crashes() -> Result<()> {
    property("metering_exact", Limit::minutes(3, 15), exact).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_ten_seconds_of_a_node_at_most() -> Result<()> {
    property("metering_kills", Limit::minutes(3, 15), async |run| kills(run, When::Ever).await).await
}

/// Hardly anything is lost then, in which a report that counts twice could hide.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_a_report_counts_nothing_twice() -> Result<()> {
    property("metering_reported", Limit::minutes(3, 15), async |run| kills(run, When::Reported).await).await
}

/// When nodes are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// At any time.
    Ever,
    /// As soon as a report is taken.
    Reported,
}

async fn exact(run: Run) -> Result<()> {
    let cluster = cluster(&run).await?;
    let load = Load::prepare(&run, &cluster).await?;
    let (mut books, mut choice) = (Books::default(), run.seed().rng("faults"));
    let end = Instant::now() + run.scaled(Duration::ZERO, Duration::from_secs(270));
    let mut sum = Figures::default();
    loop {
        under_load(&run, &cluster, &load, async {
            let leaders = unrest(&run, &cluster, &mut choice, run.scaled(Duration::from_secs(6), Duration::from_secs(40))).await?;
            run.say(format_args!("{leaders} leaders, and links that were cut all the time"));
            answers_lost(&run, &cluster).await?;
            for node in restarted(&run, &cluster).await? {
                let ended = node.stop().await?;
                ensure!(ended.success(), "{} ended with {ended}", node.name());
                node.restart().await?;
            }
            Ok(())
        })
        .await?;
        let settled = books.settle(&cluster, &load, &[]).await?;
        report(&run, "no crash", &settled);
        // A request whose connection was closed by a node that stops, or whose content could not be had behind a cut link.
        ensure!(settled.unclear * 50 <= settled.answers, "too many answers are not certain: {settled:?}");
        sum += settled.counted;
        if Instant::now() >= end {
            break;
        }
    }
    for _ in 0..run.scaled(0, 2) {
        // And nothing comes late.
        report(&run, "afterwards", &books.settle(&cluster, &load, &[]).await?);
    }
    let Figures { requests, bytes, hits, misses, statuses: [successes, redirections, client_errors, _] } = sum;
    let all = [requests, bytes, hits, misses, successes, redirections, client_errors];
    ensure!(all.iter().all(|figure| *figure > 0), "the load leaves out what it is to count: {sum:?}");
    cluster.converged(PATIENCE).await?;
    cluster.shutdown().await
}

async fn kills(run: Run, when: When) -> Result<()> {
    let cluster = cluster(&run).await?;
    let load = Load::prepare(&run, &cluster).await?;
    let (mut books, mut choice) = (Books::default(), run.seed().rng("kills"));
    let end = Instant::now() + run.scaled(Duration::ZERO, Duration::from_secs(270));
    loop {
        let mut kills = Vec::new();
        under_load(&run, &cluster, &load, async {
            // A loss hides what is counted twice: so it is one kill at a time where that is looked for.
            for _ in 0..if when == When::Ever { run.scaled(1, 4) } else { 1 } {
                let victim = cluster.node(choice.random_range(0..cluster.nodes().len()));
                match when {
                    When::Ever => {
                        let patience = run.scaled(11_000..14_000, 1_000..12_000);
                        tokio::time::sleep(Duration::from_millis(choice.random_range(patience))).await;
                    }
                    When::Reported => {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        report_taken(victim).await?;
                    }
                }
                let begun = Instant::now();
                victim.kill_9().await?;
                kills.push(Kill { node: victim.slot(), begun, over: Instant::now() });
                victim.restart().await?;
            }
            Ok(())
        })
        .await?;
        let settled = books.settle(&cluster, &load, &kills).await?;
        report(&run, &format!("{} killed", kills.len()), &settled);
        if Instant::now() >= end {
            break;
        }
    }
    // What was lost is lost, and from then on it is exact again.
    under_load(&run, &cluster, &load, async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    })
    .await?;
    report(&run, "and then none", &books.settle(&cluster, &load, &[]).await?);
    cluster.converged(PATIENCE).await?;
    cluster.shutdown().await
}

/// Three voters and an edge that follows one of them.
async fn cluster(run: &Run) -> Result<Cluster> {
    Cluster::builder().seed(run.seed()).edges("eu-ams", 1).start().await
}

/// Has the load at all nodes while something is done to them.
async fn under_load(run: &Run, cluster: &Cluster, load: &Load, faults: impl Future<Output = Result<()>>) -> Result<()> {
    let over = AtomicBool::new(false);
    let faults = async {
        let result = faults.await;
        over.store(true, Ordering::Relaxed);
        result
    };
    tokio::join!(load.run(run, cluster.nodes(), &over), faults).1
}

fn report(run: &Run, what: &str, settled: &Settled) {
    let Settled { answers, unclear, truth, counted, at_risk } = settled;
    run.say(format_args!("{what}: {answers} answers, {unclear} not certain: {counted:?} counted"));
    if truth.least == truth.most && counted == &truth.least {
        run.say("    which is the truth");
    } else {
        let (missing, possible) = (truth.least - *counted, *at_risk);
        run.say(format_args!("    of at least {:?} and at most {:?}", truth.least, truth.most));
        run.say(format_args!("    missing {missing:?}, and crashes might have cost {possible:?}"));
    }
}

/// Leadership moves every two seconds, once at least, and one link after the other is cut and healed. Gives how many nodes led.
async fn unrest(run: &Run, cluster: &Cluster, choice: &mut StdRng, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut leaders = BTreeSet::new();
    while Instant::now() < end || leaders.len() < 2 {
        let leader = cluster.leader().await?;
        leaders.insert(leader.slot());
        let heir = (leader.slot() + choice.random_range(1..VOTERS)) % VOTERS;
        // It may lead by itself already, or be behind a link that is cut.
        if let Err(error) = leader.operator().member("transfer-leader", cluster.node(heir).id()?).await {
            run.say(format_args!("not handed over: {error}"));
        }
        let a = choice.random_range(0..cluster.nodes().len());
        let b = (a + choice.random_range(1..cluster.nodes().len())) % cluster.nodes().len();
        cluster.links().cut(a, b, if choice.random() { Cut::Refused } else { Cut::Silent });
        tokio::time::sleep(Duration::from_millis(choice.random_range(500..2_000))).await;
        cluster.links().heal(a, b);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(leaders.len())
}

/// Loses the answer to a report, until the node has asked for it once more: the leader gets it twice.
async fn answers_lost(run: &Run, cluster: &Cluster) -> Result<()> {
    for _ in 0..3 {
        let leader = cluster.leader().await?;
        let node = cluster.node((leader.slot() + 1) % VOTERS);
        let (failed, repeated) = (node.figure(FAILED).await?, node.figure(REPEATED).await?);
        report_taken(node).await?;
        // The next is made eight seconds later, and should find a leader.
        tokio::time::sleep(Duration::from_millis(7_200)).await;
        cluster.links().one_way(leader.slot(), node.slot());
        wait::until(PATIENCE, "a report without an answer", || async {
            let now = node.figure(FAILED).await?;
            ensure!(now > failed, "{now} failed");
            Ok(())
        })
        .await?;
        // It is tried again three seconds later, by a node that has not heard of the report and waits for a leader.
        tokio::time::sleep(Duration::from_secs(4)).await;
        cluster.links().heal(leader.slot(), node.slot());
        let again = wait::until(Duration::from_secs(15), "a report that was taken before", || async {
            let now = node.figure(REPEATED).await?;
            ensure!(now > repeated, "{now} repeated");
            Ok(())
        })
        .await;
        match again {
            Ok(()) => {
                run.say(format_args!("{} asked twice for a report", node.name()));
                return Ok(());
            }
            // It lost its leader before it had reported, or had heard of its report before it asked again.
            Err(error) => run.say(format_args!("once more: {error}")),
        }
    }
    anyhow::bail!("no report was asked for twice")
}

/// Waits until the next report of a node is taken.
async fn report_taken(node: &Node) -> Result<()> {
    let before = node.figure(TAKEN).await?;
    wait::until(PATIENCE, "a report", || async {
        let now = node.figure(TAKEN).await?;
        ensure!(now > before, "{now} taken");
        Ok(())
    })
    .await?;
    Ok(())
}

/// The leader and the edge; in the long form every node.
async fn restarted(run: &Run, cluster: &Cluster) -> Result<Vec<Node>> {
    let leader = cluster.leader().await?;
    let edge = cluster.nodes().last().context("there are nodes")?;
    Ok(run.scaled(vec![leader, edge.clone()], cluster.nodes().to_vec()))
}

const VOTERS: usize = 3;
const TAKEN: &str = "ncore_usage_reports_total{result=\"ok\"}";
const FAILED: &str = "ncore_usage_reports_total{result=\"failed\"}";
const REPEATED: &str = "ncore_usage_reports_total{result=\"repeated\"}";
const PATIENCE: Duration = Duration::from_secs(90);
