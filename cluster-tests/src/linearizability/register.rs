//! Registers: the simplest objects, with which the checker itself is tested.

use super::Model;
use serde::{Deserialize, Serialize};

/// Named registers that hold a number, at first none.
#[derive(Debug, Clone, Copy)]
pub struct Register;

/// What can be asked of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterOp {
    /// Store a value in the register `key`.
    Write {
        /// The register.
        key: u32,
        /// What to store.
        value: u32,
    },
    /// Return what the register `key` holds.
    Read {
        /// The register.
        key: u32,
    },
}

/// What a register answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterOutcome {
    /// It was stored.
    Written,
    /// What it holds.
    Value(Option<u32>),
}

impl Model for Register {
    type Op = RegisterOp;
    type Outcome = RegisterOutcome;
    type State = Option<u32>;
    type Key = u32;

    fn key(op: &RegisterOp) -> u32 {
        match op {
            RegisterOp::Write { key, .. } | RegisterOp::Read { key } => *key,
        }
    }

    fn initial() -> Option<u32> {
        None
    }

    fn step(state: &Option<u32>, op: &RegisterOp, outcome: Option<&RegisterOutcome>) -> Option<Option<u32>> {
        match (op, outcome) {
            (RegisterOp::Write { value, .. }, None | Some(RegisterOutcome::Written)) => Some(Some(*value)),
            (RegisterOp::Read { .. }, None) => Some(*state),
            (RegisterOp::Read { .. }, Some(RegisterOutcome::Value(seen))) => (seen == state).then_some(*state),
            _ => None,
        }
    }

    fn is_read(op: &RegisterOp, _: Option<&RegisterOutcome>) -> bool {
        matches!(op, RegisterOp::Read { .. })
    }
}
