//! Several nodes that ask each other, over links that are slow and lose messages: how much is admitted, at worst and at best.

use std::collections::BTreeMap;

use ncore_model::NodeId;
use proptest::prelude::{Strategy, any, prop_assert, proptest};

use crate::{
    ask::{Ask, Grant, Key},
    ledger::Ledger,
    policy::{Class, LimitSettings, Manner, Policy},
    purse::{Purse, Taken},
};

const SPAN_MS: u64 = 6_000;

/// One token, the purse of each node, the books of each node, and what is on its way.
struct World {
    key: Key,
    policy: Policy,
    purses: Vec<Purse>,
    books: Vec<Ledger>,
    home: usize,
    on_the_way: BTreeMap<(u64, u64), Event>,
    sent: u64,
    link: Link,
    admitted: Vec<u64>,
}

enum Event {
    Request { at: usize },
    Asked { by: usize, home: usize, ask: Ask, sent_ms: u64 },
    Answered { by: usize, ask: Ask, grant: Grant, sent_ms: u64 },
    Missed { by: usize },
    Upkeep,
    HomeMoves { to: usize },
}

/// How messages fare. Numbers that look random, made from a seed.
#[derive(Debug, Clone)]
struct Link {
    seed: u64,
    delay_ms_max: u64,
    /// Of a hundred.
    lost: u64,
}

impl Link {
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 33
    }

    /// How long a message takes, if it comes.
    fn fate_ms(&mut self) -> Option<u64> {
        let is_lost = self.next() % 100 < self.lost;
        (!is_lost).then(|| self.next() % (self.delay_ms_max + 1))
    }
}

impl World {
    fn new(limit: u32, nodes: usize, link: Link) -> Self {
        let settings = LimitSettings { per_token: limit, window: std::time::Duration::from_millis(SPAN_MS), ..LimitSettings::default() };
        let policy = settings.policy(Class::Default).expect("a limit");
        let purses = (0..nodes).map(|node| Purse::new(node as u64, &policy, Manner::Leased)).collect();
        let books = (0..nodes).map(|_| Ledger::new(settings, 16, SPAN_MS * 3)).collect();
        let key = Key::of_token(Class::Default, "cl_1", "t");
        Self { key, policy, purses, books, home: 0, on_the_way: BTreeMap::new(), sent: 0, link, admitted: Vec::new() }
    }

    fn plan(&mut self, at_ms: u64, event: Event) {
        self.sent += 1;
        self.on_the_way.insert((at_ms, self.sent), event);
    }

    /// Requests at three times the limit, at the nodes in turn.
    fn ask_for_three_times(&mut self, limit: u32, until_ms: u64) {
        let times = (0..).map(|request: u64| request * SPAN_MS / u64::from(limit * 3)).take_while(|at_ms| *at_ms < until_ms);
        for (at_ms, at) in times.zip((0..self.purses.len()).cycle()).collect::<Vec<_>>() {
            self.plan(at_ms, Event::Request { at });
        }
    }

    fn run(&mut self, until_ms: u64) {
        for at_ms in (0..until_ms).step_by(50) {
            self.plan(at_ms, Event::Upkeep);
        }
        while let Some(((now_ms, _), event)) = self.on_the_way.pop_first() {
            self.step(now_ms, event);
        }
    }

    fn step(&mut self, now_ms: u64, event: Event) {
        match event {
            Event::Request { at } => match self.purses[at].take(now_ms, Manner::Leased) {
                Taken::Admitted => self.admitted.push(now_ms),
                Taken::AdmittedAsk => {
                    self.admitted.push(now_ms);
                    self.ask(now_ms, at);
                }
                Taken::AskFirst => self.ask(now_ms, at),
                Taken::Refused => {}
            },
            Event::Asked { by, home, ask, sent_ms } => {
                let grant = self.books[home].ask(now_ms, NodeId(by as u64), &ask, self.purses.len()).expect("a limit");
                if let Some(delay_ms) = self.link.fate_ms() {
                    self.plan(now_ms + delay_ms, Event::Answered { by, ask, grant, sent_ms });
                } else {
                    self.plan(sent_ms + 1_000, Event::Missed { by });
                }
            }
            Event::Answered { by, ask, grant, sent_ms } => self.purses[by].granted(sent_ms, &ask, &grant),
            Event::Missed { by } => self.purses[by].unanswered(),
            Event::Upkeep => {
                for by in 0..self.purses.len() {
                    if self.purses[by].is_due(now_ms, &self.policy) {
                        let ask = self.purses[by].report(now_ms, self.key, NodeId(self.home as u64), &self.policy);
                        self.send(now_ms, by, ask);
                    }
                }
            }
            Event::HomeMoves { to } => self.home = to,
        }
    }

    fn ask(&mut self, now_ms: u64, by: usize) {
        if !self.purses[by].is_asking() {
            let ask = self.purses[by].ask(now_ms, self.key, NodeId(self.home as u64), &self.policy);
            self.send(now_ms, by, ask);
        }
    }

    fn send(&mut self, now_ms: u64, by: usize, ask: Ask) {
        let home = self.home;
        match self.link.fate_ms() {
            Some(_) if by == home => self.plan(now_ms, Event::Asked { by, home, ask, sent_ms: now_ms }),
            Some(delay_ms) => self.plan(now_ms + delay_ms, Event::Asked { by, home, ask, sent_ms: now_ms }),
            None => self.plan(now_ms + 1_000, Event::Missed { by }),
        }
    }

    /// The most that was admitted in any window.
    fn most(&self) -> usize {
        let within = |begin: u64| self.admitted.iter().filter(|at| (begin..begin + SPAN_MS).contains(at)).count();
        self.admitted.iter().map(|begin| within(*begin)).max().unwrap_or(0)
    }
}

#[test]
fn who_asks_for_three_times_the_limit_gets_the_limit() {
    for (limit, nodes, delay_ms_max) in [(120, 3, 1), (1_000, 3, 60), (1_000, 12, 150), (100, 1, 0)] {
        let mut world = World::new(limit, nodes, Link { seed: 7, delay_ms_max, lost: 0 });
        let until_ms = SPAN_MS * 3 - SPAN_MS / 12;
        world.ask_for_three_times(limit, until_ms);
        world.run(until_ms);
        let (admitted, allowed, most) = (world.admitted.len(), limit as usize * 3, world.most());
        let case = format!("{admitted} of {allowed} with {nodes} nodes, {most} at most in a window");
        assert!(admitted * 100 >= allowed * 95 && admitted * 100 <= allowed * 105, "{case}");
        assert!(most <= limit as usize + nodes, "{case}");
    }
}

#[test]
fn what_one_node_holds_and_does_not_use_comes_back() {
    let mut world = World::new(100, 2, Link { seed: 1, delay_ms_max: 1, lost: 0 });
    // A burst at node 1, which then is silent; afterwards everything is asked for at node 0.
    for at in 0..20 {
        world.plan(at, Event::Request { at: 1 });
    }
    for at in 0..200 {
        world.plan(2_000 + at * 5, Event::Request { at: 0 });
    }
    world.run(5_000);
    let early = world.admitted.iter().filter(|at| **at < 2_000).count();
    assert!((18..=20).contains(&early), "those that waited for the first answer are not counted here: {early}");
    assert!(world.admitted.len() >= 98, "{}", world.admitted.len());
}

#[test]
fn a_purge_is_counted_exactly() {
    let settings = LimitSettings { purges: 5, window: std::time::Duration::from_millis(1_000), ..LimitSettings::default() };
    let mut books = Ledger::new(settings, 16, 3_000);
    let key = Key::of_token(Class::Purge, "cl_1", "t");
    let mut granted = Vec::new();
    for now_ms in 0..3_500 {
        let node = now_ms % 3;
        let ask = Ask { key, life: node, sequence: now_ms, spent: 0, held: 0, want: 1, recent: Vec::new() };
        let grant = books.ask(now_ms, NodeId(node), &ask, 3).expect("a limit");
        granted.extend((grant.granted == 1).then_some(now_ms));
        assert_eq!(grant.remaining as usize, 5 - granted.iter().filter(|at| **at + 1_000 > now_ms).count());
        if grant.granted == 0 {
            assert_eq!(now_ms + grant.frees_in_ms, granted[granted.len() - 5] + 1_000, "it says when");
        }
    }
    let expected: Vec<u64> = [0, 1_000, 2_000, 3_000].into_iter().flat_map(|begin| begin..begin + 5).collect();
    assert_eq!(granted, expected);
}

#[test]
fn shares_together_are_no_more_than_the_limit() {
    for (limit, nodes) in [(1_000, 3), (60, 7), (5, 5)] {
        let policy = Policy { limit, span_ms: 1_000 };
        let mut admitted = 0;
        for node in 0..nodes {
            let mut purse = Purse::new(node, &policy, Manner::Leased);
            let share = policy.share(usize::try_from(nodes).expect("few"));
            admitted += (0..limit).filter(|at| purse.take_of_share(u64::from(*at) % 999, share) == Taken::Admitted).count();
        }
        assert!(admitted <= limit as usize && admitted * 10 >= limit as usize * 9, "{admitted} of {limit}");
    }
}

fn links(lost: u64) -> impl Strategy<Value = Link> {
    (any::<u64>(), 0_u64..300).prop_map(move |(seed, delay_ms_max)| Link { seed, delay_ms_max, lost })
}

fn requests() -> impl Strategy<Value = Vec<(u64, usize)>> {
    proptest::collection::vec((0..SPAN_MS * 4, 0_usize..5), 1..900)
}

proptest! {
    /// Whatever is lost and however late it comes: the limit, and one more for each node.
    #[test]
    fn never_more_than_the_limit(
        limit in 1_u32..120, nodes in 1_usize..5, lost in 0_u64..40, link in links(0), requests in requests(),
    ) {
        let mut world = World::new(limit, nodes, Link { lost, ..link });
        for (at_ms, at) in requests {
            world.plan(at_ms, Event::Request { at: at % nodes });
        }
        world.run(SPAN_MS * 4);
        prop_assert!(world.most() <= limit as usize + nodes, "{} of {limit} in a window", world.most());
    }

    /// A home that moves makes at most one more limit.
    #[test]
    fn another_home_admits_at_most_one_limit_more(
        limit in 1_u32..120, nodes in 2_usize..5, lost in 0_u64..40, link in links(0), requests in requests(), moves_at in 0..SPAN_MS * 4,
    ) {
        let mut world = World::new(limit, nodes, Link { lost, ..link });
        for (at_ms, at) in requests {
            world.plan(at_ms, Event::Request { at: at % nodes });
        }
        world.plan(moves_at, Event::HomeMoves { to: 1 });
        world.run(SPAN_MS * 4);
        prop_assert!(world.most() <= 2 * limit as usize + nodes, "{} of {limit} in a window", world.most());
    }

    /// And what every node has told it is not admitted again: while all go on asking, it is the limit, and what was under way.
    #[test]
    fn another_home_learns_what_was_used(limit in 40_u32..120, nodes in 2_usize..5, link in links(0), moves_at in 1_000..SPAN_MS) {
        let mut world = World::new(limit, nodes, link);
        world.ask_for_three_times(limit, SPAN_MS * 4);
        world.plan(moves_at, Event::HomeMoves { to: 1 });
        world.run(SPAN_MS * 4);
        let most = world.most();
        prop_assert!(most <= limit as usize + limit as usize / 3 + nodes, "{most} of {limit} in a window");
    }
}
