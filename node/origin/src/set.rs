//! The origins of one zone: which of them is asked, and how often again.

use rand::random;
use tokio::time::Instant;

use std::sync::Arc;

use crate::budget::Budget;
use crate::check::Watched;
use crate::choose::{Candidate, choose};
use crate::origin::{Origin, Ticket};
use crate::settings::Retries;

/// Retries of one request, whatever the settings say.
const MOST_RETRIES: u32 = 2;

/// The origins of one zone. Immutable: a zone whose settings change gets another, which shares the connections, and what is known of
/// health, of origins that are the same.
#[derive(Debug)]
pub struct OriginSet {
    members: Vec<Member>,
    retries: u32,
    budget: Budget,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) watched: Arc<Watched>,
    pub(crate) weight: u32,
    pub(crate) backup: bool,
}

/// How an origin of a set stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginState {
    /// The origin, as host and port.
    pub origin: Arc<str>,
    /// Whether it is a backup.
    pub backup: bool,
    /// Whether it is left out.
    pub ejected: bool,
}

impl OriginSet {
    pub(crate) fn new(members: Vec<Member>, retries: Retries) -> Self {
        Self { members, retries: retries.most.min(MOST_RETRIES), budget: Budget::new(retries) }
    }

    /// How its origins stand, in the order of the settings.
    #[must_use]
    pub fn states(&self) -> Vec<OriginState> {
        self.members
            .iter()
            .map(|member| OriginState {
                origin: Arc::clone(member.watched.origin.name()),
                backup: member.backup,
                ejected: member.watched.origin.is_ejected(),
            })
            .collect()
    }

    pub(crate) const fn most_retries(&self) -> u32 {
        self.retries
    }

    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The origin to ask, none of those that were tried.
    pub(crate) fn choose(&self, tried: &[Arc<Origin>]) -> Option<(Arc<Origin>, Ticket)> {
        let now = Instant::now();
        let candidates: Vec<Candidate> = self
            .members
            .iter()
            .map(|member| Candidate {
                weight: member.weight,
                backup: member.backup,
                standing: member.watched.origin.standing(now),
                tried: tried.iter().any(|origin| Arc::ptr_eq(origin, &member.watched.origin)),
            })
            .collect();
        let origin = &self.members.get(choose(&candidates, random())?)?.watched.origin;
        Some((Arc::clone(origin), Ticket::new(origin)))
    }
}
