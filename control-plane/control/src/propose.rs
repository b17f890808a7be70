//! Getting a change to the leader, from any node, and an answer that says no more than is known.
//!
//! ```text
//!   try: this node leads?  ── yes ─► stamp the time, give it to Raft ──┐
//!        │ no                                                          ├─► applied          → Committed
//!        └─ ask the leader that this node knows (one hop) ─────────────┘
//!                                                                      ├─► no leader, no connection, refused
//!                                                                      │     nothing was appended: try again
//!                                                                      └─► no answer
//!                                                                            it may be appended: try again, but from here
//!                                                                            on the end can only be Committed or Unknown
//! ```
//!
//! Proposals of one node that are under way to the leader at the same time go over one stream, and into Raft together: see
//! [`Forwarder`](crate::forward::Forwarder). Trying again is safe at any time because the request id is the same: the state answers it at most once.

use std::time::Duration;

use ncore_model::{NodeId, Outcome, Proposal, Revision, decode, encode};
use ncore_proto::cluster::v1::{self as wire, propose_reply::Result as Reply};
use tokio::time::{Instant, timeout};

use crate::{
    control::Control,
    machine::Answer,
    plane::{Change, Committed, ProposeError},
};

/// The longest wait for one answer: a leader that has not answered by then is asked again, or another one is.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);
/// The waits between tries, from the first to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// What is left of the deadline for another try at least, which is what an answer takes from far away. One that has less ends without an
/// answer, and makes what was certain not to have happened unknown.
const LEAST: Duration = Duration::from_millis(250);

const TOO_LARGE: &str = "the command is too large";
const NO_QUORUM: &str = "the leader has no quorum";
/// Goes over the wire as it stands here.
const CLOCK_AHEAD: &str = "the leader's clock is ahead of a majority of the voters'";

/// What one try gave.
pub(crate) enum Try {
    /// It is committed.
    Applied(Answer),
    /// It was certainly not appended.
    NotAppended(&'static str),
    /// It may have been.
    NoAnswer(&'static str),
}

impl Control {
    pub(crate) async fn propose_anywhere(&self, change: Change) -> Result<Committed, ProposeError> {
        let deadline = Instant::now() + change.deadline;
        let proposal = Proposal { request: change.request, idempotency: change.idempotency, log_time_ms: 0, command: change.command };
        let mut backoff = BACKOFF.0;
        let mut may_be_appended = None;
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let leader = self.leader();
            let in_the_way = match self.try_at(leader, &proposal, remaining.min(TRY_TIMEOUT)).await {
                Try::Applied(answer) => return self.committed(&answer, deadline).await,
                Try::NotAppended(reason) => reason,
                Try::NoAnswer(reason) => {
                    may_be_appended = Some(reason);
                    reason
                }
            };
            if Instant::now() + backoff + LEAST >= deadline {
                return Err(match may_be_appended {
                    Some(reason) => ProposeError::Unknown { reason },
                    None => ProposeError::Unavailable { reason: in_the_way },
                });
            }
            // Until the pause is over, or there is somebody else to ask.
            let _ = timeout(backoff, self.leadership().another_than(leader)).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// One try at `leader`. It ends when somebody else leads: one that is cut off, or that hangs, would not answer before `patience` is
    /// over.
    async fn try_at(&self, leader: Option<u64>, proposal: &Proposal, patience: Duration) -> Try {
        let Some(leader) = leader else { return Try::NotAppended("no leader is known") };
        let answer = async {
            match NodeId(leader) {
                leader if leader == self.id() => self.propose_here(proposal.clone(), patience).await,
                leader => self.propose_at(leader, proposal, patience).await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.leadership().another_than(Some(leader)) => Try::NoAnswer("the leader changed before it answered"),
        }
    }

    /// As the leader: stamps the time and gives the proposal to Raft.
    pub(crate) async fn propose_here(&self, proposal: Proposal, patience: Duration) -> Try {
        let result = self.propose_together(vec![proposal], patience).await.pop();
        result.unwrap_or(Try::NoAnswer("the answer is missing"))
    }

    /// As the leader: stamps one time on all of them and gives them to Raft as one write. One result for each.
    pub(crate) async fn propose_together(&self, proposals: Vec<Proposal>, patience: Duration) -> Vec<Try> {
        let count = proposals.len();
        let Some(now_ms) = self.stamp() else {
            return all(count, || Try::NotAppended(CLOCK_AHEAD));
        };
        let Some(raft) = self.raft() else {
            return all(count, || Try::NotAppended("the node that was asked takes no part in Raft"));
        };
        let (mut results, mut commands, mut places) = (all(count, || Try::NotAppended(TOO_LARGE)), Vec::new(), Vec::new());
        for (place, mut proposal) in proposals.into_iter().enumerate() {
            proposal.log_time_ms = now_ms;
            if let Ok(bytes) = encode(&proposal) {
                commands.push(bytes.into());
                places.push(place);
            }
        }
        match raft.propose_many(commands, Instant::now() + patience).await {
            Ok(proposed) => {
                for (place, proposed) in places.into_iter().zip(proposed) {
                    results[place] = match proposed {
                        Ok(proposed) => Answer::decode(&proposed.outcome).map_or(Try::NoAnswer("the answer is not readable"), Try::Applied),
                        Err(error) => not_proposed(&error),
                    };
                }
            }
            Err(error) => {
                for place in places {
                    results[place] = not_proposed(&error);
                }
            }
        }
        results
    }

    async fn propose_at(&self, leader: NodeId, proposal: &Proposal, patience: Duration) -> Try {
        let Ok(bytes) = encode(proposal) else {
            return Try::NotAppended(TOO_LARGE);
        };
        self.forwarder().propose(self.peers(), leader, bytes.into(), patience).await
    }

    /// The outcome, once this node has applied it too, so that whoever asked reads what it wrote. If this node lags behind, the
    /// outcome is known all the same.
    async fn committed(&self, answer: &Answer, deadline: Instant) -> Result<Committed, ProposeError> {
        let outcome: Outcome =
            decode(&answer.outcome).map_err(|_| ProposeError::Unknown { reason: "the outcome is of a newer version" })?;
        let revision = Revision { lineage: answer.lineage, index: answer.index };
        let _ = self.wait_applied(revision, deadline.saturating_duration_since(Instant::now())).await;
        Ok(Committed { revision, outcome })
    }
}

fn all(count: usize, result: impl Fn() -> Try) -> Vec<Try> {
    (0..count).map(|_| result()).collect()
}

fn not_proposed(error: &ncore_raft::ProposeError) -> Try {
    match error {
        ncore_raft::ProposeError::NotLeader { .. } => Try::NotAppended("the leader has changed"),
        ncore_raft::ProposeError::Unavailable => Try::NotAppended(NO_QUORUM),
        ncore_raft::ProposeError::TooLarge { .. } => Try::NotAppended(TOO_LARGE),
        ncore_raft::ProposeError::Unknown => Try::NoAnswer("the quorum did not confirm in time"),
        ncore_raft::ProposeError::Stopped => Try::NotAppended("this node is stopping"),
    }
}

/// A try's result for the node that asked.
pub(crate) fn to_wire(result: Try) -> wire::ProposeReply {
    let reply = match result {
        Try::Applied(Answer { lineage, index, outcome }) => Reply::Applied(wire::Applied { lineage, index, outcome }),
        Try::NotAppended(reason) => Reply::Unavailable(wire::Unavailable { reason: reason.to_owned() }),
        Try::NoAnswer(reason) => Reply::Unknown(wire::Unknown { reason: reason.to_owned() }),
    };
    wire::ProposeReply { result: Some(reply) }
}

/// What the leader said.
pub(crate) fn from_wire(reply: wire::ProposeReply) -> Try {
    match reply.result {
        Some(Reply::Applied(wire::Applied { lineage, index, outcome })) => Try::Applied(Answer { lineage, index, outcome }),
        Some(Reply::NotLeader(_)) => Try::NotAppended("the leader has changed"),
        Some(Reply::Unavailable(unavailable)) if unavailable.reason == CLOCK_AHEAD => Try::NotAppended(CLOCK_AHEAD),
        Some(Reply::Unavailable(_)) => Try::NotAppended(NO_QUORUM),
        Some(Reply::Unknown(_)) | None => Try::NoAnswer("the quorum did not confirm in time"),
    }
}
