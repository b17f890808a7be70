//! Following the log of a node as it grows: by a bounded number of viewers, none of which has a queue. Who is so slow that records are
//! gone before it has seen them hears so, and is let go.

use std::{collections::HashMap, sync::Arc};

use ncore_telemetry::{AccessLog, AccessQuery, AccessRecord};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{LogNode, Viewer};

/// The most followers of a node.
const FOLLOWERS_MAX: usize = 64;
/// The most of them that are one client's.
const OF_A_CLIENT_MAX: usize = 8;

/// How many follow.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<HashMap<Viewer, usize>>,
}

impl Places {
    pub(super) fn take(self: &Arc<Self>, viewer: &Viewer) -> Option<Place> {
        let mut taken = self.taken.lock();
        let max = if matches!(viewer, Viewer::Operator) { FOLLOWERS_MAX } else { OF_A_CLIENT_MAX };
        let of_this = taken.get(viewer).copied().unwrap_or(0);
        if of_this >= max || taken.values().sum::<usize>() >= FOLLOWERS_MAX {
            return None;
        }
        taken.insert(viewer.clone(), of_this + 1);
        Some(Place { places: Arc::clone(self), viewer: viewer.clone() })
    }
}

/// A follower's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    viewer: Viewer,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(of_this) = taken.get_mut(&self.viewer) {
            *of_this -= 1;
            if *of_this == 0 {
                taken.remove(&self.viewer);
            }
        }
    }
}

/// What a follower hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// These records, at least one, the oldest first.
    Records(Vec<AccessRecord>),
    /// It was too slow, and so many records went by. There is no more news after this.
    Overtaken(u64),
}

/// Someone who follows the log of a node.
#[derive(Debug)]
pub struct Follower {
    node: LogNode,
    log: Arc<AccessLog>,
    query: AccessQuery,
    after: u64,
    newest: watch::Receiver<u64>,
    stopping: CancellationToken,
    ended: bool,
    _place: Place,
}

impl Follower {
    pub(super) fn new(node: LogNode, log: Arc<AccessLog>, query: AccessQuery, place: Place, stopping: CancellationToken) -> Self {
        let newest = log.watch();
        let after = log.newest();
        Self { node, log, query, after, newest, stopping, ended: false, _place: place }
    }

    /// The node whose log it is.
    #[must_use]
    pub fn node(&self) -> &LogNode {
        &self.node
    }

    /// What comes next; `None` when the node is about to stop. It may be dropped at any time, and then nothing is lost.
    pub async fn next(&mut self) -> Option<News> {
        while !self.ended && !self.stopping.is_cancelled() {
            // Before the look, so that what comes during it wakes.
            self.newest.mark_unchanged();
            match self.log.since(self.after, &self.query, self.node.id.0) {
                Err(overtaken) => {
                    self.ended = true;
                    return Some(News::Overtaken(overtaken.missed));
                }
                Ok(followed) => {
                    self.after = followed.after;
                    if !followed.records.is_empty() {
                        return Some(News::Records(followed.records));
                    }
                    if followed.more {
                        tokio::task::yield_now().await;
                        continue;
                    }
                }
            }
            let changed = self.stopping.run_until_cancelled(self.newest.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ncore_model::ClientId;

    use super::{FOLLOWERS_MAX, OF_A_CLIENT_MAX, Places};
    use crate::logs::Viewer;

    #[test]
    fn places_are_bounded_for_each_and_for_all_and_come_back() {
        let places: Arc<Places> = Arc::default();
        let client = |number: usize| Viewer::Client(ClientId::from_text(&format!("c{number}")));
        let mut held: Vec<_> = (0..OF_A_CLIENT_MAX).map(|_| places.take(&client(0)).expect("a place")).collect();
        assert!(places.take(&client(0)).is_none());
        held.extend((held.len()..FOLLOWERS_MAX).map(|number| places.take(&client(number)).expect("a place")));
        assert!(places.take(&client(FOLLOWERS_MAX)).is_none() && places.take(&Viewer::Operator).is_none());
        drop(held.remove(0));
        held.push(places.take(&client(0)).expect("a place"));
        drop(held);
        assert!(places.taken.lock().is_empty());
    }
}
