//! One node whose disk or state machine fails, and one that finds more, or something else, than it left.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;

use super::{RaftNode, opening};
use crate::{
    AppliedMark, CommittedEntry, ConnectError, Fatal, FatalReason, Lane, OpenError, PeerConnector, ProposeError, RaftConfig, StateMachine,
    log::{DiskSync, LogDb, tests::FailingDisk},
    test_machine::TestMachine,
};

struct Alone;

impl PeerConnector for Alone {
    fn channel<'a>(&'a self, node_id: u64, _address: &'a str, _lane: Lane) -> BoxFuture<'a, Result<Channel, ConnectError>> {
        Box::pin(async move { Err(ConnectError { node_id, source: "there is nobody".into() }) })
    }
}

fn config(dir: &Path) -> RaftConfig {
    RaftConfig::new(1, [7; 16], "node-1", dir)
}

fn machine(dir: &Path) -> Arc<TestMachine> {
    Arc::new(TestMachine::open(&dir.join("state")))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn open_on(
    dir: &Path,
    machine: Arc<dyn StateMachine>,
    disk: impl FnOnce(Arc<LogDb>) -> Box<dyn DiskSync> + Send + 'static,
) -> RaftNode {
    opening::open(config(dir), machine, Arc::new(Alone), disk).await.unwrap()
}

async fn lead(node: &RaftNode) {
    node.initialize().await.unwrap();
    node.watch().wait_for(soon(), super::RaftStatus::is_leader).await.unwrap();
}

fn put(key: &str) -> Bytes {
    format!("{key}=value").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_ends_the_node_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FailingDisk::default();
    let handed = disk.clone();
    let node = open_on(dir.path(), machine(dir.path()), |_| Box::new(handed)).await;
    lead(&node).await;
    node.propose(put("durable"), soon()).await.unwrap();
    assert!(timeout(Duration::from_millis(50), node.fatal()).await.is_err(), "all is well so far");

    disk.fail.store(true, Ordering::SeqCst);
    let lost = node.propose(put("lost"), soon()).await;
    assert_eq!(lost, Err(ProposeError::Unknown));
    let reason = timeout(Duration::from_secs(20), node.fatal()).await.unwrap();
    assert!(matches!(reason, FatalReason::LogSync(_)), "{reason}");
    disk.fail.store(false, Ordering::SeqCst);
    let later = node.propose(put("later"), Instant::now() + Duration::from_secs(2)).await;
    assert!(matches!(later, Err(ProposeError::Stopped | ProposeError::Unknown)), "{later:?}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_machine_that_gives_up_ends_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let failing = Arc::new(FailingMachine { inner: machine(dir.path()), fail: AtomicBool::new(false) });
    let node = open_on(dir.path(), Arc::clone(&failing) as Arc<_>, |db| Box::new(db)).await;
    lead(&node).await;
    node.propose(put("applied"), soon()).await.unwrap();
    failing.fail.store(true, Ordering::SeqCst);
    assert_eq!(node.propose(put("stuck"), soon()).await, Err(ProposeError::Unknown));
    let reason = timeout(Duration::from_secs(20), node.fatal()).await.unwrap();
    assert!(matches!(reason, FatalReason::Machine(_)), "{reason}");
    node.shutdown().await;

    // The entry is in the log: a machine that has been repaired applies it at the next start.
    failing.fail.store(false, Ordering::SeqCst);
    let node = open_on(dir.path(), Arc::clone(&failing) as Arc<_>, |db| Box::new(db)).await;
    node.wait_recovered(soon()).await.unwrap();
    assert_eq!(failing.inner.get("stuck").unwrap(), "value");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_belongs_to_one_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = open_on(dir.path(), machine(dir.path()), |db| Box::new(db)).await;
    let locked = RaftNode::open(config(dir.path()), machine(&dir.path().join("second")), Arc::new(Alone)).await;
    assert!(matches!(locked, Err(OpenError::Database(_))), "two processes on one log");
    node.shutdown().await;
    node.shutdown().await;

    let mut other = config(dir.path());
    other.node_id = 2;
    let refused = RaftNode::open(other, machine(&dir.path().join("other")), Arc::new(Alone)).await;
    assert!(matches!(refused, Err(OpenError::OtherNode { node_id: 1, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_ahead_of_the_state_is_installed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let node = open_on(dir.path(), machine(dir.path()), |db| Box::new(db)).await;
    lead(&node).await;
    for n in 0..10 {
        node.propose(put(&format!("key-{n}")), soon()).await.unwrap();
    }
    let applied = node.status().applied.unwrap().index;
    node.trigger_snapshot().await.unwrap();
    node.watch().wait_for(soon(), |status| status.snapshot >= Some(applied)).await.unwrap();
    node.propose(put("after"), soon()).await.unwrap();
    node.shutdown().await;
    drop(node);

    // As if the state had been lost, or the crash had come between keeping a received snapshot and installing it.
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    let fresh = machine(dir.path());
    let node = open_on(dir.path(), Arc::clone(&fresh) as Arc<_>, |db| Box::new(db)).await;
    assert_eq!(fresh.len(), 11, "the snapshot, and the committed entries after it");
    node.wait_recovered(soon()).await.unwrap();
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_ahead_of_the_log_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let node = open_on(dir.path(), machine(dir.path()), |db| Box::new(db)).await;
    lead(&node).await;
    for n in 0..10 {
        node.propose(put(&format!("key-{n}")), soon()).await.unwrap();
    }
    node.trigger_snapshot().await.unwrap();
    node.watch().wait_for(soon(), |status| status.snapshot.is_some()).await.unwrap();
    node.shutdown().await;
    drop(node);

    // What a power loss can do to a follower: the log loses entries that were applied. Cut here by hand.
    let before = {
        let opened = crate::log::tests::open(&dir.path().join("log"));
        let (last, _) = opened.store.ends();
        let mut store = opened.store.clone();
        openraft::storage::RaftLogStorage::truncate_after(&mut store, Some(crate::types::LogId { index: 5, ..last.unwrap() }))
            .await
            .unwrap();
        drop(store);
        opened.close().await;
        last.unwrap().index
    };
    let kept = machine(dir.path());
    let node = open_on(dir.path(), Arc::clone(&kept) as Arc<_>, |db| Box::new(db)).await;
    assert_eq!(kept.len(), 10);
    node.watch().wait_for(soon(), super::RaftStatus::is_leader).await.unwrap();
    let next = node.propose(put("next"), soon()).await.unwrap();
    assert!(next.position.index > before);
    // What is purged now is covered by a snapshot, so that others can still catch up.
    node.watch().wait_for(soon(), |status| status.snapshot >= status.purged).await.unwrap();
    node.shutdown().await;
}

/// Fails to apply on demand.
struct FailingMachine {
    inner: Arc<TestMachine>,
    fail: AtomicBool,
}

impl StateMachine for FailingMachine {
    fn applied(&self) -> Result<AppliedMark, Fatal> {
        self.inner.applied()
    }

    fn apply(&self, batch: Vec<CommittedEntry>) -> Result<Vec<Bytes>, Fatal> {
        if self.fail.load(Ordering::SeqCst) { Err(Fatal::new("apply", "injected")) } else { self.inner.apply(batch) }
    }

    fn checkpoint(&self, dir: &Path) -> Result<AppliedMark, Fatal> {
        self.inner.checkpoint(dir)
    }

    fn install(&self, dir: &Path) -> Result<(), Fatal> {
        self.inner.install(dir)
    }
}
