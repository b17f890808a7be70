//! Damage is found, never served, reported, and repaired.

mod harness;

use std::time::Duration;

use harness::{Cluster, Machine, brisk, content, eventually, get};
use ncore_model::CopyState;
use ncore_serving::{Catalog, Lookup, SliceSource, Slices};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_blob_is_served_from_a_peer_and_replaced() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let bytes = content(100_000, 1);
    let hash = a.store(&bytes).await;
    let asset = cluster.put("asset", &bytes, 60);
    let agent = b.start(brisk(1));
    eventually("it is here", || cluster.state_of(b.node, asset.version) == CopyState::Verified).await;
    b.damage(hash);

    let Lookup::Found(entry, _) = agent.catalog().lookup("asset") else { panic!("no asset") };
    let slices = agent.slices();
    let loaded = slices.load(entry.clone(), 0).await.expect("from the peer");
    assert_eq!((loaded.bytes.as_ref(), loaded.source), (bytes.as_slice(), SliceSource::Peer));
    assert_eq!(slices.cached(&entry, 0).as_deref(), Some(bytes.as_slice()));
    eventually("it is repaired", || get(&agent.metrics().repaired) == 1).await;
    assert_eq!(b.store.read_slice_from_disk(hash, bytes.len() as u64, 0).await.expect("reads"), bytes);
    eventually("the report says so", || cluster.state_of(b.node, asset.version) == CopyState::Verified).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_cannot_be_repaired_is_reported_for_every_asset_until_it_can() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let (bytes, other) = (content(100_000, 1), content(10, 2));
    let hash = a.store(&bytes).await;
    a.store(&other).await;
    let assets = [cluster.put("one", &bytes, 60), cluster.put("two", &bytes, 60), cluster.put("other", &other, 60)];
    let mut settings = brisk(1);
    settings.replication.audit = Duration::from_secs(3_600);
    let agent = b.start(settings);
    eventually("all is here", || cluster.state_of(b.node, assets[2].version) == CopyState::Verified).await;

    b.part();
    b.damage(hash);
    let Lookup::Found(entry, _) = agent.catalog().lookup("two") else { panic!("no asset") };
    assert!(agent.slices().load(entry, 0).await.is_err(), "there is nobody to ask, and bad bytes are not served");
    for asset in &assets[..2] {
        eventually("it is reported damaged", || cluster.state_of(b.node, asset.version) == CopyState::Corrupt).await;
    }
    assert_eq!(cluster.state_of(b.node, assets[2].version), CopyState::Verified);
    assert_eq!(get(&agent.metrics().quarantined), 1);

    b.meet(&a);
    for asset in &assets {
        eventually("it is repaired", || cluster.state_of(b.node, asset.version) == CopyState::Verified).await;
    }
    assert!(b.has(hash));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_another_node_meets_is_repaired_here() {
    let cluster = Cluster::new(3);
    let machines = [Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await, Machine::new(&cluster, 2).await];
    let [a, b, c] = &machines;
    a.meet(c);
    b.meet(a);
    let bytes = content(100_000, 1);
    let hash = a.store(&bytes).await;
    c.store(&bytes).await;
    a.damage(hash);
    let asset = cluster.put("asset", &bytes, 60);
    let (agent_a, _agent_b) = (a.start(brisk(1)), b.start(brisk(1)));
    eventually("it is repaired where it was damaged", || get(&agent_a.metrics().repaired) == 1).await;
    eventually("and comes from there", || cluster.state_of(b.node, asset.version) == CopyState::Verified).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_again_finds_damage_that_nobody_has_met() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let bytes = content(100_000, 1);
    let hash = a.store(&bytes).await;
    b.store(&bytes).await;
    cluster.put("asset", &bytes, 60);
    b.damage(hash);
    let mut settings = brisk(1);
    settings.scrub.bytes_s = 1 << 30;
    settings.scrub.age = Duration::ZERO;
    settings.scrub.every = Duration::from_millis(10);
    let agent = b.start(settings);
    eventually("it is found and repaired", || get(&agent.metrics().repaired) == 1).await;
    assert!(get(&agent.metrics().scrub_damaged) >= 1);
    assert_eq!(b.store.read_slice_from_disk(hash, bytes.len() as u64, 0).await.expect("reads"), bytes);
}
