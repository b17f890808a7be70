//! The cluster that the checker explores: real followers and hubs, and around them the least that Raft, clocks and the network
//! have to be.
//!
//! * **Raft** is a number of committed entries, and a leader with a term. ReadIndex is right for who leads at the moment at
//!   which it is confirmed, and does not come back for anybody else.
//! * **Entries** reach every node in order and at any time: from whom does not matter.
//! * **Messages** arrive in any order. One that is lost is one that never arrives, so loss needs no action. Those to a process
//!   that is gone are gone.
//! * **Clocks**: a hub's runs at twice the rate of an edge's, and 100 % is what the settings allow. A write takes a
//!   nanosecond, so a reading tells how many writes there were before it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ncore_freshness::{Ack, Barrier, Boottime, Child, CompleteBy, Follower, Hub, PingSeq, RoundId, RoundOutcome, Settings};
use ncore_model::{NodeId, Revision};

use crate::bounds::{Bounds, Flaw};

/// Nanoseconds by which an edge's clock moves in a tick.
const TICK: u64 = 1000;

/// The bound in ticks of an edge's clock, which is also the hold in ticks of a hub's.
pub(crate) const BOUND: u64 = 2;

/// When exploring begins: node 0 has led for a hold by then.
pub(crate) const FIRST_TICK: u64 = BOUND;

/// The write that the barrier is about.
pub(crate) const TARGET: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) tick: u64,
    pub(crate) committed: u64,
    pub(crate) leader: usize,
    pub(crate) term: u64,
    /// Shared with the states before, for a step changes few of them.
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) network: BTreeSet<Message>,
    /// Whether some node ever reported the barrier complete.
    pub(crate) complete: Option<CompleteBy>,
    pub(crate) left: Left,
}

/// How often things may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) hub_pings: u8,
    pub(crate) edge_pings: u8,
    pub(crate) joins: u8,
    pub(crate) restarts: u8,
    pub(crate) elections: u8,
    pub(crate) failures: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) incarnation: u64,
    pub(crate) applied: u64,
    pub(crate) follower: Follower,
    pub(crate) hub: Option<Hub>,
    /// The parent, and the start of it to which the connection is.
    pub(crate) parent: Option<(usize, u64)>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) barrier: Option<Barrier>,
    /// An ack under way.
    pub(crate) ack: Option<(usize, u64, Ack)>,
    /// Only for [`Flaw::CountedWhenAnswered`]: children that had an answer.
    pub(crate) answered: BTreeSet<Child>,
    /// Only for [`Flaw::LeadNotConfirmed`]: when the last confirmed round began.
    pub(crate) confirmed: Option<Boottime>,
}

/// A round under way at a node, known by the ping of its own that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Round {
    pub(crate) seq: PingSeq,
    pub(crate) id: Option<RoundId>,
    pub(crate) begun: Boottime,
    pub(crate) via: Via,
    /// Only for [`Flaw::ReadBeforePing`]: pings that arrived since it began.
    pub(crate) late: Vec<(Child, PingSeq)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Via {
    Parent,
    ReadIndex,
    /// Confirmed, but this node does not know yet.
    Confirmed(RoundOutcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Ping { from: Child, to: (usize, u64), seq: PingSeq },
    Pong { to: Child, seq: PingSeq, read: Revision },
}

impl Message {
    /// The node, and which start of it, that this is for.
    pub(crate) fn to(&self) -> (usize, u64) {
        match self {
            Self::Ping { to, .. } => *to,
            Self::Pong { to, .. } => (index(to.node), to.incarnation),
        }
    }
}

pub(crate) const fn revision(index: u64) -> Revision {
    Revision { lineage: Revision::FIRST_LINEAGE, index }
}

pub(crate) const fn child(node: usize, incarnation: u64) -> Child {
    Child { node: NodeId(node as u64), incarnation }
}

pub(crate) fn index(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap()
}

/// How many writes there were before a clock showed this.
pub(crate) const fn writes_before(reading: Boottime) -> u64 {
    reading.as_nanos() % TICK
}

pub(crate) fn settings(hub: bool, flaw: Flaw) -> Settings {
    let drift_ppm = if hub && flaw == Flaw::NoDrift { 0 } else { 1_000_000 };
    Settings { bound: Duration::from_nanos(BOUND * TICK), drift_ppm, clock_jump: Duration::MAX }
}

impl State {
    /// Everybody is connected and has everything; node 0 has led for longer than a new leader waits.
    pub(crate) fn initial(bounds: &Bounds, flaw: Flaw) -> Self {
        let mut state = Self {
            tick: 0,
            committed: 0,
            leader: 0,
            term: 1,
            nodes: Vec::new(),
            network: BTreeSet::new(),
            complete: None,
            left: Left {
                hub_pings: bounds.hub_pings,
                edge_pings: bounds.edge_pings,
                joins: bounds.joins,
                restarts: bounds.restarts,
                elections: bounds.elections,
                failures: bounds.failures,
            },
        };
        for node in 0..bounds.nodes() {
            state.nodes.push(Arc::new(Node::started(node, 1, bounds, flaw, state.now(node, bounds))));
        }
        for leader in if flaw == Flaw::LeaderDoesNotWait { 0..bounds.voters } else { 0..1 } {
            let now = state.now(leader, bounds);
            let hub = state.node(leader).hub.as_mut().unwrap();
            let round = hub.begin_round(now);
            hub.end_round(round, RoundOutcome::Led { term: 1, read: revision(0) }, now);
        }
        state.tick = FIRST_TICK;
        for node in 1..bounds.nodes() {
            let parent = match node {
                node if node < bounds.voters => 0,
                node if node <= bounds.hubs() => node - 1,
                _ => 0,
            };
            state.connect(node, parent, bounds);
        }
        state
    }

    /// The clock of a node.
    pub(crate) const fn now(&self, node: usize, bounds: &Bounds) -> Boottime {
        let rate = if node < bounds.hubs() { 2 } else { 1 };
        Boottime::from_nanos(self.tick * rate * TICK + self.committed)
    }

    /// A node, to change it.
    pub(crate) fn node(&mut self, node: usize) -> &mut Node {
        Arc::make_mut(&mut self.nodes[node])
    }

    pub(crate) fn child(&self, node: usize) -> Child {
        child(node, self.nodes[node].incarnation)
    }

    /// What a node would tell its parent.
    pub(crate) fn report(&self, node: usize, bounds: &Bounds) -> Ack {
        let now = self.now(node, bounds);
        let applied = revision(self.nodes[node].applied);
        // What is only shown to people would make states differ that are the same for all else.
        self.nodes[node]
            .hub
            .as_ref()
            .map_or_else(|| Ack::leaf(applied), |hub| Ack { laggards: Vec::new(), subtree_count: 1, ..hub.report(now) })
    }

    /// A node says hello to a hub.
    pub(crate) fn connect(&mut self, node: usize, parent: usize, bounds: &Bounds) {
        let (ack, who, now) = (self.report(node, bounds), self.child(node), self.now(parent, bounds));
        let hub = self.node(parent).hub.as_mut().unwrap();
        hub.join(who, ack, now).unwrap();
        let incarnation = self.nodes[parent].incarnation;
        self.node(node).parent = Some((parent, incarnation));
    }
}

impl Node {
    /// A process that has just started, with nothing in its replica.
    pub(crate) fn started(node: usize, incarnation: u64, bounds: &Bounds, flaw: Flaw, now: Boottime) -> Self {
        let is_hub = node < bounds.hubs();
        Self {
            incarnation,
            applied: 0,
            follower: Follower::new(settings(false, flaw), revision(0), now),
            hub: is_hub.then(|| Hub::new(settings(true, flaw), revision(0))),
            parent: None,
            rounds: Vec::new(),
            barrier: None,
            ack: None,
            answered: BTreeSet::new(),
            confirmed: None,
        }
    }
}
