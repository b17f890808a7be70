//! The time on an entry, and a leader whose clock is not fit to give it.
//!
//! ```text
//!   each stamp  ── fit ──► the entry gets the time
//!        │ ahead
//!        └──► nothing is appended, the caller may try again ── meanwhile, twice a second ──► hand over to a voter that is fit
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ncore_model::{NodeId, NodeState, Query};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{self, Clock, Standing},
    control::Control,
    membership::MembershipChange,
    plane::ControlPlane,
    status,
};

/// How often a leader looks whether its clock is fit.
const PERIOD: Duration = Duration::from_millis(500);
/// How long handing over to one voter may take.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(3);

/// The clock that stamps, and whether it was found unfit.
pub(crate) struct Stamps {
    clock: Arc<dyn Clock>,
    refused: AtomicBool,
}

impl Stamps {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, refused: AtomicBool::new(false) }
    }

    /// What the clock shows. For what is not stamped.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Says it when the clock has become unfit, or fit again.
    fn note(&self, standing: Standing) {
        let refused = matches!(standing, Standing::Ahead { .. });
        if self.refused.swap(refused, Ordering::Relaxed) == refused {
            return;
        }
        match standing {
            Standing::Ahead { lead_ms } => {
                tracing::warn!(lead_ms, "this leader's clock is ahead of a majority of the voters': it takes no changes until that ends");
            }
            Standing::Fit => tracing::info!("this node does not lead with a clock that is ahead any more"),
        }
    }
}

impl Control {
    /// By how many milliseconds, at least, this node's clock is ahead of those of a majority of the voters, itself counted. 0 where that
    /// is not known.
    #[must_use]
    pub fn clock_lead_ms(&self) -> u64 {
        let others: Vec<_> = self.clocks_of_others().into_iter().map(|(_, clock)| clock).collect();
        clock::lead_ms(self.stamps().now_ms(), &others)
    }

    /// Whether this node leads and takes no changes because its clock is ahead.
    #[must_use]
    pub fn refuses_to_stamp(&self) -> bool {
        self.stamps().refused.load(Ordering::Relaxed)
    }

    /// As the leader: the time for an entry, in Unix milliseconds; `None` if this clock is not fit to give it.
    pub(crate) fn stamp(&self) -> Option<u64> {
        let now_ms = self.stamps().now_ms();
        let others: Vec<_> = self.clocks_of_others().into_iter().map(|(_, clock)| clock).collect();
        let standing = Standing::of(now_ms, &others);
        // Whoever was asked by mistake has nothing to say of it.
        if standing == Standing::Fit || self.leader() == Some(self.id().0) {
            self.stamps().note(standing);
        }
        (standing == Standing::Fit).then_some(now_ms)
    }

    /// As the leader: looks at the clock, and hands over if it is not fit and another voter's is.
    async fn look_at_clock(&self) {
        if self.leader() != Some(self.id().0) {
            return self.stamps().note(Standing::Fit);
        }
        if self.stamp().is_some() {
            return;
        }
        for heir in clock::heirs(self.stamps().now_ms(), &self.clocks_of_others()) {
            // A node that drains is about to leave, and is not to lead.
            let active = self.replica().node(heir).is_ok_and(|node| node.is_some_and(|node| node.state == NodeState::Active));
            if !active {
                continue;
            }
            match self.change_membership_here(&MembershipChange::TransferLeader(heir), HAND_OVER_DEADLINE).await {
                Ok(()) => return tracing::info!(to = %heir, "handed over: its clock is right"),
                Err(error) => tracing::debug!(to = %heir, %error, "could not hand over"),
            }
        }
    }

    /// The other voters, each with the latest that its clock can show now, as far as that is known.
    fn clocks_of_others(&self) -> Vec<(NodeId, Option<u64>)> {
        let now = Instant::now();
        let voters = status::voters(self.raft(), self.replica()).into_iter().map(NodeId).filter(|voter| *voter != self.id());
        voters.map(|voter| (voter, self.peers().clock_ms(voter, now))).collect()
    }
}

/// Looks at the clock until `stop`.
pub(crate) async fn watch_clock(control: Arc<Control>, stop: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if stop.run_until_cancelled(control.look_at_clock()).await.is_none() {
            return;
        }
    }
}
