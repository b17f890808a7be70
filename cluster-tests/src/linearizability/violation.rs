//! A history that has no order, made small enough to be read.

use super::Model;
use super::search::{Result, Search};
use crate::history::Operation;
use std::fmt;

/// A part of a history that is not linearizable.
///
/// It is made from the whole history by steps that can only make a history *more* linearizable, so that what remains
/// still proves the fault: leaving out what began after a point and opening what returned after it; and leaving out
/// reads. Writes stay, because without one of them a read of its value would be a fault of another kind.
pub struct Violation<M: Model> {
    /// The object concerned.
    pub key: M::Key,
    /// What is left of its operations.
    pub operations: Vec<Operation<M::Op, M::Outcome>>,
    /// The longest sequence that makes sense, as indexes of `operations`.
    pub furthest: Vec<usize>,
}

impl<M: Model> Violation<M> {
    pub(super) fn shrink(key: M::Key, operations: Vec<Operation<M::Op, M::Outcome>>, budget: usize) -> Self {
        let mut shrinker = Shrinker::<M> { operations, budget };
        shrinker.cut_the_end();
        shrinker.drop_reads();
        let mut search = Search::<M>::new(&shrinker.operations, budget);
        search.run();
        let furthest = search.furthest().to_vec();
        Self { key, operations: shrinker.operations, furthest }
    }
}

struct Shrinker<M: Model> {
    operations: Vec<Operation<M::Op, M::Outcome>>,
    budget: usize,
}

impl<M: Model> Shrinker<M> {
    /// Keeps what is needed up to the first return that does not fit.
    fn cut_the_end(&mut self) {
        let mut returns: Vec<u64> = self.operations.iter().filter_map(|op| op.returned).map(|at| at.event).collect();
        returns.sort_unstable();
        // Being impossible is monotone in the length of the prefix.
        let first_bad = returns.partition_point(|end| !Self::impossible(&self.prefix(*end), self.budget));
        if let Some(end) = returns.get(first_bad) {
            self.operations = self.prefix(*end);
        }
    }

    fn prefix(&self, end: u64) -> Vec<Operation<M::Op, M::Outcome>> {
        let mut kept: Vec<_> = self.operations.iter().filter(|op| op.invoked.event < end).cloned().collect();
        for operation in &mut kept {
            if operation.returned.is_some_and(|at| at.event > end) {
                operation.returned = None;
                operation.outcome = None;
            }
        }
        kept
    }

    fn drop_reads(&mut self) {
        for index in (0..self.operations.len()).rev() {
            let Operation { op, outcome, .. } = &self.operations[index];
            if M::is_read(op, outcome.as_ref()) {
                let mut fewer = self.operations.clone();
                fewer.remove(index);
                self.keep_if_impossible(fewer);
            }
        }
    }

    fn keep_if_impossible(&mut self, operations: Vec<Operation<M::Op, M::Outcome>>) {
        if Self::impossible(&operations, self.budget) {
            self.operations = operations;
        }
    }

    fn impossible(operations: &[Operation<M::Op, M::Outcome>], budget: usize) -> bool {
        Search::<M>::new(operations, budget).run() == Result::Impossible
    }
}

impl<M: Model> fmt::Display for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "object {:?}; these operations have no order:", self.key)?;
        for (index, operation) in self.operations.iter().enumerate() {
            let end = operation.returned.map_or_else(|| String::from("open"), |at| at.event.to_string());
            let outcome = operation.outcome.as_ref().map_or_else(String::new, |outcome| format!(" -> {outcome:?}"));
            let (client, start) = (operation.client, operation.invoked.event);
            writeln!(f, "  #{index:<3} client {client:<3} [{start:>5} .. {end:>5}] {:?}{outcome}", operation.op)?;
        }
        let mut state = M::initial();
        writeln!(f, "the longest sequence that makes sense begins with {state:?}")?;
        for index in &self.furthest {
            let operation = &self.operations[*index];
            if let Some(after) = M::step(&state, &operation.op, operation.outcome.as_ref()) {
                writeln!(f, "  #{index:<3} {:?} gives {after:?}", operation.op)?;
                state = after;
            }
        }
        let stuck = |index: &usize| !self.furthest.contains(index) && self.operations[*index].returned.is_some();
        let stuck: Vec<String> = (0..self.operations.len()).filter(stuck).map(|index| format!("#{index}")).collect();
        write!(f, "and leaves no place for {}", stuck.join(", "))
    }
}

impl<M: Model> fmt::Debug for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
