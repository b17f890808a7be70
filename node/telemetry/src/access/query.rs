//! What somebody wants of the log.

use super::record::AccessRecord;

/// Where a record stands among those of all nodes: by time, then by node, then by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessPosition {
    /// When its answer ended, in microseconds of the Unix epoch.
    pub ended_us: u64,
    /// The id of its node.
    pub node: u64,
    /// Its number there.
    pub number: u64,
}

/// Which records are wanted. What is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessQuery {
    /// Of this client alone.
    pub client: Option<String>,
    /// That ended then or later, in microseconds of the Unix epoch.
    pub from_us: Option<u64>,
    /// That ended before then, in microseconds of the Unix epoch.
    pub until_us: Option<u64>,
    /// With a status from the first to the second.
    pub statuses: Option<(u16, u16)>,
    /// With a path that begins so.
    pub prefix: Option<String>,
    /// That stand before this, which is to say that they are older.
    pub before: Option<AccessPosition>,
}

impl AccessQuery {
    /// Whether a record of the node with the id `node` is wanted.
    #[must_use]
    pub fn wants(&self, record: &AccessRecord, node: u64) -> bool {
        self.client.as_deref().is_none_or(|client| record.client.as_deref() == Some(client))
            && self.from_us.is_none_or(|from| record.ended_us >= from)
            && self.until_us.is_none_or(|until| record.ended_us < until)
            && self.statuses.is_none_or(|(first, last)| (first..=last).contains(&record.status))
            && self.prefix.as_deref().is_none_or(|prefix| record.path().starts_with(prefix))
            && self.before.is_none_or(|before| record.position(node) < before)
    }
}

impl AccessRecord {
    /// Where it stands, if it is of the node with the id `node`.
    #[must_use]
    pub fn position(&self, node: u64) -> AccessPosition {
        AccessPosition { ended_us: self.ended_us, node, number: self.number }
    }
}
