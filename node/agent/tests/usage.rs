//! What clients used here reaches the cluster once, whatever breaks on the way.

mod harness;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use harness::{Cluster, Machine, brisk, eventually, get};
use ncore_agent::AgentSettings;
use ncore_model::{Command, Outcome, Plan, Query, SCHEMA_MAX, UpdateClient, UsageUnit};
use ncore_telemetry::{Allowance, Usage};

fn cluster() -> Arc<Cluster> {
    let cluster = Cluster::new(1);
    for level in 2..=SCHEMA_MAX {
        assert_eq!(cluster.apply(Command::RaiseSchema { level }).1, Outcome::Done);
    }
    cluster
}

fn settings(incarnation: u64) -> AgentSettings {
    let mut settings = brisk(incarnation);
    settings.usage.every = Duration::from_millis(20);
    settings
}

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Requests now.
fn answered(cluster: &Cluster, usage: &Usage, requests: u64) {
    let tally = usage.meter(cluster.client.as_str()).tally(now_s());
    for _ in 0..requests {
        tally.answered(200);
    }
}

/// Requests in the cluster's rows, of days and of hours alike.
fn counted(cluster: &Cluster) -> u64 {
    let sum = |unit| {
        let rows = cluster.replica.usage(&cluster.client, unit, 0, u32::MAX).expect("reads");
        rows.iter().map(|(_, counts)| counts.requests()).sum::<u64>()
    };
    loop {
        let (before, hours, after) = (sum(UsageUnit::Day), sum(UsageUnit::Hour), sum(UsageUnit::Day));
        // Otherwise a report was applied between the looks.
        if before == after {
            assert_eq!(before, hours);
            return before;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_count_once() {
    let cluster = cluster();
    let machine = Machine::new(&cluster, 0).await;
    let usage = Arc::new(Usage::default());
    let agent = machine.start_metered(settings(1), Arc::clone(&usage));
    let mut truth = 0;
    for round in 1..=5 {
        machine.plane.answers_to_lose.store(2, Ordering::SeqCst);
        answered(&cluster, &usage, round);
        truth += round;
        eventually("the round is counted", || counted(&cluster) == truth).await;
        eventually("nothing is left", || get(&agent.metrics().usage_pending) == 0).await;
    }
    assert!(agent.shutdown().await);
    assert_eq!(counted(&cluster), truth);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_until_the_end_is_reported_at_the_end() {
    let cluster = cluster();
    let machine = Machine::new(&cluster, 0).await;
    let usage = Arc::new(Usage::default());
    let mut patient = settings(1);
    patient.usage.every = Duration::from_secs(3_600);
    let agent = machine.start_metered(patient, Arc::clone(&usage));
    answered(&cluster, &usage, 7);
    assert!(agent.shutdown().await);
    assert_eq!(counted(&cluster), 7);
}

/// A life that reaches nobody leaves a report, which may or may not have been taken, and a rest. The next one reports both, and neither
/// twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_life_goes_on_from_the_last() {
    for was_taken in [false, true] {
        let cluster = cluster();
        let machine = Machine::new(&cluster, 0).await;
        let usage = Arc::new(Usage::default());
        machine.plane.is_cut.store(!was_taken, Ordering::SeqCst);
        machine.plane.answers_to_lose.store(usize::from(was_taken), Ordering::SeqCst);
        let mut slow = settings(1);
        // One report, whose outcome is not known, and the farewell reaches nobody.
        slow.usage.every = if was_taken { Duration::from_secs(3_600) } else { Duration::from_millis(20) };
        slow.usage.farewell = Duration::from_millis(200);
        answered(&cluster, &usage, 3);
        let agent = machine.start_metered(slow, Arc::clone(&usage));
        eventually("it is proposed", || if was_taken { counted(&cluster) == 3 } else { machine.plane.proposals() > 0 }).await;
        machine.plane.is_cut.store(true, Ordering::SeqCst);
        answered(&cluster, &usage, 4);
        assert!(agent.shutdown().await);
        let before = counted(&cluster);
        assert_eq!(before, if was_taken { 3 } else { 0 });

        machine.plane.is_cut.store(false, Ordering::SeqCst);
        let agent = machine.start_metered(settings(2), Arc::default());
        eventually("everything is counted", || counted(&cluster) == 7).await;
        assert!(agent.shutdown().await);
        assert_eq!(counted(&cluster), 7);
    }
}

/// A client with a quota of bandwidth: what the days of its usage say decides, and a larger quota ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_ends_with_the_quota() {
    let cluster = cluster();
    let client = |bandwidth_bytes| UpdateClient {
        client: cluster.client.clone(),
        name: None,
        scopes: None,
        domains: None,
        plan: Some(Plan { bandwidth_bytes, ..Plan::default() }),
        ip_ranges: None,
        status: None,
    };
    assert_eq!(cluster.apply(Command::UpdateClient(client(Some(1_000)))).1, Outcome::Done);
    let machine = Machine::new(&cluster, 0).await;
    let usage = Arc::new(Usage::default());
    let agent = machine.start_metered(settings(1), Arc::clone(&usage));
    let meter = usage.meter(cluster.client.as_str());
    let sent = |bytes| {
        answered(&cluster, &usage, 1);
        meter.tally(now_s()).sent(bytes);
    };
    sent(999);
    eventually("it is counted", || counted(&cluster) == 1).await;
    // Some looks later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(meter.allowance(), Allowance::Left);
    sent(1);
    eventually("it is used up", || meter.allowance() == Allowance::Spent).await;
    assert_eq!(cluster.apply(Command::UpdateClient(client(Some(1_001)))).1, Outcome::Done);
    eventually("there is more", || meter.allowance() == Allowance::Left).await;
    sent(1);
    eventually("it is used up again", || meter.allowance() == Allowance::Spent).await;
    assert_eq!(cluster.apply(Command::UpdateClient(client(None))).1, Outcome::Done);
    eventually("there is no quota", || meter.allowance() == Allowance::Left).await;
    assert!(agent.shutdown().await);
}

/// A life whose clock is behind that of the one before: its reports are later all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_with_an_earlier_clock_reports_as_well() {
    let cluster = cluster();
    let machine = Machine::new(&cluster, 0).await;
    let mut truth = 0;
    for incarnation in [9, 5, 5, 7] {
        let usage = Arc::new(Usage::default());
        answered(&cluster, &usage, 3);
        let agent = machine.start_metered(settings(incarnation), Arc::clone(&usage));
        truth += 3;
        eventually("the first report is taken", || counted(&cluster) == truth).await;
        answered(&cluster, &usage, 4);
        truth += 4;
        assert!(agent.shutdown().await);
        assert_eq!(counted(&cluster), truth);
    }
}
