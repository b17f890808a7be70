//! The ledger by cases, and against a model of a node whose disk and peers do what they like.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

const FAULTS: usize = 4;

fn limits() -> Limits {
    Limits { window: 8, faults: FAULTS, tries: 2, retry_first: Duration::from_secs(1), retry_max: Duration::from_secs(4) }
}

fn blob(number: u8) -> BlobHash {
    BlobHash([number; 32])
}

fn version(version: u64, number: u8, presence: Presence) -> Version {
    Version { version, blob: blob(number), size: 1, presence }
}

fn fail(ledger: &mut Ledger, number: u8, now: Instant) {
    assert_eq!(ledger.next_job(now).map(|job| job.blob), Some(blob(number)));
    ledger.finished(blob(number), Obtained::Failed, now);
}

#[test]
fn the_watermark_stops_at_the_first_version_that_is_not_held() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 0, &[], now);
    ledger.walk(&[version(3, 1, Presence::Held), version(5, 2, Presence::Absent), version(9, 3, Presence::Held)], now);
    assert_eq!(ledger.holdings(), Holdings { watermark: 3, exceptions: vec![] });
    assert_eq!(ledger.next_job(now), Some(Job { blob: blob(2), size: 1 }));
    assert_eq!(ledger.next_job(now), None, "it is under way");
    ledger.finished(blob(2), Obtained::Held, now);
    assert_eq!(ledger.holdings(), Holdings { watermark: 9, exceptions: vec![] });
    assert_eq!(ledger.wanted(), 0);
}

#[test]
fn a_version_that_cannot_be_had_becomes_an_exception_and_is_tried_again() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 0, &[], now);
    ledger.walk(&[version(1, 1, Presence::Absent), version(2, 2, Presence::Held)], now);
    fail(&mut ledger, 1, now);
    assert_eq!(ledger.holdings().watermark, 0);
    assert_eq!(ledger.next_job(now), None, "not before its pause is over");
    assert_eq!(ledger.next_due(), Some(now + Duration::from_secs(1)));
    fail(&mut ledger, 1, now + Duration::from_secs(1));
    let missing = Exception { version: 1, state: ExceptionState::Missing };
    assert_eq!(ledger.holdings(), Holdings { watermark: 2, exceptions: vec![missing] });
    assert_eq!(ledger.next_due(), Some(now + Duration::from_secs(3)), "the pause has doubled");
    assert!(ledger.next_job(now + Duration::from_secs(3)).is_some());
    ledger.finished(blob(1), Obtained::Held, now);
    assert_eq!(ledger.holdings(), Holdings { watermark: 2, exceptions: vec![] });
}

#[test]
fn versions_with_one_blob_are_one_job() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 0, &[], now);
    ledger.walk(&[version(1, 7, Presence::Absent), version(2, 7, Presence::Absent)], now);
    assert!(ledger.next_job(now).is_some());
    assert_eq!(ledger.next_job(now), None);
    ledger.finished(blob(7), Obtained::Held, now);
    assert_eq!(ledger.holdings().watermark, 2);
}

#[test]
fn too_many_faults_hold_the_mark() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 0, &[], now);
    let versions: Vec<Version> = (1..=6).map(|number| version(number, u8::try_from(number).expect("small"), Presence::Absent)).collect();
    ledger.walk(&versions, now);
    let mut later = now;
    for _ in 0..2 {
        while let Some(job) = ledger.next_job(later) {
            ledger.finished(job.blob, Obtained::Failed, later);
        }
        later += Duration::from_secs(10);
    }
    let holdings = ledger.holdings();
    assert_eq!((holdings.watermark, holdings.exceptions.len()), (4, FAULTS));
    ledger.finished(blob(2), Obtained::Held, later);
    assert_eq!(ledger.holdings().watermark, 5, "room for one more");
}

#[test]
fn a_lost_disk_lets_the_mark_fall_back() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 100, &[], now);
    let lost: Vec<Version> = (1..=100).map(|number| version(number, u8::try_from(number).expect("small"), Presence::Absent)).collect();
    assert!(ledger.audit(0..=100, &lost, now));
    let holdings = ledger.holdings();
    assert_eq!((holdings.watermark, holdings.exceptions.len()), (4, FAULTS));
    assert_eq!(ledger.walked(), 4, "the rest is walked anew");
    assert_eq!(ledger.wanted(), FAULTS);
}

#[test]
fn a_damaged_blob_is_an_exception_until_it_is_replaced() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 9, &[], now);
    ledger.walk(&[version(10, 2, Presence::Absent), version(11, 1, Presence::Held)], now);
    ledger.damaged(blob(1), 1, now);
    // The index that was read before the copy was set aside still calls it held.
    assert!(!ledger.audit(0..=9, &[version(4, 1, Presence::Held), version(5, 3, Presence::Held)], now));
    let corrupt = Exception { version: 4, state: ExceptionState::Corrupt };
    assert_eq!(ledger.holdings(), Holdings { watermark: 9, exceptions: vec![corrupt] });
    ledger.finished(blob(2), Obtained::Held, now);
    assert_eq!(ledger.holdings().watermark, 10, "version 11 has the damaged blob as well");
    ledger.finished(blob(1), Obtained::Held, now);
    assert_eq!(ledger.holdings(), Holdings { watermark: 11, exceptions: vec![] });
}

#[test]
fn exceptions_whose_asset_is_gone_are_dropped() {
    let now = Instant::now();
    let faults = [version(3, 1, Presence::Absent), version(4, 2, Presence::Absent)];
    let mut ledger = Ledger::resume(limits(), 9, &faults, now);
    assert_eq!(ledger.holdings().exceptions.len(), 2);
    ledger.audit(0..=9, &[version(4, 2, Presence::Absent)], now);
    assert_eq!(ledger.holdings().exceptions.len(), 1);
    assert!(ledger.next_job(now).is_some());
    ledger.finished(blob(2), Obtained::Unreferenced, now);
    assert_eq!((ledger.holdings().exceptions.len(), ledger.wanted()), (0, 0));
}

#[test]
fn a_change_of_placement_holds_the_mark_until_all_is_looked_at_anew() {
    let now = Instant::now();
    let mut ledger = Ledger::resume(limits(), 0, &[], now);
    ledger.walk(&[version(3, 1, Presence::Held), version(5, 2, Presence::Held)], now);
    assert!(ledger.hear_of_placement(7));
    assert!(!ledger.hear_of_placement(7), "once is enough");
    ledger.walk(&[version(9, 3, Presence::Held)], now);
    ledger.walked_all(7);
    assert_eq!(ledger.holdings().watermark, 6, "what was held of version 3 and 5 is not what must be");
    ledger.audit(0..=3, &[version(3, 1, Presence::Absent)], now);
    ledger.audit(4..=u64::MAX, &[version(5, 2, Presence::Held), version(9, 3, Presence::Held)], now);
    ledger.settle_placement(6);
    assert_eq!(ledger.holdings().watermark, 6, "an audit that began before the change says nothing");
    ledger.settle_placement(7);
    let missing = Exception { version: 3, state: ExceptionState::Missing };
    assert_eq!(ledger.holdings(), Holdings { watermark: 9, exceptions: vec![missing] });
    // Placed elsewhere after all.
    assert!(ledger.hear_of_placement(10));
    ledger.audit(0..=u64::MAX, &[version(3, 1, Presence::Held), version(5, 2, Presence::Held), version(9, 3, Presence::Held)], now);
    ledger.walked_all(10);
    ledger.settle_placement(10);
    assert_eq!(ledger.holdings(), Holdings { watermark: 10, exceptions: vec![] });
    assert_eq!(ledger.wanted(), 0);
}

#[test]
fn a_report_that_had_taken_up_the_placement_is_gone_on_with() {
    let mut ledger = Ledger::resume(limits(), 9, &[], Instant::now());
    assert!(!ledger.hear_of_placement(7));
    assert!(ledger.hear_of_placement(10));
}

/// What happens to a node.
#[derive(Debug, Clone)]
enum Event {
    Put(u8),
    Delete(prop::sample::Index),
    Walk(usize),
    Fetch {
        succeeds: bool,
    },
    Lose(u8),
    Damage(u8),
    Audit,
    /// The next part of an audit.
    Stretch,
    /// The contents with these numbers are to be held elsewhere, those of the others that may be placed here.
    Place(u8),
    /// A content that need not be held is removed.
    LetGo(u8),
    Restart,
}

/// Contents below are to be held everywhere; where the others are to be held changes.
const FREE: u8 = 6;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Event::Put),
        1 => any::<prop::sample::Index>().prop_map(Event::Delete),
        4 => (1..6_usize).prop_map(Event::Walk),
        6 => any::<bool>().prop_map(|succeeds| Event::Fetch { succeeds }),
        1 => (0..12_u8).prop_map(Event::Lose),
        1 => (0..12_u8).prop_map(Event::Damage),
        1 => Just(Event::Audit),
        4 => Just(Event::Stretch),
        1 => any::<u8>().prop_map(Event::Place),
        2 => (FREE..12_u8).prop_map(Event::LetGo),
        1 => Just(Event::Restart),
    ]
}

/// The truth that the ledger is to report about.
struct World {
    ledger: Ledger,
    now: Instant,
    next: u64,
    versions: BTreeMap<u64, u8>,
    held: HashSet<u8>,
    damaged: HashSet<u8>,
    /// Blobs that were lost and whose loss no audit has seen yet.
    unseen: HashSet<u8>,
    /// The contents that are to be held elsewhere, by bits from [`FREE`] on, and since when.
    elsewhere: u8,
    placement: u64,
    /// The audit that is under way: where it goes on, and the placement when it began.
    audit: (u64, u64),
}

impl World {
    fn must_hold(&self, content: u8) -> bool {
        content < FREE || self.elsewhere & (1 << (content - FREE)) == 0
    }

    fn new() -> Self {
        let now = Instant::now();
        Self {
            ledger: Ledger::resume(limits(), 0, &[], now),
            now,
            next: 1,
            versions: BTreeMap::new(),
            held: HashSet::new(),
            damaged: HashSet::new(),
            unseen: HashSet::new(),
            elsewhere: 0,
            placement: 0,
            audit: (0, 0),
        }
    }

    fn row(&self, number: u64, content: u8) -> Version {
        let presence = match content {
            content if !self.must_hold(content) => Presence::Held,
            content if self.held.contains(&content) => Presence::Held,
            content if self.damaged.contains(&content) => Presence::Damaged,
            _ => Presence::Absent,
        };
        version(number, content, presence)
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Put(content) => {
                self.versions.insert(self.next, *content);
                self.next += 1;
            }
            Event::Delete(which) if !self.versions.is_empty() => {
                let which = *self.versions.keys().nth(which.index(self.versions.len())).expect("a version");
                self.versions.remove(&which);
            }
            Event::Delete(_) => {}
            Event::Walk(limit) => {
                let limit = (*limit).min(self.ledger.room());
                let rows = self.versions.range(self.ledger.walked() + 1..).take(limit);
                let rows: Vec<Version> = rows.map(|(number, content)| self.row(*number, *content)).collect();
                self.hear_of_placement();
                self.ledger.walk(&rows, self.now);
                if rows.len() < limit {
                    self.ledger.walked_all(self.placement);
                }
            }
            Event::Fetch { succeeds } => self.fetch(*succeeds),
            Event::Lose(content) => {
                if self.held.remove(content) {
                    self.unseen.insert(*content);
                }
            }
            Event::Damage(content) => {
                if self.held.remove(content) {
                    self.damaged.insert(*content);
                    self.unseen.insert(*content);
                    self.ledger.damaged(blob(*content), 1, self.now);
                }
            }
            Event::Audit => {
                let rows: Vec<Version> = self.versions.iter().map(|(number, content)| self.row(*number, *content)).collect();
                self.hear_of_placement();
                self.ledger.audit(0..=u64::MAX, &rows, self.now);
                self.ledger.settle_placement(self.placement);
                self.unseen.clear();
                self.audit = (0, 0);
            }
            Event::Stretch => self.stretch(),
            Event::Place(elsewhere) => {
                self.elsewhere = *elsewhere;
                self.placement = self.next;
                self.next += 1;
            }
            Event::LetGo(content) => {
                if !self.must_hold(*content) {
                    self.held.remove(content);
                }
            }
            Event::Restart => {
                let Holdings { watermark, exceptions } = self.ledger.holdings();
                let still_there = |exception: &Exception| {
                    let content = self.versions.get(&exception.version)?;
                    Some(self.row(exception.version, *content))
                };
                let faults: Vec<Version> = exceptions.iter().filter_map(still_there).collect();
                self.ledger = Ledger::resume(limits(), watermark, &faults, self.now);
                self.audit = (0, 0);
            }
        }
    }

    fn hear_of_placement(&mut self) {
        if self.ledger.hear_of_placement(self.placement) {
            self.audit = (0, self.placement);
        }
    }

    fn stretch(&mut self) {
        self.hear_of_placement();
        if self.audit.0 == 0 {
            self.audit.1 = self.placement;
        }
        let (from, placement) = self.audit;
        let rows: Vec<Version> = self.versions.range(from..).take(3).map(|(number, content)| self.row(*number, *content)).collect();
        let last = rows.last().map(|row| row.version).filter(|_| rows.len() == 3);
        self.ledger.audit(from..=last.unwrap_or(u64::MAX), &rows, self.now);
        match last {
            Some(last) => self.audit.0 = last + 1,
            None => {
                self.ledger.settle_placement(placement);
                self.audit = (0, 0);
            }
        }
    }

    fn fetch(&mut self, succeeds: bool) {
        self.now += Duration::from_secs(10);
        let Some(job) = self.ledger.next_job(self.now) else { return };
        let content = job.blob.0[0];
        let obtained = if self.held.contains(&content) {
            Obtained::Held
        } else if !self.versions.values().any(|other| *other == content) {
            Obtained::Unreferenced
        } else if succeeds {
            self.held.insert(content);
            self.damaged.remove(&content);
            Obtained::Held
        } else {
            Obtained::Failed
        };
        self.ledger.finished(job.blob, obtained, self.now);
    }
}

proptest! {
    #[test]
    fn the_report_is_never_better_than_the_truth(events in prop::collection::vec(event(), 1..120)) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            let Holdings { watermark, exceptions } = world.ledger.holdings();
            prop_assert!(exceptions.len() <= FAULTS);
            prop_assert!(exceptions.is_sorted_by_key(|exception| exception.version));
            prop_assert!(exceptions.iter().all(|exception| exception.version <= watermark));
            prop_assert!(world.ledger.ahead.len() <= limits().window);
            let excepted: HashSet<u64> = exceptions.iter().map(|exception| exception.version).collect();
            for (number, content) in world.versions.range(..=watermark) {
                // Of what is placed, a report says nothing before it has taken up the last change.
                let is_claimed = *content < FREE || (world.must_hold(*content) && world.placement <= watermark);
                let is_right = !is_claimed || world.held.contains(content) || world.unseen.contains(content) || excepted.contains(number);
                prop_assert!(is_right, "version {number} with blob {content} is reported as held");
            }
        }

        // Once everything can be had, everything is, and the report says so.
        for _ in 0..events.len() + 20 {
            world.happen(&Event::Audit);
            world.happen(&Event::Walk(8));
            while world.ledger.next_due().is_some() {
                world.happen(&Event::Fetch { succeeds: true });
            }
        }
        let Holdings { watermark, exceptions } = world.ledger.holdings();
        prop_assert_eq!(exceptions, vec![]);
        prop_assert_eq!(world.ledger.wanted(), 0);
        prop_assert!(world.versions.keys().all(|number| *number <= watermark));
        prop_assert!(world.placement <= watermark);
        prop_assert!(world.versions.values().all(|content| !world.must_hold(*content) || world.held.contains(content)));
    }
}
