//! The point in the cluster's history from which an answer was given.

use reqwest::Response;
use std::fmt;
use std::str::FromStr;

/// A revision: entries of a later lineage are newer than all of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// Counts the rebuilds of the cluster after the loss of a majority.
    pub lineage: u32,
    /// Index in the log.
    pub index: u64,
}

impl Revision {
    /// The revision that an answer carries.
    pub(super) fn of(response: &Response) -> Option<Self> {
        response.headers().get(HEADER)?.to_str().ok()?.parse().ok()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.lineage, self.index)
    }
}

impl FromStr for Revision {
    type Err = NotARevision;

    fn from_str(text: &str) -> Result<Self, NotARevision> {
        let (lineage, index) = text.split_once('.').ok_or(NotARevision)?;
        let lineage = lineage.parse().map_err(|_| NotARevision)?;
        Ok(Self { lineage, index: index.parse().map_err(|_| NotARevision)? })
    }
}

/// A header that should be a revision is something else: a fault of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revision has the form lineage.index")]
pub struct NotARevision;

/// Carries a revision, in answers and in requests that must not be answered from an older state.
pub(super) const HEADER: &str = "X-NCore-Revision";

#[cfg(test)]
mod tests {
    use super::Revision;

    #[test]
    fn order_and_form() {
        let revision: Revision = "1.42".parse().expect("a revision");
        assert_eq!(revision.to_string(), "1.42");
        assert!(revision > "0.99".parse().expect("a revision"));
        assert!(revision < "1.100".parse().expect("a revision"));
        assert!("42".parse::<Revision>().is_err());
    }
}
