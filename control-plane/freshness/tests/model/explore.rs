//! What may happen in the cluster, step by step, and what must hold after each.

use ncore_freshness::{Child, CompleteBy, FreshState, PingSeq};
use stateright::{Model, Property};

use crate::bounds::{Acks, Bounds, Flaw};
use crate::cluster::{BOUND, FIRST_TICK, Message, Node, State, TARGET, Via, child, writes_before};
use crate::steps::deliver_ack;

/// The checker's view of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Explore {
    pub(crate) bounds: Bounds,
    pub(crate) flaw: Flaw,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Tick,
    Write,
    Apply(usize),
    /// A node begins a round: it pings its parent, or asks Raft.
    Begin(usize),
    /// Raft confirms that the node leads.
    Confirm(usize, PingSeq),
    /// The node learns of it.
    Confirmed(usize, PingSeq),
    /// The round of a node fails: the leadership or the connection is gone, or so it seems.
    Fail(usize, PingSeq),
    Deliver(Message),
    SendAck(usize),
    DeliverAck(usize),
    /// A node connects to a hub: after a restart of either, or because it likes that one better.
    Join(usize, usize),
    /// A hub notices that the connection to a child is gone.
    Notice(usize, Child),
    Restart(usize),
    Elect(usize),
}

pub(crate) const NEVER_UNDERSTATED: &str = "who is fresh as of t0 has applied what was committed before t0";
pub(crate) const COMPLETE_IS_TRUE: &str = "once the barrier is complete every node has applied it or is fenced";
pub(crate) const BY_ACKS: &str = "the barrier completes by acks while an edge is fresh";
pub(crate) const BY_TIME: &str = "the barrier completes by time while an edge has not applied it";
pub(crate) const FRESH_BELOW_RELAY: &str = "an edge below a relay is fresh";

impl Model for Explore {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(&self.bounds, self.flaw)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.is_over(state) {
            return;
        }
        if state.tick < FIRST_TICK + self.bounds.ticks {
            actions.push(Action::Tick);
        }
        if state.committed < self.bounds.writes {
            actions.push(Action::Write);
        }
        if state.left.elections > 0 {
            actions.extend((0..self.bounds.voters).filter(|voter| *voter != state.leader).map(Action::Elect));
        }
        actions.extend(state.network.iter().copied().map(Action::Deliver));
        for node in 0..self.bounds.nodes() {
            self.actions_of(node, state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.tick += 1,
            Action::Write => state.committed += 1,
            Action::Apply(node) => self.apply(&mut state, node),
            Action::Begin(node) => self.begin(&mut state, node),
            Action::Confirm(node, seq) => self.confirm(&mut state, node, seq),
            Action::Confirmed(node, seq) => self.confirmed(&mut state, node, seq),
            Action::Fail(node, seq) => self.fail(&mut state, node, seq),
            Action::Deliver(message) => self.deliver(&mut state, message),
            Action::SendAck(node) => self.send_ack(&mut state, node),
            Action::DeliverAck(node) => {
                let (parent, incarnation, ack) = state.node(node).ack.take()?;
                deliver_ack(&mut state, node, (parent, incarnation), ack);
            }
            Action::Join(node, parent) => {
                state.left.joins -= 1;
                state.connect(node, parent, &self.bounds);
            }
            Action::Notice(hub, child) => self.notice(&mut state, hub, child),
            Action::Restart(node) => self.restart(&mut state, node),
            Action::Elect(voter) => {
                state.left.elections -= 1;
                state.leader = voter;
                state.term += 1;
            }
        }
        let nodes = &state.nodes;
        state.network.retain(|message| {
            let (to, incarnation) = message.to();
            nodes[to].incarnation == incarnation
        });
        if self.bounds.acks == Acks::AtOnce {
            // From the edges up.
            for node in (0..self.bounds.nodes()).rev() {
                let news = state.nodes[node].parent != last.nodes[node].parent
                    || state.report(node, &self.bounds) != last.report(node, &self.bounds);
                if news {
                    self.send_ack(&mut state, node);
                }
            }
        }
        self.ask(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_UNDERSTATED, |model: &Self, state: &State| {
                model.nodes(state).all(|(node, fresh)| match fresh {
                    FreshState::Fresh { as_of } => node.applied >= writes_before(as_of),
                    FreshState::Fenced(_) => true,
                })
            }),
            Property::always(COMPLETE_IS_TRUE, |model: &Self, state: &State| {
                state.complete.is_none() || model.nodes(state).all(|(node, fresh)| node.applied >= TARGET || !is_fresh(fresh))
            }),
            Property::sometimes(BY_ACKS, |model: &Self, state: &State| {
                state.complete == Some(CompleteBy::Acks) && model.edges(state).any(|(_, fresh)| is_fresh(fresh))
            }),
            Property::sometimes(BY_TIME, |model: &Self, state: &State| {
                model.bounds.ticks < BOUND
                    || state.complete == Some(CompleteBy::Time) && model.edges(state).any(|(node, _)| node.applied < TARGET)
            }),
            Property::sometimes(FRESH_BELOW_RELAY, |model: &Self, state: &State| {
                let below_relay = |node: &Node| node.parent.is_some_and(|(parent, _)| parent >= model.bounds.voters);
                model.bounds.relays == 0 || model.edges(state).any(|(node, fresh)| is_fresh(fresh) && below_relay(node))
            }),
        ]
    }
}

impl Explore {
    /// Once every node has all that will ever be written, and keeps it, nothing can go wrong any more.
    fn is_over(&self, state: &State) -> bool {
        state.left.restarts == 0 && state.nodes.iter().all(|node| node.applied == self.bounds.writes)
    }

    fn actions_of(&self, at: usize, state: &State, actions: &mut Vec<Action>) {
        let node = &state.nodes[at];
        let connected = node.parent.is_some_and(|(parent, incarnation)| state.nodes[parent].incarnation == incarnation);
        let pings = if node.hub.is_some() { state.left.hub_pings } else { state.left.edge_pings };
        if node.applied < state.committed {
            actions.push(Action::Apply(at));
        }
        if pings > 0 && (connected || at == state.leader) {
            actions.push(Action::Begin(at));
        }
        for round in &node.rounds {
            if state.left.failures > 0 && node.hub.is_some() {
                actions.push(Action::Fail(at, round.seq));
            }
            match round.via {
                Via::Parent => {}
                Via::ReadIndex if self.may_read(at, state) => actions.push(Action::Confirm(at, round.seq)),
                Via::ReadIndex => {}
                Via::Confirmed(_) => actions.push(Action::Confirmed(at, round.seq)),
            }
        }
        if connected && self.bounds.acks != Acks::AtOnce {
            actions.push(Action::SendAck(at));
        }
        if node.ack.is_some() {
            actions.push(Action::DeliverAck(at));
        }
        if state.left.joins > 0 {
            let parents = (0..self.bounds.hubs()).filter(|hub| self.may_join(at, *hub, state));
            actions.extend(parents.map(|parent| Action::Join(at, parent)));
        }
        if state.left.restarts > 0 {
            actions.push(Action::Restart(at));
        }
        if node.hub.is_some() {
            for (number, other) in state.nodes.iter().enumerate().filter(|(number, _)| *number != at) {
                let gone = |incarnation: &u64| *incarnation < other.incarnation || other.parent != Some((at, node.incarnation));
                actions.extend((1..=other.incarnation).filter(gone).map(|incarnation| Action::Notice(at, child(number, incarnation))));
            }
        }
    }

    /// Voters follow the leader, relays hubs before them, edges any hub.
    fn may_join(&self, node: usize, hub: usize, state: &State) -> bool {
        let allowed = if node < self.bounds.voters { hub == state.leader && node != hub } else { hub < node };
        allowed && state.nodes[node].parent != Some((hub, state.nodes[hub].incarnation))
    }

    fn may_read(&self, node: usize, state: &State) -> bool {
        node == state.leader || self.flaw == Flaw::ReadPastLeader
    }

    fn nodes<'a>(&self, state: &'a State) -> impl Iterator<Item = (&'a Node, FreshState)> {
        state.nodes.iter().enumerate().map(|(at, node)| (node.as_ref(), node.follower.state(state.now(at, &self.bounds))))
    }

    fn edges<'a>(&self, state: &'a State) -> impl Iterator<Item = (&'a Node, FreshState)> {
        self.nodes(state).skip(self.bounds.hubs())
    }
}

const fn is_fresh(state: FreshState) -> bool {
    matches!(state, FreshState::Fresh { .. })
}
