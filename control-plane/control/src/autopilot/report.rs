//! What the autopilot does, for status, metrics and the log.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::decide::{Decision, Hold};

/// What the autopilot of this node has done since the start, and what it is about.
#[derive(Debug)]
pub(crate) struct Report {
    now: Mutex<Decision>,
    promoted: AtomicU64,
    replaced: AtomicU64,
    demoted: AtomicU64,
    finished: AtomicU64,
    handed_over: AtomicU64,
}

/// How often the autopilot of this node has changed something since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AutopilotCounts {
    /// Votes given.
    pub promoted: u64,
    /// Votes that went from one node to another.
    pub replaced: u64,
    /// Votes taken.
    pub demoted: u64,
    /// Changes of another leader that were ended.
    pub finished: u64,
    /// Leaderships handed to a voter that is nearer to a majority, or is to stay.
    pub handed_over: u64,
}

impl Default for Report {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            now: Mutex::new(Decision::Hold(Hold::NotLeading)),
            promoted: zero(),
            replaced: zero(),
            demoted: zero(),
            finished: zero(),
            handed_over: zero(),
        }
    }
}

impl Report {
    /// Notes what is decided now, and says it if it is news.
    pub(super) fn decided(&self, decision: &Decision) {
        let mut now = self.now.lock();
        if *now == *decision {
            return;
        }
        now.clone_from(decision);
        drop(now);
        match decision {
            Decision::Hold(Hold::NotLeading | Hold::ChangeUnderWay) => {}
            Decision::Hold(hold) if hold.is_waiting() => tracing::warn!(reason = hold.as_str(), "the autopilot cannot act"),
            decision => tracing::info!(decision = describe(decision), "the autopilot has decided"),
        }
    }

    /// Notes that it was carried out.
    pub(super) fn done(&self, decision: &Decision) {
        let counter = match decision {
            Decision::Promote(_) => &self.promoted,
            Decision::Replace { .. } => &self.replaced,
            Decision::Demote { .. } => &self.demoted,
            Decision::Finish(_) => &self.finished,
            Decision::Hold(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::info!(decision = describe(decision), "the autopilot has changed who votes");
    }

    pub(super) fn handed_over(&self) {
        self.handed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// What it does or why it does not, in words; empty on a node that does not lead.
    pub(crate) fn words(&self) -> String {
        match &*self.now.lock() {
            Decision::Hold(Hold::NotLeading) => String::new(),
            decision => describe(decision),
        }
    }

    /// Whether something is to be done and cannot be.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(&*self.now.lock(), Decision::Hold(hold) if hold.is_waiting())
    }

    pub(crate) fn counts(&self) -> AutopilotCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AutopilotCounts {
            promoted: load(&self.promoted),
            replaced: load(&self.replaced),
            demoted: load(&self.demoted),
            finished: load(&self.finished),
            handed_over: load(&self.handed_over),
        }
    }
}

fn describe(decision: &Decision) -> String {
    match decision {
        Decision::Promote(node) => format!("gives node {node} a vote"),
        Decision::Replace { leaver, because, by } => {
            format!("puts node {by} in the place of voter {leaver}, which is {}", because.as_str())
        }
        Decision::Demote { node, because } => format!("takes the vote of node {node}, which is {}", because.as_str()),
        Decision::Finish(voters) => {
            let voters: Vec<_> = voters.iter().map(ToString::to_string).collect();
            format!("ends a change that stopped half-way; voters will be {}", voters.join(", "))
        }
        Decision::Hold(hold) => hold.as_str().to_owned(),
    }
}
