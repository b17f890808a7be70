//! Is there an order in which all that happened makes sense?
//!
//! A history is linearizable if one can give each operation a single instant between its invocation and its return
//! such that, executed at these instants one after another, the operations give the answers that the clients saw. An
//! operation without an answer has an instant anywhere after its invocation, or none.
//!
//! The search is that of Wing and Gong (try every operation that could come next) with Lowe's memory (never visit the
//! same set of executed operations with the same state twice). What concerns different keys is checked key by key: a
//! history is linearizable if and only if its part for each object is (Herlihy and Wing, 1990).
//!
//! A failure is made small before it is shown, by steps each of which preserves it (see [`Violation`]).
//!
//! The worst case is exponential, in the operations that overlap. A check that visits more than [`Checker::budget`]
//! configurations gives up and says so: [`Verdict::Undecided`] is never a pass.

mod asset_path;
mod register;
mod search;
mod violation;

pub use asset_path::{AssetPath, Held, PathOp, PathOutcome, PathState};
pub use register::{Register, RegisterOp, RegisterOutcome};
pub use violation::Violation;

use crate::history::{History, Operation};
use search::Search;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

/// An object that behaves as if operations happened one after another.
pub trait Model {
    /// What is asked.
    type Op: Clone + Debug;
    /// What is answered.
    type Outcome: Clone + Debug;
    /// The state of one object.
    type State: Clone + Eq + Hash + Debug;
    /// Names the object that an operation concerns.
    type Key: Ord + Clone + Debug;

    /// Which object.
    fn key(op: &Self::Op) -> Self::Key;

    /// The state of an object that nothing was done to.
    fn initial() -> Self::State;

    /// The state after `op`, or `None` if `op` could not have had this outcome in this state. Without an outcome, the
    /// state after `op` has taken effect.
    fn step(state: &Self::State, op: &Self::Op, outcome: Option<&Self::Outcome>) -> Option<Self::State>;

    /// Whether `op` with this outcome never changes the state (an outcome of `None`: whatever comes of it). A state
    /// that merely becomes better known counts as unchanged.
    fn is_read(op: &Self::Op, outcome: Option<&Self::Outcome>) -> bool;
}

/// Settings of a check.
#[derive(Debug, Clone, Copy)]
pub struct Checker {
    /// The most configurations (set of executed operations, state) to visit for one key.
    pub budget: usize,
}

/// What a check found.
#[derive(Debug)]
pub enum Verdict<M: Model> {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Violated(Box<Violation<M>>),
    /// The budget ran out for this key.
    Undecided(M::Key),
}

impl Default for Checker {
    fn default() -> Self {
        Self { budget: 5_000_000 }
    }
}

impl Checker {
    /// Checks a history, key by key.
    #[must_use]
    pub fn check<M: Model>(&self, history: &History<M::Op, M::Outcome>) -> Verdict<M> {
        let mut undecided = None;
        for (key, operations) in by_key::<M>(history) {
            match Search::<M>::new(&operations, self.budget).run() {
                search::Result::Found => {}
                search::Result::Impossible => {
                    return Verdict::Violated(Box::new(Violation::shrink(key, operations, self.budget)));
                }
                search::Result::OutOfBudget => undecided = undecided.or(Some(key)),
            }
        }
        undecided.map_or(Verdict::Linearizable, Verdict::Undecided)
    }
}

impl<M: Model> Verdict<M> {
    /// An error unless the history is linearizable.
    ///
    /// # Errors
    /// With the counterexample, or that the budget ran out.
    pub fn ok(self) -> anyhow::Result<()> {
        match self {
            Self::Linearizable => Ok(()),
            Self::Violated(violation) => Err(anyhow::anyhow!("not linearizable\n{violation}")),
            Self::Undecided(key) => Err(anyhow::anyhow!("undecided: the budget ran out for {key:?}")),
        }
    }
}

/// The operations of each object, in the order of their invocations.
type Parts<M> = BTreeMap<<M as Model>::Key, Vec<Operation<<M as Model>::Op, <M as Model>::Outcome>>>;

fn by_key<M: Model>(history: &History<M::Op, M::Outcome>) -> Parts<M> {
    let mut parts = Parts::<M>::new();
    for operation in &history.operations {
        parts.entry(M::key(&operation.op)).or_default().push(operation.clone());
    }
    for operations in parts.values_mut() {
        operations.sort_by_key(|operation| operation.invoked);
    }
    parts
}

#[cfg(test)]
mod tests;
