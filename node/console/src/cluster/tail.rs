//! The newest records of all nodes: found when somebody comes, and followed for all who stay.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc, time::Duration};

use ncore_domain::{LogEntry, LogNode, Logs, News, Viewer};
use ncore_telemetry::{AccessQuery, AccessRecord};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// How many records are shown.
const KEPT: usize = 40;
/// How old what was found may be for who comes now.
const FOUND_FOR: Duration = Duration::from_secs(2);
/// How long news is waited for until it is looked whether anybody still looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The newest records of all nodes.
pub(crate) struct Tail {
    logs: Arc<Logs>,
    shown: Mutex<Shown>,
    found: tokio::sync::Mutex<Option<Instant>>,
}

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// The records, the newest first.
    pub(crate) entries: Vec<LogEntry>,
    /// The nodes that are not heard, by their names.
    pub(crate) unheard: BTreeSet<Arc<str>>,
    /// Whether somebody follows.
    pub(crate) is_followed: bool,
}

impl Tail {
    pub(crate) fn new(logs: Arc<Logs>) -> Self {
        Self { logs, shown: Mutex::default(), found: tokio::sync::Mutex::default() }
    }

    /// What is shown now.
    pub(crate) fn shown(&self) -> Shown {
        self.shown.lock().clone()
    }

    /// Looks for the newest, unless they are followed, or somebody has just looked.
    pub(crate) async fn find(&self) {
        let mut found = self.found.lock().await;
        if self.shown.lock().is_followed || found.is_some_and(|at| at.elapsed() < FOUND_FOR) {
            return;
        }
        self.look().await;
        *found = Some(Instant::now());
    }

    /// Follows for as long as somebody looks.
    pub(crate) async fn follow(&self, somebody_looks: impl Fn() -> bool) {
        // As an operator: who looks at this was let in as an administrator.
        let Some(mut follower) = self.logs.follow(&Viewer::Operator, AccessQuery::default()) else { return };
        self.look().await;
        self.shown.lock().is_followed = true;
        while somebody_looks() {
            match timeout(LOOK_EVERY, follower.next()).await {
                Err(_) => {}
                Ok(None) => break,
                Ok(Some(news)) => self.shown.lock().take(news),
            }
        }
        self.shown.lock().is_followed = false;
    }

    async fn look(&self) {
        let page = self.logs.find(&Viewer::Operator, AccessQuery::default(), KEPT).await;
        let unheard = page.nodes.iter().filter(|answer| !answer.answered).map(|answer| Arc::clone(&answer.node.name)).collect();
        let mut shown = self.shown.lock();
        (shown.entries, shown.unheard) = (page.entries, unheard);
    }
}

impl Shown {
    fn take(&mut self, news: News) {
        match news {
            News::Records { node, records } => self.add(&node, records),
            News::NotHeard(node) => {
                self.unheard.insert(node.name);
            }
            News::Heard(node) => {
                self.unheard.remove(&node.name);
            }
            // Only the newest are shown, so that what went by would not be there either.
            News::Overtaken { .. } => {}
        }
    }

    fn add(&mut self, node: &LogNode, records: Vec<AccessRecord>) {
        let surplus = records.len().saturating_sub(KEPT);
        self.entries.extend(records.into_iter().skip(surplus).map(|record| LogEntry { node: node.clone(), record }));
        self.entries.sort_by_key(|entry| Reverse(entry.position()));
        // What was found may be told again by the one that follows.
        self.entries.dedup_by_key(|entry| entry.position());
        self.entries.truncate(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use ncore_domain::{LogNode, News};
    use ncore_model::NodeId;
    use ncore_telemetry::{AccessHead, AccessRecord, PathClass};

    use super::{KEPT, Shown};

    fn record(number: u64) -> AccessRecord {
        let head = AccessHead {
            method: "GET",
            host: "",
            path: "/",
            request_id: "",
            agent: b"",
            remote: [127, 0, 0, 1].into(),
            class: PathClass::Node,
        };
        AccessRecord { number, ended_us: number, ..AccessRecord::new(&head) }
    }

    #[test]
    fn the_newest_of_all_nodes_are_kept_each_once() {
        let node = |id| LogNode { id: NodeId(id), name: id.to_string().into() };
        let mut shown = Shown::default();
        shown.take(News::Records { node: node(1), records: (1..=1_000).map(record).collect() });
        shown.take(News::Records { node: node(2), records: vec![record(2), record(999)] });
        shown.take(News::Records { node: node(1), records: vec![record(1_000)] });
        let seen: Vec<_> = shown.entries.iter().map(|entry| (entry.record.number, entry.node.id.0)).collect();
        assert_eq!(seen[..4], [(1_000, 1), (999, 2), (999, 1), (998, 1)]);
        assert_eq!(seen.len(), KEPT);
        shown.take(News::NotHeard(node(2)));
        assert_eq!(shown.unheard.len(), 1);
        shown.take(News::Heard(node(2)));
        assert!(shown.unheard.is_empty());
    }
}
