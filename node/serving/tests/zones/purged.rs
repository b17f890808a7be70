//! Purges over tiers, in any order of what can happen: whatever other nodes have applied, stand still at, or are in the middle of, a viewer gets
//! nothing older than a purge that the node which it asked had applied when it asked.
//!
//! The origin answers with how often it has changed, and each change is purged at once. So an answer is at least the revision of the node that
//! was asked.

use std::{sync::Arc, time::Duration};

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::Config;
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinSet};

use crate::{origin::Reply, tiers::Cluster};

const REGIONS: [&str; 4] = ["eu", "eu", "us", "us"];
const PATHS: [&str; 3] = ["/a", "/b", "/c"];

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The origin changes, and that is purged.
    Purge,
    /// A node applies what it has not: one change, or all.
    Apply { node: usize, all: bool },
    /// A viewer asks a node.
    Ask { node: usize, path: usize },
    /// The origin takes its time from now on; and answers what it was asked.
    Slow(bool),
    /// A node stands still for the others; and goes on.
    Freeze { node: usize, frozen: bool },
    /// A node cannot know how old its view is; or can again.
    Fence { node: usize, fenced: bool },
    /// A little time goes by.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 1..=REGIONS.len();
    let step = prop_oneof![
        3 => prop::strategy::Just(Step::Purge),
        4 => (node(), any::<bool>()).prop_map(|(node, all)| Step::Apply { node, all }),
        10 => (node(), 0..PATHS.len()).prop_map(|(node, path)| Step::Ask { node, path }),
        2 => any::<bool>().prop_map(Step::Slow),
        2 => (node(), any::<bool>()).prop_map(|(node, frozen)| Step::Freeze { node, frozen }),
        1 => (node(), any::<bool>()).prop_map(|(node, fenced)| Step::Fence { node, fenced }),
        3 => prop::strategy::Just(Step::Wait),
    ];
    prop::collection::vec(step, 8..48)
}

struct World {
    cluster: Arc<Cluster>,
    /// How often the origin has changed: the index of the last purge.
    newest: u64,
    applied: [u64; REGIONS.len()],
    gate: Option<Arc<Semaphore>>,
    asking: JoinSet<()>,
}

impl World {
    async fn new(shield_region: Option<&'static str>) -> Self {
        let cluster = Cluster::start_with(&REGIONS, |zone| zone.shield_region = shield_region.map(Into::into)).await;
        let world = Self { cluster: Arc::new(cluster), newest: 0, applied: [0; REGIONS.len()], gate: None, asking: JoinSet::new() };
        world.answer();
        world
    }

    /// What the origin answers from now on.
    fn answer(&self) {
        for path in PATHS {
            let reply = Reply::new(200, self.newest.to_string()).cached("max-age=3600").field("etag", format!("\"{}\"", self.newest));
            let reply = self.gate.iter().fold(reply, Reply::behind);
            self.cluster.origin.answer_with(path, reply);
        }
    }

    async fn happens(&mut self, step: Step) {
        match step {
            Step::Purge => {
                self.newest += 1;
                self.answer();
            }
            Step::Apply { node, all } => {
                let applied = if all { self.newest } else { self.newest.min(self.applied[node - 1] + 1) };
                self.applied[node - 1] = applied;
                self.cluster.at_revision(node, applied, applied);
            }
            Step::Ask { node, path } => self.ask(node, PATHS[path]),
            Step::Slow(true) => {
                self.gate.get_or_insert_with(|| Arc::new(Semaphore::new(0)));
                self.answer();
            }
            Step::Slow(false) => self.open(),
            Step::Freeze { node, frozen } => self.cluster.freeze(node, frozen),
            Step::Fence { node, fenced } => self.cluster.fence(node, fenced),
            Step::Wait => tokio::time::sleep(Duration::from_millis(8)).await,
        }
    }

    fn open(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.close();
        }
        self.answer();
    }

    fn ask(&mut self, node: usize, path: &'static str) {
        let (cluster, oldest) = (Arc::clone(&self.cluster), self.applied[node - 1]);
        self.asking.spawn(async move {
            let answer = cluster.get(node, path, &[]).await;
            assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
            let version: u64 = answer.text().parse().expect("a number");
            assert!(version >= oldest, "node {node} had applied {oldest}, and gave out {version} of {path}: {:?}", answer.headers);
        });
    }

    /// Everybody hears of everything, and then nobody has anything old.
    async fn settle(mut self) {
        self.open();
        for node in 1..=REGIONS.len() {
            self.cluster.freeze(node, false);
            self.cluster.fence(node, false);
        }
        while let Some(asked) = self.asking.join_next().await {
            asked.expect("nothing older than what was applied");
        }
        for node in 1..=REGIONS.len() {
            self.happens(Step::Apply { node, all: true }).await;
        }
        for node in 1..=REGIONS.len() {
            for path in PATHS {
                assert_eq!(self.cluster.get(node, path, &[]).await.text(), self.newest.to_string(), "node {node} {path}");
            }
        }
    }
}

fn check(steps: &[Step], shield_region: Option<&'static str>) {
    Runtime::new().expect("a runtime").block_on(async {
        let mut world = World::new(shield_region).await;
        for step in steps {
            world.happens(*step).await;
        }
        world.settle().await;
    });
}

/// An owner that has the old content and stands still, is stale when it goes on, and hears of the purge last of all.
#[test]
fn an_owner_that_was_away() {
    for owner in 1..=REGIONS.len() {
        let others = (1..=REGIONS.len()).filter(|node| *node != owner);
        let mut steps: Vec<Step> = (1..=REGIONS.len()).map(|node| Step::Ask { node, path: 0 }).collect();
        steps.extend([Step::Wait; 6]);
        steps.extend([Step::Freeze { node: owner, frozen: true }, Step::Purge]);
        steps.extend(others.clone().flat_map(|node| [Step::Apply { node, all: true }, Step::Ask { node, path: 0 }]));
        steps.push(Step::Freeze { node: owner, frozen: false });
        steps.extend(others.map(|node| Step::Ask { node, path: 0 }));
        steps.extend([Step::Wait, Step::Apply { node: owner, all: true }, Step::Ask { node: owner, path: 0 }]);
        check(&steps, None);
        check(&steps, Some("us"));
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, max_shrink_iters: 64, ..Config::default() })]
    #[test]
    fn nothing_older_than_what_was_applied(
        steps in steps(), shield_region in prop::option::of(prop::sample::select(vec!["eu", "us", "nowhere"])),
    ) {
        check(&steps, shield_region);
    }
}
