//! Votes given and taken by an operator, through the same rules.

use std::time::{Duration, Instant};

use ncore_model::{Node, NodeId};
use tokio::time::{Instant as Deadline, sleep};

use super::{
    decide::is_safe,
    tending::Tending,
    view::{Part, View},
};
use crate::{
    control::Control,
    membership::{MembershipChange, MembershipError},
};

/// How often is looked whether a node has caught up.
const LOOK: Duration = Duration::from_millis(100);
/// How soon after an election a leader knows who answers.
const ACQUAINTED: Duration = Duration::from_secs(3);

impl Control {
    /// Gives a node a vote, whatever the wanted number of voters is: has the leader send it the log, and waits until it has it. The
    /// state must say that it is meant to vote, or it does not open its own log.
    ///
    /// # Errors
    /// [`MembershipError`]. Asked for again it goes on from where it is.
    pub async fn give_vote(&self, node: &Node, deadline: Duration) -> Result<(), MembershipError> {
        let end = Deadline::now() + deadline;
        let left = || end.saturating_duration_since(Deadline::now());
        let members = self.status().members;
        if !members.voters.contains(&node.id.0) && !members.learners.contains(&node.id.0) {
            let change = MembershipChange::AddLearner { node: node.id, address: node.cluster_address.clone() };
            self.change_membership(change, left()).await?;
        }
        loop {
            match self.change_membership(MembershipChange::Promote(node.id), left()).await {
                // A leader that does not know it as a member yet, or not any more.
                Err(MembershipError::Refused(_)) if Deadline::now() + LOOK < end => sleep(LOOK).await,
                result => return result,
            }
        }
    }

    /// As the leader: waits for a moment until a node may get, or lose, its vote. A leader that has just been elected does not know yet
    /// who answers.
    ///
    /// # Errors
    /// [`MembershipError::Unavailable`] while a candidate has not caught up; [`MembershipError::Refused`] if too few of the voters would
    /// answer.
    pub(crate) async fn wait_to_change_vote(&self, node: NodeId, votes: bool, deadline: Deadline) -> Result<(), MembershipError> {
        let end = deadline.min(Deadline::now() + ACQUAINTED);
        loop {
            match self.may_change_vote(node, votes) {
                Err(MembershipError::Refused(_)) if Deadline::now() + LOOK < end => sleep(LOOK).await,
                result => return result,
            }
        }
    }

    fn may_change_vote(&self, node: NodeId, votes: bool) -> Result<(), MembershipError> {
        let status = self.raft().ok_or(MembershipError::Unavailable)?.status();
        if !status.is_leader() {
            return Err(MembershipError::Unavailable);
        }
        let seen = self.see(&status, &mut Tending::default(), Instant::now());
        let view: View = seen.map_err(|error| MembershipError::Refused(error.to_string()))?;
        let old = view.voters();
        if old.contains(&node) == votes {
            return Ok(());
        }
        let mut new = old.clone();
        match votes {
            true => new.insert(node),
            false => new.remove(&node),
        };
        let candidate = view.node(node);
        if votes && candidate.is_none_or(|seen| seen.part == Part::Outside || !seen.caught_up) {
            return Err(MembershipError::Unavailable);
        }
        match is_safe(&view, &old, &new) {
            true => Ok(()),
            false => Err(MembershipError::Refused("too few voters would answer afterwards; see `ncore cluster status`".to_owned())),
        }
    }
}
