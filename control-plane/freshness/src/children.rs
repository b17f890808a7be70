//! The nodes below a hub: how far each is, and until when each may be fresh through this hub.
//!
//! ```text
//!             join                  caught up, and its ping is taken up by a round at `now`
//!   (nobody) ─────► here, not counted ─────────────────────────► here, counted until now + hold
//!                        ▲                                            │              │ leave
//!                        └──────────── hold passed ───────────────────┘              ▼
//!                                              (nobody) ◄── hold passed ── left, counted until then
//! ```
//!
//! Not counted means: nothing that was granted through this hub to that child or below it can be fresh any more. So who
//! copies a checkpoint holds nobody up, and who left holds up as long as it must.

use std::collections::BTreeMap;
use std::time::Duration;

use ncore_model::{NodeId, Revision};

use crate::ack::{Ack, Child, Laggard, MAX_LAGGARDS};
use crate::clock::Boottime;

/// The most children of a hub.
pub const MAX_CHILDREN: usize = 64;

/// The most children that left of which each is kept by itself. Further ones are kept as one, at the least of their acks.
const MAX_DEPARTED: usize = 256;

/// A child was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// There are [`MAX_CHILDREN`] already.
    #[error("this hub has as many children as it can have")]
    Full,
    /// A later start of the same node is here, or was here a moment ago.
    #[error("a later incarnation of the node has joined before")]
    Superseded,
}

/// The children of one hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Children {
    hold: Duration,
    here: BTreeMap<Child, Member>,
    departed: BTreeMap<Child, Departed>,
    /// Stands for all that left and are not kept by themselves.
    folded: Option<Departed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Member {
    ack: Ack,
    /// Its pings are not taken up until it has applied this: what the hub had when it joined.
    catch_up_to: Revision,
    /// When a round last began that took up a ping of it. What it was granted is from before that.
    granted: Option<Boottime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Departed {
    ack: Ack,
    granted: Boottime,
}

impl Children {
    pub(crate) const fn new(hold: Duration) -> Self {
        Self { hold, here: BTreeMap::new(), departed: BTreeMap::new(), folded: None }
    }

    /// A child connects; the hub itself has applied `hub_applied`. If this start of the node was here before, what is known
    /// of it stays; an earlier start of it is taken to have left.
    pub(crate) fn join(&mut self, child: Child, ack: Ack, hub_applied: Revision) -> Result<(), JoinError> {
        let known = || self.here.keys().chain(self.departed.keys()).filter(|known| known.node == child.node);
        if known().any(|known| known.incarnation > child.incarnation) {
            return Err(JoinError::Superseded);
        }
        let earlier = self.here.keys().copied().find(|known| known.node == child.node && known.incarnation < child.incarnation);
        if self.here.len() == MAX_CHILDREN && earlier.is_none() && !self.here.contains_key(&child) {
            return Err(JoinError::Full);
        }
        if let Some(earlier) = earlier {
            self.leave(earlier);
        }
        self.leave(child);
        let member = match self.departed.remove(&child) {
            None => Member { ack, catch_up_to: hub_applied, granted: None },
            Some(before) => Member { ack: later(&before.ack, ack), catch_up_to: hub_applied, granted: Some(before.granted) },
        };
        self.here.insert(child, member);
        Ok(())
    }

    /// A child disconnects. It counts on for as long as it may be fresh.
    pub(crate) fn leave(&mut self, child: Child) {
        let Some(Member { ack, granted: Some(granted), .. }) = self.here.remove(&child) else { return };
        self.departed.insert(child, Departed { ack, granted });
        if self.departed.len() > MAX_DEPARTED {
            self.fold_oldest();
        }
    }

    /// A child says how far it is. Acks only ever say more, so an older one that comes late changes nothing.
    pub(crate) fn ack(&mut self, child: Child, ack: Ack) {
        if let Some(member) = self.here.get_mut(&child) {
            member.ack = later(&member.ack, ack);
        }
    }

    pub(crate) fn is_here(&self, child: Child) -> bool {
        self.here.contains_key(&child)
    }

    pub(crate) fn has_caught_up(&self, child: Child) -> bool {
        self.here.get(&child).is_some_and(Member::has_caught_up)
    }

    /// A round begins at `now`: whether it may take up this child's ping. If so the child counts from now on, before
    /// there is an answer.
    pub(crate) fn admit(&mut self, child: Child, now: Boottime) -> bool {
        let Some(member) = self.here.get_mut(&child).filter(|member| member.has_caught_up()) else { return false };
        member.granted = Some(now);
        true
    }

    /// Gives back the room of those that left and do not count any more.
    pub(crate) fn expire(&mut self, now: Boottime) {
        let hold = self.hold;
        self.departed.retain(|_, departed| now.since(departed.granted) < hold);
        self.folded.take_if(|departed| now.since(departed.granted) >= hold);
    }

    /// The least that a counted child and all below it have applied; `None` if none counts.
    pub(crate) fn min_applied(&self, now: Boottime) -> Option<Revision> {
        self.counted(now).map(|(_, ack)| ack.subtree_min_applied).min()
    }

    /// How many nodes count.
    pub(crate) fn count(&self, now: Boottime) -> u32 {
        self.counted(now).fold(0, |sum, (_, ack)| sum.saturating_add(ack.subtree_count))
    }

    /// How many nodes are known to have applied `position`.
    pub(crate) fn count_with(&self, position: Revision, now: Boottime) -> u32 {
        self.counted(now).fold(0, |sum, (_, ack)| sum.saturating_add(known_to_have(ack, position)))
    }

    /// The counted nodes that are known not to have applied `position`, the furthest behind first.
    pub(crate) fn behind(&self, position: Revision, now: Boottime) -> Vec<Laggard> {
        let mut behind: Vec<Laggard> = self
            .counted(now)
            .flat_map(|(node, ack)| node.map(|node| Laggard { applied: ack.applied, node }).into_iter().chain(ack.laggards.iter().copied()))
            .filter(|laggard| laggard.applied < position)
            .collect();
        behind.sort_unstable();
        behind.dedup_by_key(|laggard| laggard.node);
        behind.truncate(MAX_LAGGARDS);
        behind
    }

    /// Those that count, with the name of each that is kept by itself.
    fn counted(&self, now: Boottime) -> impl Iterator<Item = (Option<NodeId>, &Ack)> {
        let counts = move |granted: Boottime| now.since(granted) < self.hold;
        let here = self.here.iter().filter(move |(_, member)| member.granted.is_some_and(counts));
        let here = here.map(|(child, member)| (Some(child.node), &member.ack));
        let departed = self.departed.iter().map(|(child, departed)| (Some(child.node), departed));
        let departed = departed.chain(self.folded.iter().map(|folded| (None, folded)));
        here.chain(departed.filter(move |(_, departed)| counts(departed.granted)).map(|(node, departed)| (node, &departed.ack)))
    }

    fn fold_oldest(&mut self) {
        let Some(oldest) = self.departed.iter().min_by_key(|(child, departed)| (departed.granted, **child)).map(|(child, _)| *child) else {
            return;
        };
        let Some(oldest) = self.departed.remove(&oldest) else { return };
        self.folded = Some(match self.folded.take() {
            None => oldest,
            Some(folded) => Departed {
                granted: folded.granted.max(oldest.granted),
                ack: Ack {
                    applied: folded.ack.applied.min(oldest.ack.applied),
                    subtree_min_applied: folded.ack.subtree_min_applied.min(oldest.ack.subtree_min_applied),
                    subtree_count: folded.ack.subtree_count.saturating_add(oldest.ack.subtree_count),
                    laggards: Vec::new(),
                },
            },
        });
    }
}

impl Member {
    fn has_caught_up(&self) -> bool {
        self.ack.applied >= self.catch_up_to
    }
}

/// Two acks of one child, in either order: each stays true.
fn later(known: &Ack, new: Ack) -> Ack {
    Ack { applied: known.applied.max(new.applied), subtree_min_applied: known.subtree_min_applied.max(new.subtree_min_applied), ..new }
}

/// How many nodes an ack shows to have applied `position`.
fn known_to_have(ack: &Ack, position: Revision) -> u32 {
    if ack.subtree_min_applied >= position {
        return ack.subtree_count;
    }
    if ack.applied < position {
        return 0;
    }
    // All that are behind the child itself are named, unless there are too many.
    if ack.laggards.len() < MAX_LAGGARDS {
        let behind = ack.laggards.iter().filter(|laggard| laggard.applied < position).count();
        return ack.subtree_count.saturating_sub(u32::try_from(behind).unwrap_or(u32::MAX));
    }
    1
}
