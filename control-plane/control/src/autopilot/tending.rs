//! What a leader remembers between two looks at the voters, and how a look becomes a [`View`].

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use ncore_model::{Node, NodeId, Query, TableError};
use ncore_raft::{PeerStatus, RaftStatus};

use super::{
    preference::Patience,
    view::{Health, Part, Seen, UnderWay, View},
};
use crate::{control::Control, plane::ControlPlane};

/// A member of Raft answers heartbeats. Silence of this length is more than a hiccup.
const HEALTHY: Duration = Duration::from_secs(2);
/// A node outside of Raft is asked every few seconds.
const HEARD: Duration = Duration::from_secs(10);
/// Entries that a node may lack and still count as caught up.
const LAG: u64 = 1_000;
/// A change that another leader has begun, and that did not end by itself within this, has stopped.
const STALLED: Duration = Duration::from_secs(5);
/// How long a node may take from being chosen to having the log.
const PREPARATION: Duration = Duration::from_secs(120);
/// How long one that took longer is passed over.
const AVOID: Duration = Duration::from_secs(600);

/// What a leader remembers. Another leader begins with nothing.
#[derive(Debug, Default)]
pub(crate) struct Tending {
    /// The term, and since when.
    led: Option<(u64, Instant)>,
    /// The end of a change that is under way, and since when.
    joint: Option<(BTreeSet<u64>, Instant)>,
    /// Who is being prepared for a vote, and since when.
    preparing: Option<(NodeId, Instant)>,
    /// Who took too long, and until when it is passed over.
    avoided: HashMap<NodeId, Instant>,
    /// For how long another voter has been better.
    pub(super) patience: Patience,
}

impl Tending {
    pub(super) fn leads(&mut self, term: u64, now: Instant) {
        if self.led.is_none_or(|(known, _)| known != term) {
            *self = Self { led: Some((term, now)), ..Self::default() };
        }
    }

    /// Notes who is being prepared. One that takes too long is passed over for a while.
    pub(super) fn prepares(&mut self, node: Option<NodeId>, now: Instant) {
        match (node, self.preparing) {
            (Some(node), Some((known, since))) if node == known => {
                if now.saturating_duration_since(since) > PREPARATION {
                    tracing::warn!(%node, "it was to vote and does not catch up: it is passed over for a while");
                    self.avoided.insert(node, now + AVOID);
                    self.preparing = None;
                }
            }
            (node, _) => self.preparing = node.map(|node| (node, now)),
        }
    }

    fn under_way(&mut self, status: &RaftStatus, now: Instant) -> UnderWay {
        let Some((_, new)) = &status.members.joint else {
            self.joint = None;
            return if status.members.committed { UnderWay::Nothing } else { UnderWay::Change };
        };
        match &self.joint {
            Some((known, since)) if known == new => {
                if now.saturating_duration_since(*since) < STALLED {
                    return UnderWay::Change;
                }
                UnderWay::Stalled(new.iter().copied().map(NodeId).collect())
            }
            _ => {
                self.joint = Some((new.clone(), now));
                UnderWay::Change
            }
        }
    }
}

impl Control {
    /// What this leader knows now.
    pub(super) fn see(&self, status: &RaftStatus, tending: &mut Tending, now: Instant) -> Result<View, TableError> {
        let led = tending.led.map_or(Duration::MAX, |(_, since)| now.saturating_duration_since(since));
        tending.avoided.retain(|_, until| *until > now);
        let relays = self.replica().relays()?;
        let members = &status.members;
        let takes_part = |node: &Node| members.voters.contains(&node.id.0) || members.learners.contains(&node.id.0);
        let nodes = self.replica().nodes()?.into_iter().filter(|node| takes_part(node) || node.voter);
        let seen = |node: Node| {
            let part = match (members.voters.contains(&node.id.0), members.learners.contains(&node.id.0)) {
                (true, _) => Part::Voter,
                (false, true) => Part::Learner,
                (false, false) => Part::Outside,
            };
            let peer = status.peers.as_ref().and_then(|peers| peers.get(&node.id.0)).copied();
            let own = node.id == self.id();
            let acked = peer.and_then(|peer| peer.ack_age);
            let health = match part {
                _ if own => Health::Healthy,
                Part::Voter => health(acked.unwrap_or(led), HEALTHY),
                _ if tending.avoided.contains_key(&node.id) => Health::Silent(Duration::ZERO),
                Part::Learner if acked.is_some_and(|age| age < HEALTHY) => Health::Healthy,
                Part::Learner | Part::Outside => health(self.peers().silence(node.id, now).unwrap_or(Duration::MAX), HEARD),
            };
            let caught_up = own || peer.is_some_and(is_caught_up);
            let relay = relays.contains(&node.id);
            Seen { id: node.id, region: node.region, state: node.state, meant: node.voter, relay, part, health, caught_up }
        };
        let nodes = nodes.map(seen).collect();
        let settings = self.autopilot_settings();
        let change = tending.under_way(status, now);
        Ok(View { own: self.id(), wanted: settings.voters, dead_after: settings.dead_after, change, nodes })
    }
}

fn health(silence: Duration, limit: Duration) -> Health {
    if silence < limit { Health::Healthy } else { Health::Silent(silence) }
}

fn is_caught_up(peer: PeerStatus) -> bool {
    peer.lag <= LAG && peer.ack_age.is_some_and(|age| age < HEALTHY)
}
