//! What each node says it holds, and what follows from it.
//!
//! A node works through the versions in the order of the log, and reports a *watermark*: "of all versions up to here, I hold
//! and have verified those that I must hold", and the exceptions to that. So one number says the state of a million assets,
//! and the state of one asset on one node is derived from it:
//!
//! ```text
//!   version listed as an exception         → Missing or Corrupt
//!   version ≤ watermark                    → Verified
//!   version > watermark, or no report      → Pending
//! ```

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::NodeId};

/// The most exceptions that a report may carry. A node that has more holds its watermark back instead.
pub const MAX_EXCEPTIONS: usize = 1_000;

/// What a node says it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Who says so.
    pub node: NodeId,
    /// In which of its lives.
    pub incarnation: u64,
    /// Rises by one with each report of that life. An older report never replaces a newer one.
    pub sequence: u64,
    /// Every version up to here is held and verified, but for the exceptions.
    pub watermark: u64,
    /// The versions at or below the watermark that are not, ascending.
    pub exceptions: Vec<Exception>,
}

impl Record for NodeReport {
    const KIND: u16 = 0x18;
    const VERSION: u16 = 1;
}

/// A version that a node does not hold as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Which version.
    pub version: u64,
    /// What is wrong with it.
    pub state: ExceptionState,
}

/// What is wrong with a version on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExceptionState {
    /// It could not be fetched yet.
    Missing,
    /// It was there and failed verification.
    Corrupt,
}

/// The state of one asset on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyState {
    /// Held, and checked against its hash.
    Verified,
    /// Not yet reported.
    Pending,
    /// The node tried and failed to get it.
    Missing,
    /// The node had it and found it damaged.
    Corrupt,
}

impl CopyState {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Pending => "pending",
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
        }
    }
}

/// The state of the content put at `version`, on the node that made `report`.
#[must_use]
pub fn copy_state(report: Option<&NodeReport>, version: u64) -> CopyState {
    let Some(report) = report else {
        return CopyState::Pending;
    };
    match report.exceptions.iter().find(|exception| exception.version == version).map(|exception| exception.state) {
        Some(ExceptionState::Missing) => CopyState::Missing,
        Some(ExceptionState::Corrupt) => CopyState::Corrupt,
        None if version <= report.watermark => CopyState::Verified,
        None => CopyState::Pending,
    }
}
