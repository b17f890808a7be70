//! What clients use: requests, bytes, hits and misses, an hour and a day at a time.
//!
//! Nodes count, and report what was added since their last report. A report has a place in the order of its node's reports, and is
//! taken only if it is later than the last that was: so it counts once, however often it is asked for.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Record,
    id::{ClientId, NodeId},
};

/// The most counts of one report.
pub const MAX_USAGE_COUNTS: usize = 512;
/// For how many hours, the present one included, the hours of a client are kept.
pub const USAGE_HOURS_KEPT: u32 = 14 * 24;
/// For how many days, the present one included, the days of a client are kept.
pub const USAGE_DAYS_KEPT: u32 = 396;
/// Over how many days, the present one included, the bandwidth of a client is added up.
pub(crate) const BANDWIDTH_DAYS: u32 = 30;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageCounts {
    /// Answers by the first digit of their status: 2xx, 3xx, 4xx and 5xx.
    pub statuses: [u64; 4],
    /// Bytes of the bodies of answers.
    pub bytes_out: u64,
    /// Answers with bytes of an asset that the node had.
    pub hits: u64,
    /// Answers with bytes of an asset that came from another node.
    pub misses: u64,
}

impl UsageCounts {
    /// How many requests were answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.statuses.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds what was counted elsewhere. What would not fit stays at the greatest number.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.statuses.iter_mut().zip(other.statuses) {
            *sum = sum.saturating_add(count);
        }
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.hits = self.hits.saturating_add(other.hits);
        self.misses = self.misses.saturating_add(other.misses);
    }
}

impl Record for UsageCounts {
    const KIND: u16 = 0x41;
    const VERSION: u16 = 1;
}

/// What a client used in an hour, as far as one report has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourCounts {
    /// Which client.
    pub client: ClientId,
    /// Which hour since 1970.
    pub hour: u32,
    /// What was counted.
    pub counts: UsageCounts,
}

/// See [`Command::ReportUsage`](crate::Command::ReportUsage). Once proposed, a report is never made with other counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Who counted.
    pub node: NodeId,
    /// In which of its lives.
    pub incarnation: u64,
    /// Which report of this life.
    pub sequence: u64,
    /// What was added since the report before; at most [`MAX_USAGE_COUNTS`].
    pub counts: Vec<HourCounts>,
}

impl UsageReport {
    /// Its place in the order of the node's reports.
    #[must_use]
    pub const fn mark(&self) -> UsageMark {
        UsageMark { incarnation: self.incarnation, sequence: self.sequence }
    }
}

/// A node keeps its report in this form until it was taken.
impl Record for UsageReport {
    const KIND: u16 = 0x42;
    const VERSION: u16 = 1;
}

/// The last report of a node that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsageMark {
    /// Of which of its lives.
    pub incarnation: u64,
    /// Which report of that life.
    pub sequence: u64,
}

impl Record for UsageMark {
    const KIND: u16 = 0x40;
    const VERSION: u16 = 1;
}

/// What usage is summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageUnit {
    /// Hours since 1970.
    Hour,
    /// Days since 1970, in UTC.
    Day,
}

impl UsageUnit {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        }
    }

    /// The number since 1970 of the one that a moment, in Unix seconds, falls into.
    #[must_use]
    pub fn number_at(self, unix_s: u64) -> u32 {
        u32::try_from(unix_s / self.seconds()).unwrap_or(u32::MAX - 1)
    }

    /// For how many of them, the present one included, usage is kept.
    #[must_use]
    pub const fn kept(self) -> u32 {
        match self {
            Self::Hour => USAGE_HOURS_KEPT,
            Self::Day => USAGE_DAYS_KEPT,
        }
    }
}

/// What the keys of a client's usage begin with. No id of a client has a zero in it.
pub(crate) fn usage_prefix(client: &ClientId) -> Vec<u8> {
    [client.as_str().as_bytes(), &[0]].concat()
}
