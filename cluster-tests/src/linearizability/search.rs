//! The search for an order, for the operations of one object.
//!
//! A read that could come next and is answered rightly comes next: it changes nothing, so whatever order there is
//! with the read later, there is one with the read now. That leaves only the writes to be tried in every order.

use super::Model;
use crate::history::Operation;
use std::collections::HashSet;

/// One search; see the parent module.
pub(super) struct Search<'a, M: Model> {
    operations: &'a [Operation<M::Op, M::Outcome>],
    budget: usize,
    /// Operation `i` is executed if bit `i` is set.
    done: Bits,
    /// What is executed, in order.
    order: Vec<Step<M::State>>,
    visited: HashSet<(Bits, M::State)>,
    /// The longest order met, for the report.
    furthest: Vec<usize>,
}

type Bits = Box<[u64]>;

/// One operation executed.
struct Step<S> {
    index: usize,
    before: S,
    /// Whether it was the only thing worth trying.
    forced: bool,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Result {
    Found,
    Impossible,
    OutOfBudget,
}

impl<'a, M: Model> Search<'a, M> {
    /// A search among `operations`, which are in the order of their invocations.
    pub(super) fn new(operations: &'a [Operation<M::Op, M::Outcome>], budget: usize) -> Self {
        Self {
            operations,
            budget,
            done: vec![0; operations.len().div_ceil(64)].into_boxed_slice(),
            order: Vec::new(),
            visited: HashSet::new(),
            furthest: Vec::new(),
        }
    }

    /// The longest order met by a search that failed: where it got stuck.
    pub(super) fn furthest(&self) -> &[usize] {
        &self.furthest
    }

    /// Depth first.
    pub(super) fn run(&mut self) -> Result {
        let mut state = M::initial();
        // The first candidate that was not tried yet at the present depth.
        let mut next = 0;
        loop {
            let horizon = self.horizon();
            if horizon == NOTHING_ANSWERED_IS_LEFT {
                return Result::Found;
            }
            if self.visited.len() >= self.budget {
                return Result::OutOfBudget;
            }
            if let Some(index) = self.free_read(&state, horizon) {
                self.execute(Step { index, before: state.clone(), forced: true });
                next = 0;
            } else if let Some((index, after)) = self.untried(&state, next, horizon) {
                self.execute(Step { index, before: std::mem::replace(&mut state, after), forced: false });
                next = 0;
            } else if let Some(step) = self.back() {
                state = step.before;
                next = step.index + 1;
            } else {
                return Result::Impossible;
            }
        }
    }

    fn execute(&mut self, step: Step<M::State>) {
        self.set(step.index, true);
        self.order.push(step);
        if self.order.len() > self.furthest.len() {
            self.furthest = self.order.iter().map(|step| step.index).collect();
        }
    }

    /// Undoes the last step to which there may be an alternative.
    fn back(&mut self) -> Option<Step<M::State>> {
        while let Some(step) = self.order.pop() {
            self.set(step.index, false);
            if !step.forced {
                return Some(step);
            }
        }
        None
    }

    /// An answered read that can be executed now.
    fn free_read(&self, state: &M::State, horizon: u64) -> Option<usize> {
        self.candidates(0, horizon).find(|index| {
            let Operation { op, outcome, .. } = &self.operations[*index];
            outcome.is_some() && M::is_read(op, outcome.as_ref()) && M::step(state, op, outcome.as_ref()).as_ref() == Some(state)
        })
    }

    /// The next operation at or after `from` that can be executed now and leads to a place not visited before.
    fn untried(&mut self, state: &M::State, from: usize, horizon: u64) -> Option<(usize, M::State)> {
        let candidates: Vec<usize> = self.candidates(from, horizon).collect();
        for index in candidates {
            let Operation { op, outcome, .. } = &self.operations[index];
            if outcome.is_none() && M::is_read(op, None) {
                continue;
            }
            if let Some(after) = M::step(state, op, outcome.as_ref()) {
                self.set(index, true);
                let is_new = self.visited.insert((self.done.clone(), after.clone()));
                self.set(index, false);
                if is_new {
                    return Some((index, after));
                }
            }
        }
        None
    }

    /// What is not executed and began before `horizon`.
    fn candidates(&self, from: usize, horizon: u64) -> impl Iterator<Item = usize> {
        (from..self.operations.len())
            .take_while(move |index| self.operations[*index].invoked.event < horizon)
            .filter(|index| !self.is_done(*index))
    }

    /// When the first of the answered operations that are not executed returned: what began later must wait for it.
    fn horizon(&self) -> u64 {
        let left = (0..self.operations.len()).filter(|index| !self.is_done(*index));
        let returns = left.filter_map(|index| self.operations[index].returned).map(|at| at.event);
        returns.min().unwrap_or(NOTHING_ANSWERED_IS_LEFT)
    }

    fn is_done(&self, index: usize) -> bool {
        self.done[index / 64] >> (index % 64) & 1 == 1
    }

    fn set(&mut self, index: usize, done: bool) {
        let bit = 1 << (index % 64);
        if done {
            self.done[index / 64] |= bit;
        } else {
            self.done[index / 64] &= !bit;
        }
    }
}

const NOTHING_ANSWERED_IS_LEFT: u64 = u64::MAX;
