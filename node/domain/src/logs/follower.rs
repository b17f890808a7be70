//! Following the log of the cluster as it grows, at every node: nothing of it is queued here. Who is so slow that records are gone before
//! it has seen them hears so, and so it does of nodes that do not answer.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use ncore_model::NodeId;
use ncore_telemetry::{AccessQuery, AccessRecord};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{LogNode, LogPeers, own::OwnLog, places::Place, remote};

/// The most other nodes that are followed. Further ones are said to be not heard.
const NODES_MAX: usize = 256;
/// How often nodes that joined are looked for.
const NODES_EVERY: Duration = Duration::from_secs(5);

/// What a follower hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Records of a node, at least one, the oldest first. Those of different nodes come as they are heard.
    Records {
        /// Which node.
        node: LogNode,
        /// Its records.
        records: Vec<AccessRecord>,
    },
    /// The follower was too slow for a node, and so many of its records went by. What follows is not whole.
    Overtaken {
        /// Which node.
        node: LogNode,
        /// How many records.
        missed: u64,
    },
    /// A node does not answer: what it records from now on is not told.
    NotHeard(LogNode),
    /// It answers again.
    Heard(LogNode),
}

/// Someone who follows the log of the cluster.
pub struct Follower {
    node: LogNode,
    own: OwnLog,
    peers: Arc<dyn LogPeers>,
    others: SelectAll<BoxStream<'static, News>>,
    known: HashSet<NodeId>,
    look: Interval,
    _place: Place,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("node", &self.node).field("own", &self.own).field("known", &self.known).finish_non_exhaustive()
    }
}

impl Follower {
    pub(super) fn new(node: LogNode, own: OwnLog, peers: Arc<dyn LogPeers>, place: Place) -> Self {
        let mut look = interval(NODES_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { node, own, peers, others: SelectAll::new(), known: HashSet::new(), look, _place: place }
    }

    /// What comes next; `None` when this node is about to stop, or after a [`News::Overtaken`] of its own. It may be dropped at any time,
    /// and then nothing is lost.
    pub async fn next(&mut self) -> Option<News> {
        while !self.own.is_stopping() {
            tokio::select! {
                own = self.own.next() => {
                    let node = self.node.clone();
                    return own.map(|own| match own {
                        Ok(records) => News::Records { node, records },
                        Err(missed) => News::Overtaken { node, missed },
                    });
                }
                Some(news) = self.others.next() => return Some(news),
                _ = self.look.tick() => self.look_for_nodes(),
            }
        }
        None
    }

    fn look_for_nodes(&mut self) {
        for node in self.peers.others() {
            if !self.known.insert(node.id) {
                continue;
            }
            let query: AccessQuery = self.own.query().clone();
            self.others.push(if self.known.len() > NODES_MAX {
                stream::once(async { News::NotHeard(node) }).boxed()
            } else {
                remote::news(Arc::clone(&self.peers), node, query).boxed()
            });
        }
    }
}
