//! Following the log of another node: by asking it again and again for what came since. It waits with its answer until there is something,
//! so that this costs little while nothing happens, and no more than one answer of each node is ever under way.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use ncore_telemetry::AccessQuery;
use tokio::time::{sleep, timeout};

use super::{LogNode, LogPeers, News, SinceLog};

/// How long a node may take to answer, its wait for something to tell included.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long until a node is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Another node, as it is followed.
struct Remote {
    peers: Arc<dyn LogPeers>,
    node: LogNode,
    query: AccessQuery,
    after: Option<u64>,
    is_heard: bool,
    /// What was answered and is still to be told.
    pending: Option<SinceLog>,
}

/// The news of another node. It ends when the node is none of the cluster any more.
pub(super) fn news(peers: Arc<dyn LogPeers>, node: LogNode, query: AccessQuery) -> impl Stream<Item = News> + Send {
    stream::unfold(Remote { peers, node, query, after: None, is_heard: true, pending: None }, Remote::next)
}

impl Remote {
    async fn next(mut self) -> Option<(News, Self)> {
        loop {
            if let Some(news) = self.pending.take().and_then(|since| self.told(since)) {
                return Some((news, self));
            }
            if !self.is_heard {
                sleep(PAUSE).await;
            }
            match timeout(PATIENCE, self.peers.since(self.node.id, self.after, &self.query)).await {
                Ok(Ok(since)) => {
                    self.after = Some(since.after);
                    self.pending = Some(since);
                    if !self.is_heard {
                        self.is_heard = true;
                        return Some((News::Heard(self.node.clone()), self));
                    }
                }
                Ok(Err(_)) | Err(_) if self.is_gone() => return None,
                Ok(Err(_)) | Err(_) if self.is_heard => {
                    self.is_heard = false;
                    return Some((News::NotHeard(self.node.clone()), self));
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    fn told(&self, since: SinceLog) -> Option<News> {
        let node = self.node.clone();
        if since.missed > 0 {
            return Some(News::Overtaken { node, missed: since.missed });
        }
        (!since.records.is_empty()).then_some(News::Records { node, records: since.records })
    }

    fn is_gone(&self) -> bool {
        self.peers.others().iter().all(|other| other.id != self.node.id)
    }
}
