//! What a client has agreed to: its plan, from where it may call, and how much it has stored.
//!
//! It stands beside the [`Client`](crate::Client), whose record is older. A client that was added before there were accounts has none
//! until it is changed; it has no limits then, and nothing of it is counted.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, ip_range::IpRange};

/// The account of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// What it pays for.
    pub plan: Plan,
    /// From where its credentials may be used; from anywhere, if there is none.
    pub ip_ranges: Vec<IpRange>,
    /// Since when it is a client, in Unix milliseconds.
    pub since_ms: u64,
    /// The index at which its secret was last set. Tokens that were issued for another secret are good for nothing.
    pub secret_set_at: u64,
}

impl Record for Account {
    const KIND: u16 = 0x30;
    const VERSION: u16 = 1;
}

/// What a client pays for. A quota that is `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// What the operator calls it.
    pub name: String,
    /// How many bytes its assets may have together.
    pub storage_bytes: Option<u64>,
    /// How many bytes may be served for it in 30 days.
    pub bandwidth_bytes: Option<u64>,
    /// How many zones it may have.
    pub zones: Option<u32>,
}

/// What a client has stored. The row is there from the first day of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stored {
    /// Its assets.
    pub assets: u64,
    /// The bytes of these, each counted as often as there are assets of it.
    pub bytes: u64,
}

impl Record for Stored {
    const KIND: u16 = 0x31;
    const VERSION: u16 = 1;
}
