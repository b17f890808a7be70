//! When to take a snapshot, and what to drop once there is one.
//!
//! openraft could do it by counting entries; but a log of few large entries, or one that hardly moves, should be compacted
//! too. So openraft's own policy is off and this task triggers it: after so many entries, so many bytes, or so long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openraft::async_runtime::watch::WatchReceiver;
use tokio::{task, time};

use super::store::SnapshotStore;
use crate::{log::LogStore, types::Raft};

/// The thresholds; whichever is reached first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Entries applied since the last snapshot.
    pub(crate) entries: u64,
    /// Bytes of log since the last snapshot.
    pub(crate) bytes: u64,
    /// Time since the last snapshot, if anything was applied.
    pub(crate) interval: Duration,
    /// Bytes of log kept at most, of what a snapshot covers.
    pub(crate) keep_bytes: u64,
}

/// What the present threshold counts from.
struct Since {
    applied: Option<u64>,
    bytes: u64,
    time: Instant,
    snapshot: Option<u64>,
}

impl Schedule {
    /// Runs until it is aborted or the node stops.
    pub(crate) async fn run(self, raft: Raft, log: LogStore, snapshots: Arc<SnapshotStore>) {
        let first = raft.metrics().borrow_watched().snapshot.map(|last| last.index);
        let mut since = Since { applied: first, bytes: log.appended_bytes(), time: Instant::now(), snapshot: first };
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (applied, snapshot, running) = {
                let metrics = raft.metrics();
                let metrics = metrics.borrow_watched();
                (metrics.last_applied.map(|at| at.index), metrics.snapshot.map(|at| at.index), metrics.running_state.is_ok())
            };
            if !running {
                return;
            }
            // Also one that was received, or found at the start.
            since.applied = since.applied.max(snapshot);
            if self.is_due(&since, applied, log.appended_bytes()) {
                since = Since { applied, bytes: log.appended_bytes(), time: Instant::now(), ..since };
                if raft.trigger().snapshot().await.is_err() {
                    return;
                }
            }
            if since.snapshot != snapshot {
                since.snapshot = snapshot;
                self.shorten(&raft, &log, snapshot).await;
            }
            let snapshots = Arc::clone(&snapshots);
            // Only fails when the runtime ends.
            let _ = task::spawn_blocking(move || snapshots.sweep()).await;
        }
    }

    fn is_due(&self, since: &Since, applied: Option<u64>, bytes: u64) -> bool {
        let entries = count(applied).saturating_sub(count(since.applied));
        entries > 0 && (entries >= self.entries || bytes.saturating_sub(since.bytes) >= self.bytes || since.time.elapsed() >= self.interval)
    }

    /// Purges covered entries beyond the byte limit. openraft itself keeps the entry limit.
    async fn shorten(&self, raft: &Raft, log: &LogStore, snapshot: Option<u64>) {
        let (log, keep, end) = (log.clone(), self.keep_bytes, count(snapshot));
        let first_kept = task::spawn_blocking(move || log.index_within(end, keep)).await.ok().flatten();
        if let Some(upto) = first_kept.and_then(|first| first.checked_sub(1)) {
            // Only fails when the node stops.
            let _ = raft.trigger().purge_log(upto).await;
        }
    }
}

fn count(index: Option<u64>) -> u64 {
    index.map_or(0, |index| index + 1)
}

const TICK: Duration = Duration::from_millis(250);
