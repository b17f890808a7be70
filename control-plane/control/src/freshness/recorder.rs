//! Whatever is applied is noted, made durable, and acknowledged.
//!
//! An acknowledgement outlives the process that gave it: a node that said that it has a revocation must still have it after a loss of
//! power. So the state is synced before, once for all that was applied meanwhile.

use std::{sync::Arc, time::Duration};

use ncore_raft::FatalReason;
use ncore_replica::Replica;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Pulse;
use crate::control::part::sync as sync_state;

/// How long entries are gathered before a sync, so that those which belong together share it.
const GATHER: Duration = Duration::from_millis(2);
/// The least time between two syncs: a busy log costs 50 of them a second.
const SPACING: Duration = Duration::from_millis(20);
/// How long reports are gathered before one goes up.
const COALESCE: Duration = Duration::from_millis(2);

/// Runs until `stop`.
///
/// # Errors
/// [`FatalReason`] if the state cannot be synced: the node must stop.
pub(crate) async fn record(pulse: Arc<Pulse>, replica: Arc<Replica>, stop: CancellationToken) -> Result<(), FatalReason> {
    let both = async {
        tokio::select! {
            failed = sync(&pulse, &replica) => Err(failed),
            () = acknowledge(&pulse) => Ok(()),
            () = note(&pulse, &replica) => Ok(()),
        }
    };
    stop.run_until_cancelled(both).await.unwrap_or(Ok(()))
}

/// Notes what is applied at once: freshness needs it, and not that it is durable.
async fn note(pulse: &Pulse, replica: &Replica) {
    let mut revisions = replica.watch();
    loop {
        let revision = *revisions.borrow_and_update();
        pulse.applied(revision);
        if revisions.changed().await.is_err() {
            return;
        }
    }
}

async fn sync(pulse: &Pulse, replica: &Arc<Replica>) -> FatalReason {
    let mut revisions = replica.watch();
    let mut synced_at = Instant::now();
    loop {
        if revisions.changed().await.is_err() {
            // The replica lives as long as this.
            return std::future::pending().await;
        }
        sleep(GATHER).await;
        sleep_until(synced_at + SPACING).await;
        synced_at = Instant::now();
        let revision = *revisions.borrow_and_update();
        match sync_state(replica).await {
            Ok(()) => pulse.durable(revision),
            Err(fatal) => return FatalReason::Machine(fatal),
        }
    }
}

async fn acknowledge(pulse: &Pulse) {
    let mut progress = pulse.progress();
    let mut told = pulse.report();
    while progress.changed().await.is_ok() {
        sleep(COALESCE).await;
        progress.mark_unchanged();
        let report = pulse.report();
        if report != told {
            pulse.acknowledge(&report);
            told = report;
        }
    }
}
