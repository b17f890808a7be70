//! When the leadership moved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_tests::Node;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// Looks at what every node takes for the leader.
pub(crate) struct Leadership {
    seen: Arc<Mutex<Vec<Look>>>,
    task: AbortHandle,
}

/// The times in which not all nodes that answered named the same leader, one that answered too.
#[derive(Debug, Default)]
pub(crate) struct Moves(Vec<(Instant, Instant)>);

struct Look {
    at: Instant,
    /// The leader that all agree on, if they do.
    leader: Option<u64>,
}

impl Leadership {
    /// Begins to look.
    pub(crate) fn watch(nodes: &[Node]) -> Self {
        let seen: Arc<Mutex<Vec<Look>>> = Arc::default();
        let (nodes, looks) = (nodes.to_vec(), Arc::clone(&seen));
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().unwrap_or_default();
        let task = tokio::spawn(async move {
            loop {
                let named = join_all(nodes.iter().map(|node| leader_by(&client, node))).await;
                looks.lock().push(Look { at: Instant::now(), leader: agreed(&nodes, &named) });
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self { seen, task: task.abort_handle() }
    }

    /// What was seen.
    pub(crate) async fn end(self) -> Moves {
        self.task.abort();
        let looks = self.seen.lock();
        let mut moves = Vec::new();
        let mut settled: Option<(Instant, u64)> = None;
        let mut unsettled = false;
        for look in looks.iter() {
            let Some(leader) = look.leader else {
                unsettled = true;
                continue;
            };
            if let Some((since, before)) = settled
                && (unsettled || before != leader)
            {
                moves.push((since, look.at));
            }
            settled = Some((look.at, leader));
            unsettled = false;
        }
        Moves(moves)
    }
}

impl Moves {
    /// Whether the leadership was moving at some time between the two, give or take how often it was looked at.
    pub(crate) fn touch(&self, from: Instant, to: Instant) -> bool {
        self.0.iter().any(|(began, ended)| from <= *ended + SLACK && to + SLACK >= *began)
    }

    /// How many there were, and the longest.
    pub(crate) fn summary(&self) -> (usize, Duration) {
        let longest = self.0.iter().map(|(began, ended)| ended.duration_since(*began)).max();
        (self.0.len(), longest.unwrap_or_default())
    }
}

async fn leader_by(client: &reqwest::Client, node: &Node) -> Option<u64> {
    let figures = client.get(format!("{}/metrics", node.url())).send().await.ok()?.text().await.ok()?;
    figures.lines().find_map(|line| line.strip_prefix("ncore_raft_leader "))?.trim().parse().ok()
}

/// The leader that all nodes name which answered, if it is one of them.
fn agreed(nodes: &[Node], named: &[Option<u64>]) -> Option<u64> {
    let mut answers = named.iter().flatten();
    let leader = *answers.next()?;
    let answers_itself = nodes.iter().zip(named).any(|(node, answer)| answer.is_some() && node.id().ok() == Some(leader));
    (answers.all(|other| *other == leader) && answers_itself).then_some(leader)
}

const PERIOD: Duration = Duration::from_millis(50);
const ANSWER: Duration = Duration::from_secs(1);
/// A look takes a moment on a busy machine, and what failed may have waited for what came before.
const SLACK: Duration = Duration::from_millis(750);
