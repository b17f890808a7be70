//! The two ends of a node: the stream upwards, and one child.

use std::time::Duration;

use ncore_freshness::{Ack, PingSeq, RoundOutcome};
use ncore_model::Revision;

use super::{Membership, Upstream};
use crate::freshness::clock::boottime;

impl Upstream {
    /// The answer to ping `seq`, and to all before it.
    pub(crate) fn pong(&self, seq: PingSeq, read: Revision) {
        let mut core = self.pulse.core.lock();
        let now = boottime();
        let Some(attached) = core.upstream.as_mut().filter(|attached| attached.number == self.number) else { return };
        attached.heard = now;
        let mut answered = Vec::new();
        while let Some((_, round)) = attached.under_way.pop_front_if(|(sent, _)| *sent <= seq) {
            answered.push(round);
        }
        core.pong(seq, read, now);
        self.pulse.publish(&core);
        // A round that began before this ping was sent is answered by its answer, too.
        for round in answered {
            core.end_round(round, RoundOutcome::Upstream { read });
        }
        drop(core);
        self.pulse.moved();
    }

    /// How long ago the last answer came, or the stream began.
    pub(crate) fn silence(&self) -> Duration {
        let core = self.pulse.core.lock();
        let attached = core.upstream.as_ref().filter(|attached| attached.number == self.number);
        attached.map_or(Duration::ZERO, |attached| boottime().since(attached.heard))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let mut core = self.pulse.core.lock();
        if core.upstream.as_ref().is_some_and(|attached| attached.number == self.number) {
            core.detach();
        }
    }
}

impl Membership {
    pub(crate) fn ping(&self, seq: PingSeq) {
        self.pulse.core.lock().hub.ping(self.child, seq);
        self.pulse.asked.notify_one();
    }

    pub(crate) fn ack(&self, ack: Ack) {
        self.pulse.core.lock().hub.ack(self.child, ack);
        self.pulse.moved();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut core = self.pulse.core.lock();
        if core.outlets.get(&self.child).is_some_and(|outlet| outlet.number == self.number) {
            core.hub.leave(self.child);
            core.outlets.remove(&self.child);
        }
        drop(core);
        self.pulse.moved();
    }
}
