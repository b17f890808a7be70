//! The log as a whole: what it keeps, in which order, and within which bounds.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        mpsc::{TryRecvError, channel},
    },
    thread,
    time::Duration,
};

use super::{
    AccessFileSettings, AccessHead, AccessLine, AccessLog, AccessPosition, AccessQuery, AccessRecord, AccessWriter, CacheUse, Overtaken,
    PathClass, file::AccessFile, inbox::QUEUE_MAX,
};

const NODE: u64 = 7;

fn record(path: &str, ended_us: u64) -> AccessRecord {
    let head = AccessHead {
        method: "GET",
        host: "node",
        path,
        request_id: "id",
        agent: b"curl/8",
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
        class: PathClass::Public,
    };
    AccessRecord { ended_us, status: 200, ..AccessRecord::new(&head) }
}

fn collected(log: &AccessLog) {
    log.collect(&mut Vec::new(), None);
}

fn paths(records: &[AccessRecord]) -> Vec<&str> {
    records.iter().map(AccessRecord::path).collect()
}

#[test]
fn texts_are_bounded_and_stay_apart() {
    let head = AccessHead {
        method: "PROPPATCH-AND-MORE",
        host: &"h".repeat(1_000),
        path: &format!("/{}", "ü".repeat(1_000)),
        request_id: "req-1",
        agent: &[b'a'; 5_000],
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
        class: PathClass::Asset,
    };
    let record = AccessRecord::new(&head);
    assert_eq!(record.method(), "PROPPATCH-AND-MO…");
    assert_eq!((record.host().len(), record.agent().len()), (128 + 3, 200 + 3));
    // A letter of two bytes is not cut in two.
    assert_eq!(record.path(), format!("/{}…", "ü".repeat(255)));
    assert_eq!(record.request_id(), "req-1");
    let plain = AccessRecord::new(&AccessHead { method: "GET", host: "", path: "/", agent: b"\xff", ..head });
    assert_eq!([plain.method(), plain.host(), plain.path(), plain.request_id(), plain.agent()], ["GET", "", "/", "req-1", ""]);
}

#[test]
fn the_newest_stay_and_come_first() {
    let log = AccessLog::new(3);
    for at in 1..=5 {
        log.record(record(&format!("/{at}"), at));
    }
    assert!(log.find(&AccessQuery::default(), NODE, 10).is_empty(), "nobody has taken them yet");
    collected(&log);
    assert_eq!(paths(&log.find(&AccessQuery::default(), NODE, 10)), ["/5", "/4", "/3"]);
    assert_eq!(paths(&log.find(&AccessQuery::default(), NODE, 2)), ["/5", "/4"]);
    assert_eq!((log.newest(), log.taken(), log.oldest_us()), (5, 5, Some(3)));
}

#[test]
fn too_many_at_once_drop_the_oldest_and_are_counted() {
    let log = AccessLog::new(QUEUE_MAX * 2);
    let more = 5;
    for at in 0..QUEUE_MAX + more {
        log.record(record("/", at as u64));
    }
    assert_eq!(log.dropped(), more as u64);
    collected(&log);
    assert_eq!((log.taken(), log.oldest_us()), (QUEUE_MAX as u64, Some(more as u64)));
}

#[test]
fn what_is_wanted() {
    let log = AccessLog::new(10);
    let client = |name: &str| Some(Arc::from(name));
    log.record(AccessRecord { client: client("a"), ..record("/pub/x", 1_000_000) });
    log.record(AccessRecord { client: client("b"), status: 404, ..record("/pub/y", 2_000_000) });
    log.record(AccessRecord { status: 503, ..record("/api/z", 3_000_000) });
    collected(&log);
    let all = AccessQuery::default();
    let before = |node| Some(AccessPosition { ended_us: 2_000_000, node, number: 2 });
    let cases = [
        (all.clone(), vec!["/api/z", "/pub/y", "/pub/x"]),
        (AccessQuery { client: Some("a".to_owned()), ..all.clone() }, vec!["/pub/x"]),
        (AccessQuery { client: Some(String::new()), ..all.clone() }, vec![]),
        (AccessQuery { from_us: Some(2_000_000), ..all.clone() }, vec!["/api/z", "/pub/y"]),
        (AccessQuery { until_us: Some(2_000_000), ..all.clone() }, vec!["/pub/x"]),
        (AccessQuery { statuses: Some((404, 503)), ..all.clone() }, vec!["/api/z", "/pub/y"]),
        (AccessQuery { statuses: Some((400, 499)), ..all.clone() }, vec!["/pub/y"]),
        (AccessQuery { prefix: Some("/pub/".to_owned()), ..all.clone() }, vec!["/pub/y", "/pub/x"]),
        (AccessQuery { before: before(NODE), ..all.clone() }, vec!["/pub/x"]),
        // At the same time, the node with the lesser id stands before.
        (AccessQuery { before: before(NODE + 1), ..all.clone() }, vec!["/pub/y", "/pub/x"]),
        (AccessQuery { before: before(NODE - 1), ..all }, vec!["/pub/x"]),
    ];
    for (query, expected) in cases {
        assert_eq!(paths(&log.find(&query, NODE, 10)), expected, "{query:?}");
    }
}

#[test]
fn a_follower_sees_each_once_or_hears_that_it_was_overtaken() {
    let log = AccessLog::new(3);
    let all = AccessQuery::default();
    let mut after = log.newest();
    for at in 1..=3 {
        log.record(record(&format!("/{at}"), at));
        collected(&log);
        let new = log.since(after, &all, NODE).expect("kept");
        assert_eq!(paths(&new.records), [format!("/{at}")]);
        assert!(!new.more);
        after = new.after;
    }
    assert_eq!(log.since(after, &all, NODE).expect("kept").records, []);
    for at in 4..=8 {
        log.record(record("/", at));
    }
    collected(&log);
    assert_eq!(log.since(after, &all, NODE), Err(Overtaken { missed: 2 }));
    // What it does not want is gone by for it too.
    let none = AccessQuery { client: Some("nobody".to_owned()), ..all };
    let new = log.since(5, &none, NODE).expect("kept");
    assert_eq!((new.records.len(), new.after), (0, 8));
}

#[test]
fn anybody_sees_numbers_alone_and_nothing_of_what_is_restricted() {
    let log = AccessLog::new(0);
    let second = 1_000_000;
    log.record(AccessRecord { bytes: 10, cache: CacheUse::Hit, ..record("/pub/a", second) });
    log.record(AccessRecord { bytes: 5, cache: CacheUse::Miss, ..record("/pub/b", second + 9) });
    log.record(AccessRecord { status: 404, ..record("/pub/c", 2 * second) });
    log.record(AccessRecord { class: PathClass::Restricted, ..record("/restricted/d", 2 * second) });
    collected(&log);
    let seen: Vec<_> = log.public(10).iter().map(|count| (count.at_s, count.status_class, count.requests, count.bytes)).collect();
    assert_eq!(seen, [(2, 4, 1, 0), (1, 2, 2, 15)]);
    assert_eq!(log.public(1).len(), 1);
    assert_eq!((log.public(2)[1].hits, log.public(2)[1].misses), (1, 1));
    // A minute of them, and no more.
    for at in 3..200 {
        log.record(record("/pub/a", at * second));
    }
    collected(&log);
    assert_eq!(log.public(1_000).len(), 60);
}

#[test]
fn files_are_rotated_and_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let line = serde_json::to_vec(&AccessLine::new(&record("/pub/00", 1), "one")).expect("JSON").len() as u64 + 1;
    let settings = AccessFileSettings { dir: dir.path().join("log"), bytes_max: line * 2, files: 3 };
    for half in [0, 5] {
        // Opened again, it goes on where it was.
        let mut file = AccessFile::new(settings.clone(), "one");
        for at in half..half + 5 {
            file.write(&[record(&format!("/pub/{at:02}"), 1)]).expect("written");
        }
    }
    let text = |name: &str| fs::read_to_string(settings.dir.join(name)).expect(name);
    let seen: Vec<Vec<String>> = ["access.2.jsonl", "access.1.jsonl", "access.jsonl"]
        .map(|name| {
            text(name)
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["path"].as_str().expect("a path").to_owned())
                .collect()
        })
        .to_vec();
    assert_eq!(seen, [["/pub/04", "/pub/05"], ["/pub/06", "/pub/07"], ["/pub/08", "/pub/09"]]);
    assert_eq!(fs::read_dir(&settings.dir).expect("a directory").count(), 3);
}

#[test]
fn a_file_that_cannot_be_written_is_counted_and_records_are_kept_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let in_the_way = dir.path().join("log");
    fs::write(&in_the_way, "").expect("written");
    let mut file = AccessFile::new(AccessFileSettings { dir: in_the_way.clone(), bytes_max: 1, files: 1 }, "one");
    let log = AccessLog::new(10);
    log.record(record("/1", 1));
    log.collect(&mut Vec::new(), Some(&mut file));
    assert_eq!((log.file_errors(), log.taken()), (1, 1));
    fs::remove_file(&in_the_way).expect("removed");
    log.record(record("/2", 2));
    log.collect(&mut Vec::new(), Some(&mut file));
    assert_eq!((log.file_errors(), log.taken()), (1, 2));
    assert!(fs::read_to_string(in_the_way.join("access.jsonl")).expect("a file").contains("\"/2\""));
}

#[test]
fn a_queue_that_is_half_full_wakes_who_takes() {
    let log = Arc::new(AccessLog::new(1));
    let (say, said) = channel();
    let taker = thread::spawn({
        let log = Arc::clone(&log);
        move || {
            log.collected_by_this_thread();
            say.send(0).expect("heard");
            // For as long as nobody wakes it, but for a wake-up that has no reason, after which there is nothing.
            while log.taken() == 0 {
                thread::park();
                collected(&log);
            }
            say.send(log.taken()).expect("heard");
        }
    });
    assert_eq!(said.recv(), Ok(0));
    for at in 1..=QUEUE_MAX as u64 / 2 {
        assert_eq!(said.try_recv(), Err(TryRecvError::Empty));
        log.record(record("/", at));
    }
    assert_eq!(said.recv_timeout(Duration::from_secs(30)), Ok(QUEUE_MAX as u64 / 2));
    taker.join().expect("ends");
}

#[test]
fn what_came_before_the_end_is_taken() {
    let log = Arc::new(AccessLog::new(10));
    let writer = AccessWriter::start(Arc::clone(&log), None, "one").expect("a thread");
    log.record(record("/last", 1));
    drop(writer);
    assert_eq!(paths(&log.find(&AccessQuery::default(), NODE, 10)), ["/last"]);
}
