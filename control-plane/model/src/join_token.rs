//! Permission to join the cluster.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::JoinTokenId};

/// The half of a join token that the cluster keeps. With it a proof can be checked, and no token can be made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Its public name.
    pub id: JoinTokenId,
    /// What the joiner's proof is checked with.
    pub verifier: [u8; 32],
    /// Whether the node that joins is meant to vote.
    pub voter: bool,
    /// The only region that may use it, if it is bound to one.
    pub region: Option<String>,
    /// How many more nodes may join with it.
    pub uses_left: u32,
    /// When it ends, in Unix milliseconds of log time.
    pub expires_at_ms: u64,
}

impl Record for JoinToken {
    const KIND: u16 = 0x11;
    const VERSION: u16 = 1;
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).field("uses_left", &self.uses_left).finish_non_exhaustive()
    }
}
