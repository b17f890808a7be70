//! When a round begins.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ncore_freshness::RoundOutcome;
use ncore_model::Revision;
use ncore_raft::RaftNode;
use ncore_replica::Replica;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Pulse;

/// How often a node asks for itself. Its view may be that much older when its leader is lost, and the bound has to be kept all the
/// same.
const PERIOD: Duration = Duration::from_millis(500);
/// How long the pings of children are gathered for one round.
const GATHER: Duration = Duration::from_millis(100);
/// How long the leader waits for its quorum.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the clocks are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Runs until `stop`.
pub(crate) async fn drive(pulse: Arc<Pulse>, raft: Arc<OnceLock<RaftNode>>, replica: Arc<Replica>, stop: CancellationToken) {
    let rounds = async {
        let mut own = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(own) => {}
                () = pulse.urged.notified() => {}
                () = pulse.asked.notified() => tokio::select! {
                    () = sleep(GATHER) => {}
                    () = pulse.urged.notified() => {}
                },
            }
            own = Instant::now() + PERIOD;
            round(&pulse, raft.get(), &replica).await;
        }
    };
    let looks = async {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            pulse.look();
        }
    };
    stop.run_until_cancelled(async {
        tokio::select! {
            () = rounds => {}
            () = looks => {}
        }
    })
    .await;
}

async fn round(pulse: &Pulse, raft: Option<&RaftNode>, replica: &Replica) {
    let Some(leader) = raft.filter(|raft| raft.status().is_leader()) else {
        pulse.ping_upstream();
        return;
    };
    let begun = pulse.begin_led();
    let outcome = match leader.read_position(Instant::now() + PATIENCE).await {
        Ok(read) => {
            let revision = Revision { lineage: replica.revision().lineage, index: read.index };
            RoundOutcome::Led { term: read.term, read: revision }
        }
        Err(error) => {
            tracing::debug!(%error, "a round of this leader failed");
            RoundOutcome::Failed
        }
    };
    pulse.end_led(begun, outcome);
}
