//! Counts that no report has yet.

use std::collections::BTreeMap;

use ncore_model::{ClientId, HourCounts, MAX_USAGE_COUNTS, UsageCounts};
use ncore_telemetry::Collected;

/// Hours of clients that may wait. What one takes in memory is about 150 bytes.
const PENDING_MAX: usize = 100_000;

/// Counts by hour and client, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    counts: BTreeMap<(u32, ClientId), UsageCounts>,
}

impl Pending {
    /// Adds what was counted. Gives how many hours of clients found no place.
    pub(super) fn collect(&mut self, collected: Vec<Collected>) -> u64 {
        collected
            .into_iter()
            .map(|Collected { client, hour, statuses, bytes_out, hits, misses }| {
                let counts = UsageCounts { statuses, bytes_out, hits, misses };
                self.add(HourCounts { client: ClientId::from_text(&client), hour, counts })
            })
            .filter(|found_a_place| !found_a_place)
            .count() as u64
    }

    /// Adds the counts of an hour. False if there is no place for one more.
    pub(super) fn add(&mut self, HourCounts { client, hour, counts }: HourCounts) -> bool {
        let key = (hour, client);
        if self.counts.len() >= PENDING_MAX && !self.counts.contains_key(&key) {
            return false;
        }
        self.counts.entry(key).or_default().add(&counts);
        true
    }

    /// Takes as many of the oldest as a report may have.
    pub(super) fn take(&mut self) -> Vec<HourCounts> {
        let mut taken = Vec::new();
        while taken.len() < MAX_USAGE_COUNTS
            && let Some(((hour, client), counts)) = self.counts.pop_first()
        {
            taken.push(HourCounts { client, hour, counts });
        }
        taken
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// All of it, as it is kept on disk.
    pub(super) fn all(&self) -> impl Iterator<Item = HourCounts> {
        self.counts.iter().map(|((hour, client), counts)| HourCounts { client: client.clone(), hour: *hour, counts: *counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(client: &str, hour: u32, requests: u64) -> HourCounts {
        let counts = UsageCounts { statuses: [requests, 0, 0, 0], ..UsageCounts::default() };
        HourCounts { client: ClientId::from_text(client), hour, counts }
    }

    #[test]
    fn the_oldest_go_first_and_in_bounded_batches() {
        let mut pending = Pending::default();
        for number in 0..MAX_USAGE_COUNTS + 3 {
            assert!(pending.add(counts(&format!("cl_{number}"), 9, 1)));
        }
        assert!(pending.add(counts("cl_0", 9, 1)));
        assert!(pending.add(counts("cl_0", 8, 1)));
        let first = pending.take();
        assert_eq!(first.len(), MAX_USAGE_COUNTS);
        assert_eq!(first[..2], [counts("cl_0", 8, 1), counts("cl_0", 9, 2)]);
        assert_eq!(pending.take().len(), 4);
        assert_eq!(pending.take(), []);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut pending = Pending::default();
        for hour in 0..u32::try_from(PENDING_MAX).expect("fits") {
            assert!(pending.add(counts("cl_0", hour, 1)));
        }
        assert!(!pending.add(counts("cl_1", 1, 1)));
        assert!(pending.add(counts("cl_0", 1, 1)));
    }
}
