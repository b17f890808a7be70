//! What this node must hold comes here, and the cluster is told, truthfully and not more often than needed.

mod harness;

use std::{sync::atomic::Ordering, time::Duration};

use harness::{Cluster, Machine, brisk, content, eventually, get};
use ncore_model::{CopyState, ExceptionState, MAX_EXCEPTIONS, Query};
use ncore_store::BlobStatus;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_comes_here_and_is_reported() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let (agent_a, agent_b) = (a.start(brisk(1)), b.start(brisk(1)));
    let mut assets = Vec::new();
    for number in 0..12 {
        // Some are of one content, and one is longer than a slice.
        let bytes = content(if number == 5 { 3 << 20 } else { 1_000 }, number / 2 * 2);
        a.store(&bytes).await;
        assets.push((cluster.put(&format!("asset/{number}"), &bytes, 60), blake3::hash(&bytes)));
    }
    let last = assets.last().expect("assets").0.version;
    for machine in [&a, &b] {
        eventually("the watermark is at the last version", || {
            cluster
                .replica
                .report(machine.node)
                .expect("reads")
                .is_some_and(|report| report.watermark == last && report.exceptions.is_empty())
        })
        .await;
        for (asset, hash) in &assets {
            assert!(machine.has(*hash));
            assert_eq!(cluster.state_of(machine.node, asset.version), CopyState::Verified);
        }
    }
    assert_eq!(get(&agent_a.metrics().blobs_obtained), 0, "it had everything");
    assert_eq!(b.store.pins(None, 100).await.expect("pins"), [], "nothing stays pinned");
    assert!(agent_a.shutdown().await && agent_b.shutdown().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_is_an_exception_until_somebody_has_it() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let agent = b.start(brisk(1));
    let (lost, there) = (content(100, 1), content(100, 2));
    a.store(&there).await;
    let missing = cluster.put("missing", &lost, 60);
    let held = cluster.put("held", &there, 60);
    eventually("it is reported missing", || cluster.state_of(b.node, missing.version) == CopyState::Missing).await;
    eventually("the one after it is reported held", || cluster.state_of(b.node, held.version) == CopyState::Verified).await;
    a.store(&lost).await;
    eventually("it comes after all", || cluster.state_of(b.node, missing.version) == CopyState::Verified).await;
    assert!(b.has(blake3::hash(&lost)));

    // An asset that is deleted while it is an exception is nobody's concern.
    let gone = cluster.put("gone", &content(100, 3), 60);
    eventually("it is reported missing", || cluster.state_of(b.node, gone.version) == CopyState::Missing).await;
    cluster.delete(&gone);
    eventually("the exception is dropped", || cluster.state_of(b.node, gone.version) == CopyState::Verified).await;
    eventually("nothing is wanted", || get(&agent.metrics().blobs_wanted) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_it_goes_on_and_notices_what_was_lost() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let mut assets = Vec::new();
    for number in 0..5 {
        let bytes = content(2_000, number);
        a.store(&bytes).await;
        assets.push((cluster.put(&format!("asset/{number}"), &bytes, 60), blake3::hash(&bytes)));
    }
    let last = assets[4].0.version;
    let agent = b.start(brisk(1));
    eventually("everything is here", || cluster.state_of(b.node, last) == CopyState::Verified).await;
    assert!(agent.shutdown().await);

    b.lose(assets[1].1).await;
    b.part();
    let agent = b.start(brisk(2));
    eventually("the loss is noticed", || cluster.state_of(b.node, assets[1].0.version) == CopyState::Missing).await;
    let report = cluster.replica.report(b.node).expect("reads").expect("a report");
    assert_eq!((report.incarnation, report.watermark, report.exceptions.len()), (2, last, 1));
    assert!(agent.shutdown().await);

    // The exception is taken over from the report, without waiting for an audit.
    b.meet(&a);
    let mut settings = brisk(3);
    settings.replication.audit = Duration::from_secs(3_600);
    let agent = b.start(settings);
    eventually("it is back", || cluster.state_of(b.node, assets[1].0.version) == CopyState::Verified).await;
    assert_eq!(get(&agent.metrics().blobs_obtained), 1, "the others were not fetched again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_lowers_the_watermark_and_comes_back() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let bytes = content(500, 1);
    let hash = a.store(&bytes).await;
    let versions: Vec<u64> = (0..MAX_EXCEPTIONS + 100).map(|number| cluster.put(&format!("asset/{number}"), &bytes, 60).version).collect();
    let last = versions[versions.len() - 1];
    let agent = b.start(brisk(1));
    eventually("everything is here", || cluster.state_of(b.node, last) == CopyState::Verified).await;

    b.part();
    b.lose(hash).await;
    eventually("the loss is reported", || cluster.state_of(b.node, last) == CopyState::Pending).await;
    let report = cluster.replica.report(b.node).expect("reads").expect("a report");
    assert_eq!(report.exceptions.len(), MAX_EXCEPTIONS);
    assert!(report.exceptions.iter().all(|exception| exception.state == ExceptionState::Missing));
    assert!(versions.iter().all(|version| cluster.state_of(b.node, *version) != CopyState::Verified));

    b.meet(&a);
    eventually("everything is back", || {
        let report = cluster.replica.report(b.node).expect("reads").expect("a report");
        report.watermark == last && report.exceptions.is_empty()
    })
    .await;
    assert!(agent.shutdown().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_do_not_follow_from_reports() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let (agent_a, agent_b) = (a.start(brisk(1)), b.start(brisk(1)));
    let bytes = content(100, 1);
    a.store(&bytes).await;
    let asset = cluster.put("asset", &bytes, 60);
    for machine in [&a, &b] {
        eventually("it is reported", || cluster.state_of(machine.node, asset.version) == CopyState::Verified).await;
    }
    let before = (a.plane.proposals(), b.plane.proposals());
    assert_eq!(before, (1, 1), "one report each");
    // Revisions go by, audits and wakes of the reporters with them.
    let audited = get(&agent_b.metrics().audited);
    eventually("ten audits", || {
        cluster.apply(ncore_model::Command::RaiseSchema { level: 99 });
        get(&agent_b.metrics().audited) >= audited + 10
    })
    .await;
    assert_eq!((a.plane.proposals(), b.plane.proposals()), before);
    assert!(agent_a.shutdown().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_get_through_when_answers_are_lost_and_lines_are_cut() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let bytes = content(100, 1);
    a.store(&bytes).await;
    a.plane.is_cut.store(true, Ordering::SeqCst);
    let agent = a.start(brisk(1));
    let first = cluster.put("first", &bytes, 60);
    eventually("it is tried", || get(&agent.metrics().reports_failed) >= 2).await;
    assert_eq!(cluster.state_of(a.node, first.version), CopyState::Pending);

    a.plane.answers_to_lose.store(2, Ordering::SeqCst);
    a.plane.is_cut.store(false, Ordering::SeqCst);
    eventually("it is reported", || cluster.state_of(a.node, first.version) == CopyState::Verified).await;
    let second = cluster.put("second", &bytes, 60);
    eventually("so is the next", || cluster.state_of(a.node, second.version) == CopyState::Verified).await;
    let third = cluster.put("third", &bytes, 60);
    eventually("and the next", || cluster.state_of(a.node, third.version) == CopyState::Verified).await;
    assert!(get(&agent.metrics().reports) >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_in_the_middle_of_a_fetch_is_bounded_and_keeps_what_came() {
    let cluster = Cluster::new(2);
    let (a, b) = (Machine::new(&cluster, 0).await, Machine::new(&cluster, 1).await);
    b.meet(&a);
    let bytes = content(24 << 20, 1);
    let hash = a.store(&bytes).await;
    cluster.put("large", &bytes, 60);
    let agent = b.start(brisk(1));
    let metrics = std::sync::Arc::clone(b.transfer.metrics());
    eventually("some of it came", || get(&metrics.bytes_fetched) > 0).await;
    assert!(agent.shutdown().await, "within its bound");
    let agent = b.start(brisk(2));
    eventually("the rest came", || b.has(hash)).await;
    assert!(matches!(b.store.status(hash), Ok(BlobStatus::Present { size, .. }) if size == bytes.len() as u64));
    drop(agent);
}
