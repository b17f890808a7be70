//! Where the shield of a zone is: the last node that is asked before its origin.

use serde::{Deserialize, Serialize};

use crate::codec::Record;

/// Where the shield of a zone is to be. The row is there if its owner has said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneShield {
    /// The region. A node was there when it was said; what is done while none is, is for those who ask to decide.
    pub region: String,
}

impl Record for ZoneShield {
    const KIND: u16 = 0x4C;
    const VERSION: u16 = 1;
}
