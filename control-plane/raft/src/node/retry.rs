//! What passes by itself, and how long to wait for it.

use std::time::Duration;

use openraft::errors::{ForwardReason, ForwardToLeader};
use tokio::time::{self, Instant};

use crate::types::TypeConfig;

/// What a node that was asked to lead said instead.
pub(crate) enum Deflected {
    /// It leads but has no fresh answer from a quorum; right after an election that lasts a few milliseconds.
    Transient,
    /// Somebody else does, or nobody.
    To(Option<u64>),
}

/// Reads openraft's hint. A node that names itself has just won or lost, and knows better in a moment.
pub(crate) fn deflected(forward: &ForwardToLeader<TypeConfig>, own: u64) -> Deflected {
    match forward.reason {
        ForwardReason::LeaseExpired => Deflected::Transient,
        ForwardReason::LeadershipTransfer => Deflected::To(forward.leader_id),
        ForwardReason::NotLeader if forward.leader_id == Some(own) => Deflected::Transient,
        ForwardReason::NotLeader => Deflected::To(forward.leader_id),
    }
}

/// Pauses between attempts, from 20 to 50 ms, until a deadline.
pub(crate) struct Pauses {
    next: Duration,
    deadline: Instant,
}

impl Pauses {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { next: Duration::from_millis(20), deadline }
    }

    /// Waits for the next attempt; `false`, at once, if that would come so late that its answer might miss the deadline. A
    /// proposal without an answer would be unknown, where now it is certain that nothing was written.
    pub(crate) async fn pause(&mut self) -> bool {
        let pause = self.next;
        self.next = (pause + Duration::from_millis(10)).min(Duration::from_millis(50));
        let attempt = Instant::now() + pause;
        if attempt + pause >= self.deadline {
            return false;
        }
        time::sleep_until(attempt).await;
        true
    }
}
