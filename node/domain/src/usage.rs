//! What a client used: the counts that the nodes have reported, by hour or by day.

use ncore_model::{ClientId, Query, UsageCounts, UsageUnit};

use crate::{
    cluster::{Cluster, Seen},
    error::StateError,
};

/// What clients used.
#[derive(Clone)]
pub struct UsageRecords {
    cluster: Cluster,
}

/// A row of hours or days that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRange {
    unit: UsageUnit,
    from: u32,
    until: u32,
}

/// Why a row of hours or days cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsageRangeError {
    /// The end is not after the beginning.
    #[error("from must be before to")]
    Inverted,
    /// The beginning is older than what is kept.
    #[error("the last {} {}s are kept, and from is before them", .0.kept(), .0.as_str())]
    TooOld(UsageUnit),
}

/// What was used in an hour or on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageStep {
    /// When it began, in Unix seconds.
    pub began_s: u64,
    /// What was counted.
    pub counts: UsageCounts,
}

impl UsageRange {
    /// The hours or days that have a part in the time from `from_s` to before `to_s`, in Unix seconds. Without an end it is `now_s`, and
    /// without a beginning a day, or 30 days, before the end. What is still to come is left out.
    ///
    /// # Errors
    /// [`UsageRangeError`].
    pub fn new(unit: UsageUnit, from_s: Option<u64>, to_s: Option<u64>, now_s: u64) -> Result<Self, UsageRangeError> {
        let usual = match unit {
            UsageUnit::Hour => 24,
            UsageUnit::Day => 30,
        };
        let to_s = to_s.unwrap_or(now_s);
        let from_s = from_s.unwrap_or_else(|| to_s.saturating_sub(usual * unit.seconds()));
        if from_s >= to_s {
            return Err(UsageRangeError::Inverted);
        }
        let end = unit.number_at(now_s) + 1;
        let (from, until) = (unit.number_at(from_s), unit.number_at(to_s - 1) + 1);
        if from < end.saturating_sub(unit.kept()) {
            return Err(UsageRangeError::TooOld(unit));
        }
        Ok(Self { unit, from: from.min(end), until: until.min(end) })
    }

    /// What it is made of.
    #[must_use]
    pub fn unit(&self) -> UsageUnit {
        self.unit
    }

    /// When its first hour or day begins, in Unix seconds.
    #[must_use]
    pub fn from_s(&self) -> u64 {
        self.began_s(self.from)
    }

    /// When its last hour or day ends, in Unix seconds.
    #[must_use]
    pub fn until_s(&self) -> u64 {
        self.began_s(self.until)
    }

    fn began_s(&self, number: u32) -> u64 {
        u64::from(number) * self.unit.seconds()
    }

    /// Every hour or day, also those of which nothing is known.
    fn fill(&self, known: &[(u32, UsageCounts)]) -> Vec<UsageStep> {
        let mut known = known.iter().peekable();
        let mut counts = |number| known.next_if(|(at, _)| *at == number).map_or_else(UsageCounts::default, |(_, counts)| *counts);
        (self.from..self.until).map(|number| UsageStep { began_s: self.began_s(number), counts: counts(number) }).collect()
    }
}

impl UsageRecords {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// What a client used, in each hour or on each day of a range. It is what the nodes have reported, so the answer is the same at every
    /// node that has reached the same revision.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn of(&self, client: &ClientId, range: UsageRange) -> Result<Seen<Vec<UsageStep>>, StateError> {
        let client = client.clone();
        let seen = self.cluster.read(move |view| view.usage(&client, range.unit, range.from, range.until)).await?;
        Ok(Seen { revision: seen.revision, value: range.fill(&seen.value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;
    /// Half past an hour.
    const NOW: u64 = 472_222 * HOUR + HOUR / 2;

    fn hours(from_s: Option<u64>, to_s: Option<u64>) -> Result<(u64, u64), UsageRangeError> {
        UsageRange::new(UsageUnit::Hour, from_s, to_s, NOW).map(|range| (range.from_s(), range.until_s()))
    }

    #[test]
    fn ranges() {
        let this = 472_222 * HOUR;
        let oldest = this - 335 * HOUR;
        assert_eq!(hours(None, None), Ok((this - 24 * HOUR, this + HOUR)));
        assert_eq!(hours(Some(this), Some(this + HOUR)), Ok((this, this + HOUR)));
        assert_eq!(hours(Some(this - 1), Some(this + 1)), Ok((this - HOUR, this + HOUR)));
        assert_eq!(hours(Some(this), Some(u64::MAX)), Ok((this, this + HOUR)), "what is still to come is left out");
        assert_eq!(hours(Some(this + 9 * HOUR), Some(u64::MAX)), Ok((this + HOUR, this + HOUR)));
        assert_eq!(hours(Some(oldest), None), Ok((oldest, this + HOUR)));
        assert_eq!(hours(Some(oldest - 1), None), Err(UsageRangeError::TooOld(UsageUnit::Hour)));
        assert_eq!(hours(Some(0), Some(1)), Err(UsageRangeError::TooOld(UsageUnit::Hour)));
        assert_eq!(hours(Some(this), Some(this)), Err(UsageRangeError::Inverted));
        assert_eq!(hours(Some(this), Some(this - 1)), Err(UsageRangeError::Inverted));
        assert_eq!(hours(Some(0), Some(0)), Err(UsageRangeError::Inverted));
        let days = UsageRange::new(UsageUnit::Day, None, None, NOW).expect("a range");
        assert_eq!((days.until_s() - days.from_s()) / (24 * HOUR), 31);
    }

    #[test]
    fn hours_without_a_row_are_there() {
        let range = UsageRange { unit: UsageUnit::Hour, from: 7, until: 10 };
        let counts = UsageCounts { hits: 3, ..UsageCounts::default() };
        let filled = range.fill(&[(8, counts)]);
        let hits: Vec<_> = filled.iter().map(|step| (step.began_s / HOUR, step.counts.hits)).collect();
        assert_eq!(hits, [(7, 0), (8, 3), (9, 0)]);
    }
}
