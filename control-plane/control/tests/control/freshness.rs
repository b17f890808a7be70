//! How old a view is, and barriers, over real streams.

use std::time::Duration;

use ncore_control::{BarrierProgress, ControlPlane};
use ncore_freshness::{CompleteBy, FenceReason, FreshState};
use tokio::time::{Instant, sleep};

use crate::harness::{PATIENCE, Setup, TestNode, converge, lead, until, voters};

const BOUND: Duration = Duration::from_secs(3);
/// The bound, the drift, and what a busy machine adds.
const HELD: Duration = Duration::from_millis(3_100);
/// A bound within which also a busy machine does what comes before it, and the same more.
const FAR: Duration = Duration::from_secs(10);
const FAR_HELD: Duration = Duration::from_millis(10_100);
/// How long those that are there may take to say so.
const SAID: Duration = Duration::from_secs(3);

fn short(setup: Setup) -> Setup {
    Setup { freshness_bound: BOUND, ..setup }
}

fn is_fresh(node: &TestNode) -> bool {
    matches!(node.control.fresh_state(), FreshState::Fresh { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_is_fresh_at_any_depth_and_fenced_when_it_is_cut_off() {
    let [first, second, third] = voters(short(Setup::default())).await;
    let relay = TestNode::edge(&first, "relay", short(Setup::relay())).await;
    let edge = TestNode::edge(&first, "edge", short(Setup::default())).await;
    until("the relay is followed", async || edge.parent() == Some(relay.control.id())).await;
    for node in [&first, &second, &third, &relay, &edge] {
        until("it is fresh", async || is_fresh(node)).await;
    }
    // With everybody there nobody is fenced.
    let end = Instant::now() + BOUND * 2;
    while Instant::now() < end {
        for node in [&first, &second, &third, &relay, &edge] {
            assert!(is_fresh(node), "{:?}", node.control.fresh_state());
        }
        sleep(Duration::from_millis(50)).await;
    }
    let [second, third] = [second.stop().await, third.stop().await];
    for node in [&first, &relay, &edge] {
        until("it is fenced", async || !is_fresh(node)).await;
        let FreshState::Fenced(fence) = node.control.fresh_state() else { panic!("fresh again without a quorum") };
        assert_eq!(fence.reason, FenceReason::BoundExceeded);
    }
    let [second, third] = [second.start().await, third.start().await];
    for node in [&first, &second, &third, &relay, &edge] {
        until("it is fresh again", async || is_fresh(node)).await;
    }
    converge(&[&first, &second, &third, &relay, &edge]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_says_that_everybody_has_it() {
    let [first, second, third] = voters(short(Setup::default())).await;
    let relay = TestNode::edge(&first, "relay", short(Setup::relay())).await;
    let edge = TestNode::edge(&first, "edge", short(Setup::default())).await;
    let all = [&first, &second, &third, &relay, &edge];
    for node in all {
        until("it is fresh", async || is_fresh(node)).await;
    }
    // A leader trusts acknowledgements once it has led for the bound.
    sleep(HELD).await;
    for at in all {
        at.write(3).await;
        let revision = at.control.replica().revision();
        let begun = Instant::now();
        let progress = at.control.barrier(revision, PATIENCE).await.expect("is answered");
        assert_eq!(progress, BarrierProgress::Complete { by: CompleteBy::Acks });
        assert!(begun.elapsed() < BOUND, "took {:?}", begun.elapsed());
        for node in all {
            assert!(node.control.replica().revision() >= revision, "{} lacks it", node.control.id());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_waits_for_a_node_that_left_until_that_is_fenced() {
    let far = Setup { freshness_bound: FAR, ..Setup::default() };
    let [first, second, third] = voters(far.clone()).await;
    let edge = TestNode::edge(&first, "edge", far).await;
    until("it is fresh", async || is_fresh(&edge)).await;
    sleep(FAR_HELD).await;
    let gone = edge.control.id();
    let stopped = edge.stop().await;
    first.write(3).await;
    let revision = first.control.replica().revision();
    let begun = Instant::now();
    let progress = first.control.barrier(revision, SAID).await.expect("is answered");
    let BarrierProgress::Pending { laggards, complete_within, .. } = progress else { panic!("{progress:?}") };
    assert_eq!(laggards, [gone]);
    assert!(complete_within <= FAR_HELD);
    let progress = third.control.barrier(revision, PATIENCE).await.expect("is answered");
    assert!(matches!(progress, BarrierProgress::Complete { .. }), "{progress:?}");
    assert!(begun.elapsed() <= FAR_HELD + Duration::from_secs(1), "took {:?}", begun.elapsed());
    drop((second, stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_leader_time_completes_a_barrier() {
    let [first, second, third] = voters(short(Setup::default())).await;
    first.write(1).await;
    converge(&[&first, &second, &third]).await;
    // A leader that hears of nobody goes on leading, so it is not the one that is left. And who is left is elected by nobody.
    lead(&second).await;
    let third = third.stop().await;
    let second = second.stop().await;
    let revision = first.control.replica().revision();
    let progress = first.control.barrier(revision, PATIENCE).await.expect("is answered");
    assert_eq!(progress, BarrierProgress::Complete { by: CompleteBy::Time });
    // It stands for election without a pause: the process is not to end while it writes a vote.
    first.stop().await;
    drop((second, third));
}
