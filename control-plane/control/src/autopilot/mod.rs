//! The leader looks after the voters: who votes, and who leads.
//!
//! ```text
//!   Raft, state, measurements ──► View ──► decide ──► one step: prepare a candidate, or change the voters
//!                                  │
//!                                  └─► preference ──► hand over to a voter that is nearer to a majority
//! ```
//!
//! Only nodes that are *meant to vote* get a vote: they joined with a voter's token, or were promoted by hand. A voter holds the authority
//! that signs the certificates of all nodes, so a vote is a matter of trust that no machine decides. Whoever is meant to vote and is not
//! needed stays an edge, and is there when a voter dies. A voter that was replaced, or demoted by hand, is not meant to vote any
//! more: it comes back as an edge, and votes again when an operator says so.

mod by_hand;
mod decide;
mod preference;
mod report;
mod settings;
mod tending;
mod view;

pub use report::AutopilotCounts;
pub(crate) use report::Report;
pub use settings::AutopilotSettings;
pub(crate) use tending::Tending;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use ncore_model::{Command, NodeId, Query};
use ncore_raft::{RaftNode, RaftStatus};

use crate::{
    clock,
    control::Control,
    membership::MembershipChange,
    plane::ControlPlane,
    upkeep::{STEP_DEADLINE, UpkeepError},
};
use decide::{Decision, Hold, decide};
use preference::{Contender, better};
use view::{Health, Part, Seen, View};

/// How long handing over may take.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(3);

impl Control {
    /// As the leader: the next step towards the voters, and the leader, that there should be.
    pub(crate) async fn tend_voters(&self, tending: &mut Tending) -> Result<(), UpkeepError> {
        let now = Instant::now();
        let Some((raft, status)) = self.raft().map(|raft| (raft, raft.status())).filter(|(_, status)| status.is_leader()) else {
            *tending = Tending::default();
            self.autopilot().decided(&Decision::Hold(Hold::NotLeading));
            return Ok(());
        };
        tending.leads(status.term, now);
        let view = self.see(&status, tending, now).map_err(UpkeepError::State)?;
        let enabled = self.autopilot_settings().enabled;
        let decision = if enabled { decide(&view) } else { Decision::Hold(Hold::Off) };
        self.autopilot().decided(&decision);
        match decision {
            Decision::Hold(_) => {
                tending.prepares(None, now);
                self.tend_leadership(&status, &view, tending, now).await
            }
            decision => self.carry_out_decision(raft, &status, &view, tending, &decision).await,
        }
    }

    async fn carry_out_decision(
        &self,
        raft: &RaftNode,
        status: &RaftStatus,
        view: &View,
        tending: &mut Tending,
        decision: &Decision,
    ) -> Result<(), UpkeepError> {
        let (stamp, end) = (status.stamp(), tokio::time::Instant::now() + STEP_DEADLINE);
        let mut voters = view.voters();
        match decision {
            Decision::Hold(_) => return Ok(()),
            Decision::Finish(end) => voters.clone_from(end),
            Decision::Demote { node, .. } => {
                self.take_back_the_vote(view, *node).await?;
                voters.remove(node);
            }
            Decision::Promote(node) | Decision::Replace { by: node, .. } => {
                tending.prepares(Some(*node), Instant::now());
                let candidate = view.node(*node).ok_or(UpkeepError::NoLeader)?;
                match candidate.part {
                    Part::Outside => return self.let_in(raft, *node, status).await,
                    _ if !candidate.caught_up => return Ok(()),
                    _ => {}
                }
                if let Decision::Replace { leaver, .. } = decision {
                    self.take_back_the_vote(view, *leaver).await?;
                    voters.remove(leaver);
                }
                voters.insert(*node);
            }
        }
        let voters: BTreeSet<u64> = voters.into_iter().map(|voter| voter.0).collect();
        raft.change_voters(voters, stamp, end).await.map_err(UpkeepError::Change)?;
        self.autopilot().done(decision);
        Ok(())
    }

    /// Has the leader send the log to a node, which opens its own when it finds that in its state.
    async fn let_in(&self, raft: &RaftNode, node: NodeId, status: &RaftStatus) -> Result<(), UpkeepError> {
        let Some(row) = self.replica().node(node).map_err(UpkeepError::State)? else { return Ok(()) };
        let end = tokio::time::Instant::now() + STEP_DEADLINE;
        raft.add_learner(node.0, &row.cluster_address, status.stamp(), end).await.map_err(UpkeepError::Change)
    }

    /// Notes in the state that a voter which is to go is not meant to vote. Before Raft is told, so that whoever leads next goes on.
    async fn take_back_the_vote(&self, view: &View, node: NodeId) -> Result<(), UpkeepError> {
        let command = Command::SetVoter { node, voter: false };
        let level = self.replica().cluster().map_err(UpkeepError::State)?.map_or(0, |cluster| cluster.schema_level);
        let told = view.node(node).is_none_or(|seen| !seen.meant || seen.state == ncore_model::NodeState::Removed);
        if told || command.schema_level() > level {
            return Ok(());
        }
        self.carry_out(command).await
    }

    /// Hands over if this leader is not to stay, or another voter would be clearly better.
    async fn tend_leadership(&self, status: &RaftStatus, view: &View, tending: &mut Tending, now: Instant) -> Result<(), UpkeepError> {
        let settings = self.autopilot_settings();
        let contenders = self.contenders(status, view, now);
        if settings.enabled && view.node(self.id()).is_some_and(|own| !own.is_to_stay()) {
            let Some(heir) = contenders.iter().find(|contender| contender.fit) else { return Ok(()) };
            self.hand_over_to(heir.node).await?;
            tracing::info!(to = %heir.node, "handed over: this node is to lose its vote");
            return Ok(());
        }
        if !settings.leader_preference {
            return Ok(());
        }
        let own = self.peers().round_trips(view.voters());
        let found = better(self.id(), &own, &contenders);
        if !tending.patience.is_over(found.map(|found| found.node), now, settings.leader_settle) {
            return Ok(());
        }
        let Some(found) = found else { return Ok(()) };
        // Whether it works out or not: the next try is as far away as the first was.
        tending.patience.reset();
        self.hand_over_to(found.node).await?;
        let (now_ms, then_ms) = (found.now.as_millis(), found.then.as_millis());
        tracing::info!(to = %found.node, now_ms, then_ms, "handed over: it is nearer to a majority");
        Ok(())
    }

    async fn hand_over_to(&self, to: NodeId) -> Result<(), UpkeepError> {
        let change = MembershipChange::TransferLeader(to);
        self.change_membership_here(&change, HAND_OVER_DEADLINE).await.map_err(UpkeepError::Membership)?;
        self.autopilot().handed_over();
        Ok(())
    }

    /// The other voters, as candidates for leadership.
    fn contenders(&self, status: &RaftStatus, view: &View, now: Instant) -> Vec<Contender> {
        let others = view.nodes.iter().filter(|node| node.part == Part::Voter && node.id != self.id());
        let clocks: Vec<_> = others.clone().map(|node| (node.id, self.peers().clock_ms(node.id, now))).collect();
        let right = clock::heirs(self.stamps().now_ms(), &clocks);
        let settled = status.members.joint.is_none();
        let contender = |node: &Seen| Contender {
            node: node.id,
            round_trips: self.peers().measured_by(node.id, now),
            fit: settled && node.is_to_stay() && node.health == Health::Healthy && node.caught_up && right.contains(&node.id),
        };
        others.map(contender).collect()
    }
}
