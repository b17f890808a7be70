//! Where the logs of voters ended when they gave this node their vote.
//!
//! A new leader does not know how far each log agrees with its own, and openraft finds out by halving: a round trip, and a batch
//! of entries that the voter has already, for each step. Across oceans, and with a long log, that is seconds in which nothing is
//! committed. The answer was on its way once before: a voter says with its vote where its log ends. If that entry is in the leader's
//! log too, both agree up to it (the log matching property of Raft, section 5.3 of the paper), so the first message to that voter can
//! continue there.
//!
//! What was said holds as long as the voter follows this leader and no other, and a voter that follows another refuses the message
//! that relies on it.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::types::{LeaderId, LogId, Vote};

/// By voter: whom it voted for, and the last entry of its log. One row for each voter, of the newest vote.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    ends: Mutex<HashMap<u64, (LeaderId, LogId)>>,
}

impl Granted {
    /// `voter`, whose log ends with `last`, has given its vote.
    pub(super) fn note(&self, voter: u64, vote: &Vote, last: Option<LogId>) {
        let mut ends = self.ends.lock();
        match last {
            Some(last) => ends.insert(voter, (vote.leader_id, last)),
            None => ends.remove(&voter),
        };
    }

    /// Where the log of `voter` ended, if its newest vote was for the leader of `vote`. Once: from then on the leader knows more.
    pub(super) fn take(&self, voter: u64, vote: &Vote) -> Option<LogId> {
        let (leader, last) = self.ends.lock().remove(&voter)?;
        (leader == vote.leader_id).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(term: u64) -> LeaderId {
        LeaderId { term, node_id: 1 }
    }

    fn vote(term: u64, committed: bool) -> Vote {
        Vote { leader_id: leader(term), committed }
    }

    #[test]
    fn an_end_is_told_once_and_only_to_the_leader_that_was_voted_for() {
        let last = LogId { leader_id: leader(3), index: 9 };
        let granted = Granted::default();
        granted.note(2, &vote(4, false), Some(last));
        assert_eq!(granted.take(3, &vote(4, true)), None, "another voter");
        assert_eq!(granted.take(2, &vote(4, true)), Some(last));
        assert_eq!(granted.take(2, &vote(4, true)), None, "a second time");

        granted.note(2, &vote(4, false), Some(last));
        assert_eq!(granted.take(2, &vote(5, true)), None, "a later leadership");

        granted.note(2, &vote(4, false), Some(last));
        granted.note(2, &vote(5, false), None);
        assert_eq!(granted.take(2, &vote(5, true)), None, "an empty log");
    }
}
