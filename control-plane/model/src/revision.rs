//! A point in the history of the cluster's state.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// `(lineage, index)`: which history, and how far along it. The index is that of the replicated log; the lineage grows when
/// a cluster is rebuilt after it lost its quorum. Revisions are ordered, and a later lineage is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// Which history. The first is 1.
    pub lineage: u32,
    /// The last log entry that the state includes.
    pub index: u64,
}

impl Revision {
    /// The lineage of a cluster that was never rebuilt.
    pub const FIRST_LINEAGE: u32 = 1;
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.lineage, self.index)
    }
}

/// The text is not `lineage.index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revision is written lineage.index, for example 1.42")]
pub struct RevisionParseError;

impl FromStr for Revision {
    type Err = RevisionParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (lineage, index) = text.split_once('.').ok_or(RevisionParseError)?;
        // `parse` takes a sign as well, which no revision is written with.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(RevisionParseError);
        }
        let lineage = lineage.parse().map_err(|_| RevisionParseError)?;
        let index = index.parse().map_err(|_| RevisionParseError)?;
        Ok(Self { lineage, index })
    }
}
