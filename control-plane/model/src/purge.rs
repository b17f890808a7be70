//! A purge, in the order of the log; and how many there were of late, where no more than so many may be.

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

/// The greatest limit that the log can hold purges to: each that counts takes some bytes of a row that is written anew with the next.
pub const MAX_PURGES_COUNTED: u32 = 1_000;

/// No more purges of one subject in any stretch of log time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeLimit {
    /// Whose purges are counted together: a hash of the token that asks for them.
    pub subject: [u8; 16],
    /// How many there may be; at most [`MAX_PURGES_COUNTED`].
    pub limit: u32,
    /// In a stretch of so many milliseconds.
    pub span_ms: u64,
}

/// When a subject has purged, as far as that counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeCount {
    /// In milliseconds of log time, the oldest first.
    pub at_ms: Vec<u64>,
    /// From when none of them counts any more.
    pub until_ms: u64,
}

impl PurgeCount {
    /// Counts one more, or says in how many milliseconds there may be one.
    ///
    /// # Errors
    /// That time, at least 1.
    pub(crate) fn count(&mut self, limit: &PurgeLimit, now_ms: u64) -> Result<(), u64> {
        self.at_ms.retain(|at_ms| at_ms.saturating_add(limit.span_ms) > now_ms);
        let is_full = self.at_ms.len() >= limit.limit as usize;
        if is_full {
            // When the next is allowed, as many as the limit less one may still count.
            let over = self.at_ms.len() - limit.limit as usize;
            let frees_ms = self.at_ms.get(over).map_or(u64::MAX, |at_ms| at_ms.saturating_add(limit.span_ms));
            return Err(frees_ms.saturating_sub(now_ms).max(1));
        }
        self.at_ms.push(now_ms);
        self.until_ms = self.until_ms.max(now_ms.saturating_add(limit.span_ms));
        Ok(())
    }

    /// The key of a subject of a client.
    pub(crate) fn key(client: &ClientId, subject: &[u8; 16]) -> Vec<u8> {
        [client.as_str().as_bytes(), &[0], subject].concat()
    }
}

impl Record for PurgeCount {
    const KIND: u16 = 0x48;
    const VERSION: u16 = 1;
}
