//! What the nodes say of themselves, asked for in rounds: at most one every two seconds, for all who look, and none while nobody does.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::nodes::{Member, NodeNow, Nodes, Unheard};

/// How often there is a round while somebody looks.
pub(crate) const EVERY: Duration = Duration::from_secs(2);
/// How old what was heard may be for who comes now: less than that, so that no round finds the one before too young.
const HEARD_FOR: Duration = Duration::from_millis(1_500);
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many are asked at once.
const ASKED_AT_ONCE: usize = 32;
/// How long a round may take. Who was not asked then is the first of the next.
const ROUND_MAX: Duration = Duration::from_secs(3);
/// How long a node that did not answer is left alone, so that it does not hold up each round.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// The nodes, as they were heard.
pub(crate) struct Fleet {
    nodes: Arc<dyn Nodes>,
    heard: Mutex<Heard>,
    round: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Heard {
    members: Vec<Member>,
    of: HashMap<u64, HeardOf>,
}

/// What is known of a node.
#[derive(Clone, Default)]
struct HeardOf {
    /// What it said last, and when.
    said: Option<(Arc<NodeNow>, Instant)>,
    asked: Option<Instant>,
    voice: Voice,
}

/// Whether a node answered when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Voice {
    /// It did.
    Heard,
    /// It did not.
    #[default]
    Away,
    /// It did, and cannot tell.
    Older,
}

/// A node, with what is known of it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) member: Member,
    pub(crate) voice: Voice,
    /// What it said last, and how long ago.
    pub(crate) said: Option<(Arc<NodeNow>, Duration)>,
}

impl Fleet {
    pub(crate) fn new(nodes: Arc<dyn Nodes>) -> Self {
        Self { nodes, heard: Mutex::default(), round: tokio::sync::Mutex::default() }
    }

    /// Asks the nodes, unless somebody has just done so.
    pub(crate) async fn hear(&self) {
        let mut round = self.round.lock().await;
        if round.is_some_and(|ended| ended.elapsed() < HEARD_FOR) {
            return;
        }
        match self.nodes.members() {
            Ok(members) => self.set_members(members),
            Err(error) => tracing::warn!(error, "the nodes cannot be read from the state"),
        }
        let asked = self.to_be_asked().into_iter().map(|node| {
            let answer = self.nodes.ask(node);
            async move { (node, timeout(PATIENCE, answer).await) }
        });
        let answers = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).take_until(sleep(ROUND_MAX));
        let mut answers = std::pin::pin!(answers);
        while let Some((node, answer)) = answers.next().await {
            let (voice, said) = match answer {
                Ok(Ok(said)) => (Voice::Heard, Some(said)),
                Ok(Err(Unheard::Older)) => (Voice::Older, None),
                Ok(Err(Unheard::Away(_))) | Err(_) => (Voice::Away, None),
            };
            self.note(node, voice, said);
        }
        *round = Some(Instant::now());
    }

    /// What is known of each node, in the order of joining.
    pub(crate) fn known(&self) -> Vec<Known> {
        let heard = self.heard.lock();
        let known = heard.members.iter().map(|member| {
            let of = heard.of.get(&member.id).cloned().unwrap_or_default();
            let said = of.said.map(|(said, at)| (said, at.elapsed()));
            Known { member: member.clone(), voice: of.voice, said }
        });
        known.collect()
    }

    fn set_members(&self, members: Vec<Member>) {
        let mut heard = self.heard.lock();
        heard.of.retain(|id, _| members.iter().any(|member| member.id == *id));
        heard.members = members;
    }

    /// The nodes, without those that are left alone; whose turn is the longest ago first.
    fn to_be_asked(&self) -> Vec<u64> {
        let heard = self.heard.lock();
        let of = |id: u64| heard.of.get(&id).filter(|of| of.asked.is_some());
        let is_left_alone =
            |id: u64| of(id).is_some_and(|of| of.voice != Voice::Heard && of.asked.is_some_and(|asked| asked.elapsed() < LEFT_ALONE));
        let mut nodes: Vec<u64> = heard.members.iter().map(|member| member.id).filter(|id| !is_left_alone(*id)).collect();
        nodes.sort_by_key(|id| of(*id).and_then(|of| of.asked));
        nodes
    }

    fn note(&self, node: u64, voice: Voice, said: Option<NodeNow>) {
        let now = Instant::now();
        let mut heard = self.heard.lock();
        let of = heard.of.entry(node).or_default();
        (of.voice, of.asked) = (voice, Some(now));
        if let Some(said) = said {
            of.said = Some((Arc::new(said), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use futures_util::future::BoxFuture;
    use tokio::time::{Instant, advance};

    use super::{EVERY, Fleet, LEFT_ALONE, Voice};
    use crate::{
        BoxError,
        cluster::nodes::{Member, NodeNow, Nodes, Unheard},
    };

    /// Nodes 1 to `count`; those from `away` on say nothing.
    struct Several {
        count: u64,
        away: AtomicU64,
        asked: AtomicUsize,
    }

    impl Nodes for Several {
        fn members(&self) -> Result<Vec<Member>, BoxError> {
            Ok((1..=self.count).map(|id| Member { id, ..Member::default() }).collect())
        }

        fn ask(&self, node: u64) -> BoxFuture<'static, Result<NodeNow, Unheard>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let is_away = node >= self.away.load(Ordering::Relaxed);
            Box::pin(async move {
                if is_away {
                    std::future::pending::<()>().await;
                }
                Ok(NodeNow { applied: node, ..NodeNow::default() })
            })
        }
    }

    fn nodes(count: u64, away: u64) -> Arc<Several> {
        Arc::new(Several { count, away: AtomicU64::new(away), asked: AtomicUsize::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_node_said_last_stays_with_its_age() {
        let nodes = nodes(3, 4);
        let fleet = Fleet::new(nodes.clone());
        fleet.hear().await;
        assert!(fleet.known().iter().all(|node| node.voice == Voice::Heard));
        nodes.away.store(3, Ordering::Relaxed);
        fleet.hear().await;
        assert_eq!(nodes.asked.load(Ordering::Relaxed), 3, "it was just asked for");
        advance(EVERY).await;
        fleet.hear().await;
        let known = fleet.known();
        assert_eq!(known.iter().map(|node| node.voice).collect::<Vec<_>>(), [Voice::Heard, Voice::Heard, Voice::Away]);
        let (said, age) = known[2].said.clone().expect("it said something");
        assert!(said.applied == 3 && age >= EVERY, "{age:?}");
        advance(EVERY).await;
        fleet.hear().await;
        assert_eq!(nodes.asked.load(Ordering::Relaxed), 8, "the one that is away is left alone");
        advance(LEFT_ALONE).await;
        nodes.away.store(4, Ordering::Relaxed);
        fleet.hear().await;
        assert_eq!(fleet.known()[2].voice, Voice::Heard);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_is_bounded_and_everyones_turn_comes() {
        let nodes = nodes(500, 1);
        let fleet = Fleet::new(nodes.clone());
        let mut rounds = 0;
        while fleet.heard.lock().of.len() < 500 {
            let start = Instant::now();
            fleet.hear().await;
            assert!(start.elapsed() <= Duration::from_millis(3_500), "{:?}", start.elapsed());
            advance(EVERY).await;
            rounds += 1;
            assert!(rounds < 20);
        }
    }
}
