//! The bytes that assets refer to, each once.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::NodeId};

/// A blob that at least one asset refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Length in bytes.
    pub size: u64,
    /// How many assets refer to it.
    pub references: u64,
    /// The nodes that had it, fsynced, when it was last put. They are asked first.
    pub holders: Vec<NodeId>,
}

impl Record for Blob {
    const KIND: u16 = 0x14;
    const VERSION: u16 = 1;
}
