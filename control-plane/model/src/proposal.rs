//! One entry of the replicated log.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, command::Command, id::RequestId};

/// A command, who may retry it, and when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The request. Its first answer is its only one.
    pub request: RequestId,
    /// The caller's own key for "this once", if it gave one.
    pub idempotency: Option<Idempotency>,
    /// When the leader took it, in Unix milliseconds. Zero until then.
    pub log_time_ms: u64,
    /// What to do.
    pub command: Command,
}

impl Record for Proposal {
    const KIND: u16 = 0x01;
    const VERSION: u16 = 1;
}

/// A caller's key for "this once".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// A hash of the client, the operation and the key.
    pub scope: [u8; 32],
    /// A hash of what was asked for. The same key with another payload is an error.
    pub payload: [u8; 32],
}
