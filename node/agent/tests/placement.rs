//! What placement names is fetched, what it does not is let go, and never the last copy.

mod harness;

use std::{sync::Arc, time::Duration};

use harness::{Cluster, Machine, brisk, collecting, content, eventually, get};
use ncore_model::{Asset, Command, CopyState, NodeId, Outcome, PlacementPolicy, Placements, Query, SetPlacement};

const GRACE: Duration = Duration::ZERO;

async fn machines(cluster: &Arc<Cluster>) -> [Machine; 3] {
    for level in 2..=4 {
        assert_eq!(cluster.apply(Command::RaiseSchema { level }).1, Outcome::Done);
    }
    let machines = [Machine::new(cluster, 0).await, Machine::new(cluster, 1).await, Machine::new(cluster, 2).await];
    for (at, machine) in machines.iter().enumerate() {
        machines.iter().enumerate().filter(|(other, _)| *other != at).for_each(|(_, other)| machine.meet(other));
    }
    machines
}

/// Has the assets whose paths begin so held by one node: each stands in a region of its own.
fn place(cluster: &Cluster, prefix: &str, on: &Machine) {
    let region = cluster.replica.node(on.node).expect("reads").expect("a node").region;
    let policy = PlacementPolicy { regions: vec![region], copies: Some(1) };
    let set = SetPlacement { client: cluster.client.clone(), prefix: prefix.to_owned(), policy };
    assert_eq!(cluster.apply(Command::SetPlacement(set)).1, Outcome::Done);
}

/// What the reports say of an asset on a node that must hold it; `None` if it need not.
fn placed_state(cluster: &Cluster, node: NodeId, asset: &Asset) -> Option<CopyState> {
    let placed = Placements::read(&*cluster.replica).expect("reads").of(&*cluster.replica, asset).expect("reads");
    placed.is_on(node).then(|| placed.state(cluster.replica.report(node).expect("reads").as_ref(), asset.version))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_follow_the_placement() {
    let cluster = Cluster::new(3);
    let machines = machines(&cluster).await;
    let [a, b, c] = &machines;
    let bytes = content(100_000, 1);
    let hash = a.store(&bytes).await;
    place(&cluster, "", b);
    let asset = cluster.put("asset", &bytes, 60);
    let agents: Vec<_> = machines.iter().map(|machine| machine.start(collecting(1, GRACE))).collect();
    eventually("it is where it must be", || placed_state(&cluster, b.node, &asset) == Some(CopyState::Verified)).await;
    eventually("and not where it came in", || !a.has(hash)).await;
    eventually("which is counted", || get(&agents[0].metrics().surplus_removed) == 1).await;
    assert!(b.has(hash) && !c.has(hash));

    place(&cluster, "", c);
    assert_eq!(placed_state(&cluster, c.node, &asset), Some(CopyState::Pending), "what was reported before says nothing of it");
    eventually("it has moved", || placed_state(&cluster, c.node, &asset) == Some(CopyState::Verified)).await;
    eventually("and is not where it was", || !b.has(hash)).await;
    assert!(c.has(hash) && !a.has(hash));

    let remove = Command::RemovePlacement { client: cluster.client.clone(), prefix: String::new() };
    assert_eq!(cluster.apply(remove).1, Outcome::Done);
    for machine in &machines {
        eventually("it is everywhere", || placed_state(&cluster, machine.node, &asset) == Some(CopyState::Verified)).await;
        assert!(machine.has(hash));
    }
}

/// The first asset cannot be fetched where it must be held; the second is there already. So it shows when the collector has been at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_stays_until_all_that_must_hold_it_do() {
    let cluster = Cluster::new(3);
    let machines = machines(&cluster).await;
    let [a, b, _] = &machines;
    b.part();
    let (lone, other) = (content(100_000, 1), content(1_000, 2));
    let (lone_hash, other_hash) = (a.store(&lone).await, a.store(&other).await);
    b.store(&other).await;
    place(&cluster, "", b);
    let assets = [cluster.put("lone", &lone, 60), cluster.put("other", &other, 60)];
    let agents = [a.start(collecting(1, GRACE)), b.start(collecting(1, GRACE))];
    eventually("it cannot be had", || placed_state(&cluster, b.node, &assets[0]) == Some(CopyState::Missing)).await;
    eventually("the other is surplus", || !a.has(other_hash)).await;
    assert!(a.has(lone_hash), "the last copy");
    b.meet(a);
    eventually("it comes", || placed_state(&cluster, b.node, &assets[0]) == Some(CopyState::Verified)).await;
    eventually("and is surplus then", || !a.has(lone_hash)).await;
    assert!(b.has(lone_hash) && b.has(other_hash));
    assert_eq!(get(&agents[1].metrics().surplus_removed), 0);
}

/// Content that two assets have is surplus only where neither must be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_of_several_assets_stays_where_one_of_them_must_be() {
    let cluster = Cluster::new(3);
    let machines = machines(&cluster).await;
    let [a, b, c] = &machines;
    let bytes = content(100_000, 1);
    let hash = a.store(&bytes).await;
    place(&cluster, "here/", a);
    place(&cluster, "there/", b);
    let assets = [cluster.put("here/x", &bytes, 60), cluster.put("there/x", &bytes, 60)];
    let marker = content(1_000, 2);
    let marker_hash = a.store(&marker).await;
    let marked = cluster.put("there/marker", &marker, 60);
    let _agents: Vec<_> = machines.iter().map(|machine| machine.start(collecting(1, GRACE))).collect();
    eventually("both are where they must be", || {
        placed_state(&cluster, a.node, &assets[0]) == Some(CopyState::Verified)
            && placed_state(&cluster, b.node, &assets[1]) == Some(CopyState::Verified)
            && placed_state(&cluster, b.node, &marked) == Some(CopyState::Verified)
    })
    .await;
    eventually("the collector was at work", || !a.has(marker_hash)).await;
    assert!(a.has(hash) && b.has(hash) && !c.has(hash));
    place(&cluster, "here/", c);
    eventually("one moves", || placed_state(&cluster, c.node, &assets[0]) == Some(CopyState::Verified)).await;
    eventually("and now nothing needs it here", || !a.has(hash)).await;
    assert!(b.has(hash) && c.has(hash));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_with_the_placement_that_was_taken_up() {
    let cluster = Cluster::new(3);
    let machines = machines(&cluster).await;
    let [a, b, _] = &machines;
    let bytes = content(100_000, 1);
    let hash = a.store(&bytes).await;
    let asset = cluster.put("asset", &bytes, 60);
    let agent = b.start(brisk(1));
    eventually("it is here", || placed_state(&cluster, b.node, &asset) == Some(CopyState::Verified)).await;
    assert!(agent.shutdown().await);
    b.lose(hash).await;
    b.part();
    place(&cluster, "", b);
    assert_eq!(placed_state(&cluster, b.node, &asset), Some(CopyState::Pending));
    let _agent = b.start(brisk(2));
    eventually("it is found missing", || placed_state(&cluster, b.node, &asset) == Some(CopyState::Missing)).await;
    b.meet(a);
    eventually("it is here again", || placed_state(&cluster, b.node, &asset) == Some(CopyState::Verified)).await;
}
