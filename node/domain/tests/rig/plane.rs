//! A control plane that is a log of one: commands go straight to the replica.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use ncore_control::{BarrierError, BarrierProgress, Change, Committed, ControlPlane, ProposeError, ReadError};
use ncore_domain::Clock;
use ncore_freshness::{Boottime, CompleteBy, Fence, FenceReason, FreshState};
use ncore_model::{Applied, Command, NodeId, Outcome, Proposal, Revision, encode};
use ncore_replica::{Entry, Replica};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{HERE, TestClock, request_id};

/// What becomes of the next changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Committed,
    /// Nothing is appended.
    Unavailable,
    /// It is appended and applied, and the answer is lost.
    UnknownApplied,
    /// It is appended after this time has passed, as by a slow leader.
    Late(Duration),
}

pub(crate) struct TestPlane {
    replica: Arc<Replica>,
    clock: Arc<TestClock>,
    index: Mutex<u64>,
    answer: Mutex<Answer>,
    state: watch::Sender<FreshState>,
    /// What barriers give, and the revisions at which they were asked for.
    pub(crate) barrier: Mutex<BarrierProgress>,
    pub(crate) barriers: Mutex<Vec<Revision>>,
    /// Nodes that have not applied anything of late.
    pub(crate) without: Mutex<Vec<NodeId>>,
    /// What a leader confirms, if that is more than this node has.
    pub(crate) confirmed: Mutex<Option<Revision>>,
    /// How long the last change was to be waited for.
    pub(crate) patience: Mutex<Option<Duration>>,
}

impl TestPlane {
    pub(crate) fn open(dir: &Path, clock: Arc<TestClock>) -> Self {
        let replica = Arc::new(Replica::open(dir).expect("a replica"));
        let index = Mutex::new(replica.revision().index);
        Self {
            replica,
            clock,
            index,
            answer: Mutex::new(Answer::Committed),
            state: watch::Sender::new(FRESH),
            barrier: Mutex::new(BarrierProgress::Complete { by: CompleteBy::Acks }),
            barriers: Mutex::default(),
            without: Mutex::default(),
            confirmed: Mutex::new(None),
            patience: Mutex::new(None),
        }
    }

    /// Loses touch with the cluster.
    pub(crate) fn fence(&self) {
        self.state.send_replace(FreshState::Fenced(Fence { since: Boottime::from_millis(2), reason: FenceReason::BoundExceeded }));
    }

    /// Is in touch again.
    pub(crate) fn refresh(&self) {
        self.state.send_replace(FRESH);
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    /// Applies a command, whatever was set to become of changes.
    pub(crate) fn apply(&self, command: Command) -> Outcome {
        let proposal = Proposal { request: request_id(), idempotency: None, log_time_ms: self.clock.now_ms(), command };
        self.append(&proposal).outcome
    }

    fn append(&self, proposal: &Proposal) -> Applied {
        let mut index = self.index.lock();
        *index += 1;
        let bytes = encode(proposal).expect("encodes");
        let applied = self.replica.apply(&[Entry { index: *index, proposal: Some(&bytes) }], &[]).expect("applies");
        applied.into_iter().next().flatten().expect("is new")
    }

    fn decide(&self, change: Change) -> Result<Committed, ProposeError> {
        let answer = *self.answer.lock();
        *self.patience.lock() = Some(change.deadline);
        match answer {
            Answer::Unavailable => return Err(ProposeError::Unavailable { reason: "no leader is known" }),
            Answer::Late(by) => self.clock.advance(by),
            Answer::Committed | Answer::UnknownApplied => {}
        }
        let proposal = Proposal {
            request: change.request,
            idempotency: change.idempotency,
            log_time_ms: self.clock.now_ms(),
            command: change.command,
        };
        let applied = self.append(&proposal);
        if answer == Answer::UnknownApplied {
            return Err(ProposeError::Unknown { reason: "no answer in time" });
        }
        Ok(Committed { revision: Revision { lineage: applied.lineage, index: applied.index }, outcome: applied.outcome })
    }
}

const FRESH: FreshState = FreshState::Fresh { as_of: Boottime::from_millis(1) };

impl ControlPlane for TestPlane {
    fn node_id(&self) -> NodeId {
        HERE
    }

    fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    fn propose(&self, change: Change) -> BoxFuture<'_, Result<Committed, ProposeError>> {
        async move { self.decide(change) }.boxed()
    }

    fn read_index(&self, deadline: Duration) -> BoxFuture<'_, Result<Revision, ReadError>> {
        let newest = self.confirmed.lock().unwrap_or_else(|| self.replica.revision());
        async move { self.wait_for(newest, deadline).await.map(|()| newest) }.boxed()
    }

    fn wait_for(&self, wanted: Revision, deadline: Duration) -> BoxFuture<'_, Result<(), ReadError>> {
        async move {
            if wanted.lineage < self.replica.revision().lineage {
                return Err(ReadError::Lost { wanted });
            }
            let mut revisions = self.replica.watch();
            let reached = tokio::time::timeout(deadline, revisions.wait_for(|reached| *reached >= wanted)).await;
            match reached {
                Ok(_) => Ok(()),
                Err(_) => Err(ReadError::Behind { wanted, reached: self.replica.revision() }),
            }
        }
        .boxed()
    }

    fn fresh_state(&self) -> FreshState {
        *self.state.borrow()
    }

    fn freshness(&self) -> watch::Receiver<FreshState> {
        self.state.subscribe()
    }

    fn barrier(&self, revision: Revision, _: Duration) -> BoxFuture<'_, Result<BarrierProgress, BarrierError>> {
        self.barriers.lock().push(revision);
        let progress = self.barrier.lock().clone();
        async move { Ok(progress) }.boxed()
    }

    fn without(&self, _: Revision) -> BoxFuture<'_, Vec<NodeId>> {
        let without = self.without.lock().clone();
        async move { without }.boxed()
    }
}
