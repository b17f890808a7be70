//! An administrator: somebody who manages clients over the API.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::AdministratorId};

/// The most administrators.
pub const MAX_ADMINISTRATORS: usize = 1_000;

/// What the cluster knows of an administrator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administrator {
    /// Its id.
    pub id: AdministratorId,
    /// What the operator calls it.
    pub name: String,
    /// The BLAKE3 hash of its token, which has 256 random bits.
    pub token_hash: [u8; 32],
    /// When it was added, in Unix milliseconds of log time.
    pub created_at_ms: u64,
    /// When its token ends, in Unix milliseconds of log time; never, if `None`.
    pub expires_at_ms: Option<u64>,
}

impl Record for Administrator {
    const KIND: u16 = 0x33;
    const VERSION: u16 = 1;
}

impl std::fmt::Debug for Administrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Administrator").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
