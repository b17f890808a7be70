//! What is counted is collected once, in the hour of its request.

use std::{sync::Arc, thread};

use super::{Collected, HOUR_S, Usage};

const NOON_S: u64 = 472_222 * HOUR_S;

fn at(usage: &Usage, hour: u32) -> Vec<Collected> {
    let mut collected = usage.collect_at(|| hour);
    collected.sort_by_key(|collected| (collected.client.clone(), collected.hour));
    collected
}

#[test]
fn everything_counts_where_it_belongs_and_once() {
    let usage = Usage::default();
    let tally = usage.meter("cl_a").tally(NOON_S);
    for status in [200, 206, 304, 404, 416, 503, 101, 999] {
        tally.answered(status);
    }
    tally.sent(70);
    tally.sent(7);
    tally.hit();
    tally.missed();
    usage.meter("cl_b").tally(NOON_S).hit();
    let _idle = usage.meter("cl_c");
    let a = Collected { client: "cl_a".into(), hour: 472_222, statuses: [3, 1, 2, 2], bytes_out: 77, hits: 1, misses: 1 };
    let b = Collected { client: "cl_b".into(), statuses: [0; 4], bytes_out: 0, misses: 0, ..a };
    assert_eq!(at(&usage, 472_222), [a, b]);
    assert_eq!(at(&usage, 472_222), []);
}

#[test]
fn a_request_counts_in_the_hour_in_which_it_came() {
    let usage = Usage::default();
    let meter = usage.meter("cl_a");
    let before = meter.tally(NOON_S + HOUR_S - 1);
    let after = meter.tally(NOON_S + HOUR_S);
    before.answered(200);
    after.answered(200);
    after.answered(200);
    let hours: Vec<_> = at(&usage, 472_223).into_iter().map(|collected| (collected.hour, collected.statuses[0])).collect();
    assert_eq!(hours, [(472_222, 1), (472_223, 2)]);
    // The end of a body that took until after the hour.
    before.sent(9);
    assert_eq!(at(&usage, 472_223).first().map(|collected| (collected.hour, collected.bytes_out)), Some((472_222, 9)));
}

#[test]
fn nothing_is_lost_or_doubled_while_it_is_collected() {
    let usage = Arc::new(Usage::default());
    let threads = [(); 2].map(|()| {
        let usage = Arc::clone(&usage);
        thread::spawn(move || {
            for _ in 0..50_000 {
                usage.meter("cl_a").tally(NOON_S).answered(200);
            }
        })
    });
    let mut sum = 0;
    let mut count = || sum += at(&usage, 472_222).iter().map(|collected| collected.statuses[0]).sum::<u64>();
    while threads.iter().any(|thread| !thread.is_finished()) {
        count();
    }
    count();
    assert_eq!(sum, 100_000);
}
