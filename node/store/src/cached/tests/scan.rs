//! Objects that are asked for once do not drive out those that are asked for again and again.

use std::collections::{HashSet, VecDeque};

use super::*;

/// One mix of a hot set and a scan.
struct Trace {
    name: &'static str,
    /// Entries that are asked for again and again.
    hot: u64,
    /// Of a hundred requests so many are for something that nobody asks for again.
    scan_percent: u64,
    /// The hit ratio, in percent of the requests for the hot set, that we have to reach, and the most that plain FIFO reaches.
    ours_at_least: u64,
    fifo_at_most: u64,
}

/// 2 MiB hold about 1,800 entries of 1 KB, the segment that stays free not counted.
const TRACES: [Trace; 3] = [
    Trace { name: "half a scan", hot: 800, scan_percent: 50, ours_at_least: 85, fifo_at_most: 75 },
    Trace { name: "mostly a scan", hot: 600, scan_percent: 80, ours_at_least: 80, fifo_at_most: 65 },
    Trace { name: "no scan", hot: 1_000, scan_percent: 0, ours_at_least: 99, fifo_at_most: 100 },
];

#[tokio::test]
async fn a_scan_does_not_drive_out_the_hot_set() {
    for trace in TRACES {
        let requests: Vec<u64> = requests(&trace, 16_000).collect();
        let ours = ours(&requests).await;
        let fifo = fifo(&requests);
        let row = format!("{}: {ours} % against {fifo} % of plain FIFO", trace.name);
        assert!(ours >= trace.ours_at_least, "{row}");
        assert!(fifo <= trace.fifo_at_most, "the trace is too easy: {row}");
    }
}

/// Hits in percent of the requests for the hot set, in the second half of the trace.
async fn ours(requests: &[u64]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &disk_only());
    let mut ratio = Ratio::default();
    for (at, &n) in requests.iter().enumerate() {
        let hit = cached.get(&key(n)).await.unwrap().is_some();
        if !hit {
            cached.put(key(n), entry(n, 1, BYTES));
            settle(&cached).await;
        }
        ratio.note(at, requests.len(), n, hit);
    }
    ratio.percent()
}

/// The same for a queue with as many bytes.
fn fifo(requests: &[u64]) -> u64 {
    let room = usize::try_from(disk_only().disk_bytes).unwrap() / (BYTES + 36);
    let (mut queue, mut held) = (VecDeque::new(), HashSet::new());
    let mut ratio = Ratio::default();
    for (at, &n) in requests.iter().enumerate() {
        let hit = held.contains(&n);
        if !hit {
            held.insert(n);
            queue.push_back(n);
            if queue.len() > room {
                held.remove(&queue.pop_front().unwrap());
            }
        }
        ratio.note(at, requests.len(), n, hit);
    }
    ratio.percent()
}

#[derive(Default)]
struct Ratio {
    hits: u64,
    asked: u64,
}

impl Ratio {
    fn note(&mut self, at: usize, of: usize, n: u64, hit: bool) {
        if at >= of / 2 && n < SCANNED {
            self.asked += 1;
            self.hits += u64::from(hit);
        }
    }

    fn percent(&self) -> u64 {
        self.hits * 100 / self.asked
    }
}

fn requests(trace: &Trace, count: u64) -> impl Iterator<Item = u64> {
    let mut state = 42_u64;
    // A linear congruential generator: the same trace each time.
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (hot, scan_percent) = (trace.hot, trace.scan_percent);
    (0..count).map(move |at| if random(100) < scan_percent { SCANNED + at } else { random(hot) })
}

/// What is asked for once has a number from here on.
const SCANNED: u64 = 1 << 32;
const BYTES: usize = 1000;
