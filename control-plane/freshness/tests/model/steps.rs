//! What each thing that happens does: the code around the machines, right or, with a [`Flaw`], wrong.

use ncore_freshness::{Ack, Answer, Barrier, BarrierState, Boottime, Child, CompleteBy, Hub, PingSeq, RoundOutcome};
use ncore_model::Revision;

use crate::bounds::{Acks, Flaw};
use crate::cluster::{Message, Node, Round, State, TARGET, Via, child, index, revision};
use crate::explore::Explore;

impl Explore {
    pub(crate) fn apply(&self, state: &mut State, at: usize) {
        let now = state.now(at, &self.bounds);
        let node = state.node(at);
        node.applied += 1;
        node.follower.applied(revision(node.applied), now);
        if let Some(hub) = &mut node.hub {
            hub.applied(revision(node.applied));
        }
        if node.applied == TARGET && at < self.bounds.voters {
            node.barrier = Some(Barrier::new(revision(TARGET), now));
        }
    }

    pub(crate) fn begin(&self, state: &mut State, at: usize) {
        let now = state.now(at, &self.bounds);
        let reads = at == state.leader || (self.flaw == Flaw::ReadPastLeader && at < self.bounds.voters);
        let from = state.child(at);
        let node = state.node(at);
        let id = node.hub.as_mut().map(|hub| hub.begin_round(now));
        let seq = node.follower.ping(now);
        let via = if reads { Via::ReadIndex } else { Via::Parent };
        node.rounds.push(Round { seq, id, begun: now, via, late: Vec::new() });
        let to = node.parent;
        match id {
            Some(_) => state.left.hub_pings -= 1,
            None => state.left.edge_pings -= 1,
        }
        if !reads && let Some(to) = to {
            state.network.insert(Message::Ping { from, to, seq });
        }
    }

    pub(crate) fn confirm(&self, state: &mut State, at: usize, seq: PingSeq) {
        let read = revision(state.committed);
        let outcome = match self.flaw {
            Flaw::ReadPastLeader if at != state.leader => RoundOutcome::Upstream { read },
            Flaw::LeaderDoesNotWait => RoundOutcome::Led { term: 1, read },
            _ => RoundOutcome::Led { term: state.term, read },
        };
        if let Some(round) = state.node(at).rounds.iter_mut().find(|round| round.seq == seq) {
            round.via = Via::Confirmed(outcome);
        }
        if !self.bounds.slow_reads {
            self.confirmed(state, at, seq);
        }
    }

    pub(crate) fn confirmed(&self, state: &mut State, at: usize, seq: PingSeq) {
        let outcome = state.nodes[at].rounds.iter().find(|round| round.seq == seq).map(|round| round.via.clone());
        if let Some(Via::Confirmed(outcome)) = outcome {
            self.end(state, at, seq, outcome);
        }
    }

    /// A node learns how its round ended, for itself and for its children.
    fn end(&self, state: &mut State, at: usize, seq: PingSeq, outcome: RoundOutcome) {
        let now = state.now(at, &self.bounds);
        let (RoundOutcome::Led { read, .. } | RoundOutcome::Upstream { read }) = outcome else { return };
        let node = state.node(at);
        node.follower.pong(seq, read, now);
        let Some(round) = node.rounds.iter().position(|round| round.seq == seq).map(|round| node.rounds.remove(round)) else { return };
        if let (Some(hub), Some(id)) = (&mut node.hub, round.id) {
            let mut answers = hub.end_round(id, outcome, now);
            if self.flaw == Flaw::LeadNotConfirmed && matches!(outcome, RoundOutcome::Led { .. }) {
                node.confirmed = Some(round.begun);
            }
            answers.extend(round.late.into_iter().map(|(child, seq)| Answer { child, seq, read }));
            if self.flaw == Flaw::CountedWhenAnswered {
                node.answered.extend(answers.iter().map(|answer| answer.child));
            }
            send(state, answers);
        }
    }

    pub(crate) fn fail(&self, state: &mut State, at: usize, seq: PingSeq) {
        state.left.failures -= 1;
        let now = state.now(at, &self.bounds);
        let node = state.node(at);
        let Some(round) = node.rounds.iter().position(|round| round.seq == seq).map(|round| node.rounds.remove(round)) else { return };
        if let (Some(hub), Some(id)) = (&mut node.hub, round.id) {
            hub.end_round(id, RoundOutcome::Failed, now);
        }
    }

    pub(crate) fn deliver(&self, state: &mut State, message: Message) {
        state.network.remove(&message);
        match message {
            Message::Ping { from, to: (at, incarnation), seq } => {
                let read = revision(state.nodes[at].applied);
                let node = state.node(at);
                if node.incarnation != incarnation {
                    return;
                }
                match (self.flaw, &mut node.hub) {
                    (Flaw::RelayAnswersAlone, _) if at >= self.bounds.voters => send(state, vec![Answer { child: from, seq, read }]),
                    (Flaw::ReadBeforePing, _) if !node.rounds.is_empty() => {
                        node.rounds.iter_mut().for_each(|round| round.late.push((from, seq)));
                    }
                    (_, Some(hub)) => hub.ping(from, seq),
                    (_, None) => {}
                }
            }
            Message::Pong { to, seq, read } => {
                if state.nodes[index(to.node)].incarnation == to.incarnation {
                    self.end(state, index(to.node), seq, RoundOutcome::Upstream { read });
                }
            }
        }
    }

    pub(crate) fn send_ack(&self, state: &mut State, at: usize) {
        let ack = state.report(at, &self.bounds);
        let Some((parent, incarnation)) = state.nodes[at].parent else { return };
        match self.bounds.acks {
            Acks::Travel => state.node(at).ack = Some((parent, incarnation, ack)),
            Acks::AtOnce | Acks::AtAnyTime => deliver_ack(state, at, (parent, incarnation), ack),
        }
    }

    pub(crate) fn notice(&self, state: &mut State, at: usize, child: Child) {
        if let Some(hub) = &mut state.node(at).hub {
            if self.flaw == Flaw::DepartedForgotten {
                hub.ack(child, everything());
            }
            hub.leave(child);
        }
    }

    /// What was not on disk is lost: everything.
    pub(crate) fn restart(&self, state: &mut State, at: usize) {
        state.left.restarts -= 1;
        let now = state.now(at, &self.bounds);
        let mut started = Node::started(at, state.nodes[at].incarnation + 1, &self.bounds, self.flaw, now);
        if self.flaw == Flaw::FreshAfterRestart {
            started.follower = state.nodes[at].follower.clone();
        }
        *state.node(at) = started;
    }

    /// Every voter, whether it leads or only did, asks after every step.
    pub(crate) fn ask(&self, state: &mut State) {
        for at in 0..self.bounds.voters {
            let node = &state.nodes[at];
            let (None, Some(barrier), Some(hub)) = (state.complete, node.barrier, &node.hub) else { continue };
            if let BarrierState::Complete(by) = self.asked(node, hub.clone(), barrier, state.now(at, &self.bounds)) {
                state.complete = Some(by);
            }
        }
    }

    fn asked(&self, node: &Node, mut hub: Hub, barrier: Barrier, now: Boottime) -> BarrierState {
        match self.flaw {
            Flaw::CountedWhenAnswered => {
                // The others are made not to count.
                for child in (0..self.bounds.nodes()).map(|other| child(other, 1)).filter(|child| !node.answered.contains(child)) {
                    hub.ack(child, everything());
                }
                hub.barrier(&barrier, now)
            }
            Flaw::LeadNotConfirmed => {
                // The last confirmation is taken to be recent enough.
                let seen = node.confirmed.map_or(barrier.seen_committed(), |confirmed| confirmed.min(barrier.seen_committed()));
                match hub.clone().barrier(&Barrier::new(barrier.position(), seen), now) {
                    BarrierState::Complete(CompleteBy::Time) => hub.barrier(&barrier, now),
                    other => other,
                }
            }
            _ => hub.barrier(&barrier, now),
        }
    }
}

/// More than there will ever be to apply.
const fn everything() -> Ack {
    Ack::leaf(Revision { lineage: u32::MAX, index: u64::MAX })
}

fn send(state: &mut State, answers: Vec<Answer>) {
    state.network.extend(answers.into_iter().map(|Answer { child, seq, read }| Message::Pong { to: child, seq, read }));
}

pub(crate) fn deliver_ack(state: &mut State, from: usize, to: (usize, u64), ack: Ack) {
    let child = state.child(from);
    let parent = state.node(to.0);
    if let (true, Some(hub)) = (parent.incarnation == to.1, &mut parent.hub) {
        hub.ack(child, ack);
    }
}
