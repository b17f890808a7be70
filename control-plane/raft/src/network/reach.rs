//! Which peers answer, said when it changes.
//!
//! A peer that is down is tried for as long as it is down, by heartbeats alone ten times a second. The log says that it was
//! lost and that it is back, and nothing in between.

use std::{collections::HashMap, fmt::Display, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The peers, as the calls to them went.
#[derive(Debug)]
pub(crate) struct Reach {
    /// How long a peer may fail to answer until it counts as lost.
    patience: Duration,
    /// Peers whose last call failed. There are few peers.
    failing: Mutex<HashMap<u64, Failing>>,
}

/// A peer whose calls fail.
#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    standing: Standing,
}

/// What was said of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing yet: it may be a hiccup.
    Doubtful,
    /// That it is lost.
    Lost,
}

/// What an event changed, if it is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Lost { silent: Duration },
    Back { away: Duration },
}

/// A call under way. One that is given up counts as failed: whoever gave it up had waited for long enough.
#[must_use]
pub(crate) struct Attempt<'a> {
    reach: &'a Reach,
    node: u64,
    open: bool,
}

impl Reach {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, failing: Mutex::default() }
    }

    pub(crate) fn attempt(&self, node: u64) -> Attempt<'_> {
        Attempt { reach: self, node, open: true }
    }

    pub(crate) fn answered(&self, node: u64) {
        if let Some(Change::Back { away }) = self.note_answer(node, Instant::now()) {
            tracing::info!(peer = node, away_ms = away.as_millis(), "the peer answers again");
        }
    }

    pub(crate) fn failed(&self, node: u64, reason: &dyn Display) {
        if let Some(Change::Lost { silent }) = self.note_failure(node, Instant::now()) {
            tracing::warn!(peer = node, silent_ms = silent.as_millis(), %reason, "a peer does not answer");
        }
    }

    fn note_answer(&self, node: u64, now: Instant) -> Option<Change> {
        let failing = self.failing.lock().remove(&node)?;
        (failing.standing == Standing::Lost).then(|| Change::Back { away: now - failing.since })
    }

    fn note_failure(&self, node: u64, now: Instant) -> Option<Change> {
        let mut failing = self.failing.lock();
        let failing = failing.entry(node).or_insert(Failing { since: now, last: now, standing: Standing::Doubtful });
        // Only a leader calls its peers all the time. What failed long before says nothing about now.
        if failing.standing == Standing::Doubtful && now - failing.last > QUIET {
            failing.since = now;
        }
        failing.last = now;
        if failing.standing == Standing::Lost || now - failing.since < self.patience {
            return None;
        }
        failing.standing = Standing::Lost;
        Some(Change::Lost { silent: now - failing.since })
    }
}

impl Attempt<'_> {
    pub(crate) fn answered(mut self) {
        self.open = false;
        self.reach.answered(self.node);
    }

    pub(crate) fn failed(mut self, reason: &dyn Display) {
        self.open = false;
        self.reach.failed(self.node, reason);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open {
            self.reach.failed(self.node, &"no answer in time");
        }
    }
}

/// A pause between two failures after which the second is the first of a new row.
const QUIET: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::{Change, Reach};
    use std::time::Duration;
    use tokio::time::Instant;

    const PATIENCE: Duration = Duration::from_millis(600);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn loss_and_return_are_said_once() {
        let (reach, start) = (Reach::new(PATIENCE), Instant::now());
        let said: Vec<_> = (0..100).filter_map(|n| reach.note_failure(2, start + ms(100 * n))).collect();
        assert_eq!(said, [Change::Lost { silent: PATIENCE }]);
        assert_eq!(reach.note_answer(2, start + ms(10_000)), Some(Change::Back { away: ms(10_000) }));
        assert_eq!(reach.note_answer(2, start + ms(10_001)), None);
    }

    #[test]
    fn a_hiccup_is_not_a_loss() {
        let (reach, start) = (Reach::new(PATIENCE), Instant::now());
        for n in 0..100 {
            assert_eq!(reach.note_failure(2, start + ms(500 * n)), None);
            assert_eq!(reach.note_answer(2, start + ms(500 * n + 400)), None);
        }
        // Nor are two of them with nothing in between, as on a node that calls seldom.
        assert_eq!(reach.note_failure(2, start + ms(100_000)), None);
        assert_eq!(reach.note_failure(2, start + ms(200_000)), None);
        assert_eq!(reach.note_failure(2, start + ms(200_599)), None);
        assert_eq!(reach.note_failure(2, start + ms(200_600)), Some(Change::Lost { silent: PATIENCE }));
    }

    #[test]
    fn peers_are_told_apart() {
        let (reach, start) = (Reach::new(PATIENCE), Instant::now());
        assert_eq!(reach.note_failure(2, start), None);
        assert_eq!(reach.note_answer(3, start + ms(300)), None);
        assert!(reach.note_failure(2, start + ms(700)).is_some());
    }

    #[test]
    fn a_call_that_is_given_up_has_failed() {
        let reach = Reach::new(Duration::ZERO);
        drop(reach.attempt(2));
        assert!(reach.failing.lock().contains_key(&2));
        reach.attempt(2).answered();
        assert!(!reach.failing.lock().contains_key(&2));
    }
}
