//! The keys that sign access tokens come and go by themselves: the leader looks after them.

use std::sync::Arc;

use ncore_control::{Control, NodeRole};
use ncore_domain::{Domain, SIGNING_KEYS_TENDED_EVERY};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Looks after them until the node stops. What fails is tried again next time: nothing depends on the hour.
pub(super) async fn tend(control: Arc<Control>, domain: Arc<Domain>, stop: CancellationToken) {
    let mut ticks = interval(SIGNING_KEYS_TENDED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if control.status().role != NodeRole::Leader {
            continue;
        }
        if let Err(error) = domain.signing_keys().tend().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look after the signing keys now");
        }
    }
}
