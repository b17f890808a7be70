//! Forgetting old answers costs the same however many were forgotten before. Deleted rows stay in a RocksDB for a while, and one
//! that looks for the oldest answer from the start would step over all of them, for each entry.

use ncore_model::{Command, Proposal, REQUEST_RETENTION_MS, ReadTables, RequestId, Table, encode};
use ncore_replica::{Entry, Replica};
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use crate::reference::{Reference, directory, mark};

const START_MS: u64 = 1_800_000_000_000;
/// Entries in the time that an answer is kept.
const KEPT: u64 = 1_000;

/// An entry that is only answered, `KEPT` in each retention.
fn quiet(index: u64) -> Vec<u8> {
    let log_time_ms = START_MS + index * (REQUEST_RETENTION_MS / KEPT);
    let mut request = [0; 16];
    request[..6].copy_from_slice(&log_time_ms.to_be_bytes()[2..]);
    request[8..].copy_from_slice(&index.to_be_bytes());
    let command = Command::RaiseSchema { level: 9 };
    encode(&Proposal { request: RequestId(request), idempotency: None, log_time_ms, command }).expect("encodes")
}

#[test]
fn forgetting_does_not_step_over_what_was_forgotten() {
    let home = directory();
    let replica = Replica::open(home.path()).expect("opens");
    let beginning = Reference::of_length(1);
    beginning.feed(&replica, 0, 1);
    let feed = |from: u64, to: u64, batch: usize| {
        let log: Vec<(u64, Vec<u8>)> = (from..to).map(|index| (index, quiet(index))).collect();
        for part in log.chunks(batch) {
            let entries: Vec<Entry<'_>> = part.iter().map(|(index, bytes)| Entry { index: *index, proposal: Some(bytes) }).collect();
            replica.apply(&entries, &mark(0)).expect("applies");
        }
    };
    feed(2, 4 * KEPT, 100);
    let kept = replica.scan(Table::Expiry, &[], &[], usize::MAX).expect("scans").len() as u64;
    assert!((KEPT - 5..KEPT + 5).contains(&kept), "{kept} answers are kept");

    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut context = PerfContext::default();
    for batch in [1, 100] {
        context.reset();
        let from = replica.revision().index + 1;
        feed(from, from + 100, batch);
        let skipped = context.metric(PerfMetric::InternalDeleteSkippedCount);
        assert!(skipped <= 400, "100 entries in batches of {batch} stepped over {skipped} deleted rows");
    }
    set_perf_stats(PerfStatsLevel::Disable);
}
