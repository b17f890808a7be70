//! A purge, in the order of the log.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::ClientId};

/// Whatever is cached of the assets of `client` that match `pattern` is to be dropped. The assets stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Whose assets.
    pub client: ClientId,
    /// Which of them: a glob, see [`AssetGlob`](crate::AssetGlob).
    pub pattern: String,
    /// When, in Unix milliseconds of log time.
    pub at_ms: u64,
}

impl Record for Purge {
    const KIND: u16 = 0x17;
    const VERSION: u16 = 1;
}
