//! The log store: openraft's own suite, then what that does not look at: reopening, durability, bounds, damage.

mod suite;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    EntryPayload, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
    type_config::TypeConfigExt,
};
use parking_lot::{Condvar, Mutex};
use rocksdb::WriteBatch;
use tokio::sync::oneshot;

use super::{DiskSync, Flusher, LogDb, LogLimits, LogStore};
use crate::{
    closing::{Closed, closing},
    fatal::{FatalCell, FatalReason},
    types::{Command, Entry, LeaderId, LogId, TypeConfig, Vote},
};

/// An open store, with what is needed to close it.
pub(crate) struct Opened {
    pub(crate) store: LogStore,
    pub(crate) fatal: FatalCell,
    pub(crate) db: Arc<LogDb>,
    closed: Closed,
}

impl Opened {
    pub(crate) async fn close(self) {
        drop((self.store, self.db));
        assert!(self.closed.wait(Duration::from_secs(10)).await, "the database is closed");
    }
}

pub(crate) fn open(dir: &Path) -> Opened {
    open_on(dir, |db| Box::new(db)).unwrap()
}

fn open_on(dir: &Path, disk: impl FnOnce(Arc<LogDb>) -> Box<dyn DiskSync>) -> Result<Opened, FatalReason> {
    let (signal, closed) = closing();
    let fatal = FatalCell::new();
    let db = Arc::new(LogDb::open(dir, signal).unwrap());
    let flusher = Flusher::start(disk(Arc::clone(&db)), fatal.clone()).unwrap();
    let limits = LogLimits { ring_bytes: 4096, read_bytes: 1024 };
    let store = LogStore::open(Arc::clone(&db), flusher, fatal.clone(), limits)?;
    Ok(Opened { store, fatal, db, closed })
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Command(vec![b'x'; bytes].into())) }
}

/// Appends and waits until the entries are durable.
async fn append(store: &mut LogStore, entries: Vec<Entry>) -> io::Result<()> {
    begin_append(store, entries).await?.await.expect("always completed")
}

async fn begin_append(store: &mut LogStore, entries: Vec<Entry>) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let (done, wait) = TypeConfig::oneshot();
    store.append(entries, IOFlushed::<TypeConfig>::signal(done)).await?;
    Ok(wait)
}

async fn indices(store: &mut LogStore) -> Vec<u64> {
    store.try_get_log_entries(..).await.unwrap().iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn all_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let vote = Vote::new_committed(2, 1);
    let mut opened = open(dir.path());
    let store = &mut opened.store;
    append(store, (0..20).map(|index| entry(1, index, 10)).collect()).await.unwrap();
    store.save_vote(&vote).await.unwrap();
    store.truncate_after(Some(log_id(1, 14))).await.unwrap();
    append(store, vec![entry(2, 15, 10)]).await.unwrap();
    store.purge(log_id(1, 4)).await.unwrap();
    store.save_committed(Some(log_id(1, 9))).await.unwrap();
    let before = store.try_get_log_entries(..).await.unwrap();
    opened.close().await;

    let mut opened = open(dir.path());
    let store = &mut opened.store;
    assert_eq!(store.ends(), (Some(log_id(2, 15)), Some(log_id(1, 4))));
    assert_eq!(store.read_vote().await.unwrap(), Some(vote));
    assert_eq!(store.read_committed().await.unwrap(), Some(log_id(1, 9)));
    assert_eq!(store.try_get_log_entries(..).await.unwrap(), before);
    assert_eq!(indices(store).await, (5..=15).collect::<Vec<_>>());

    store.truncate_after(None).await.unwrap();
    assert_eq!(store.ends(), (None, Some(log_id(1, 4))), "as openraft asks, though it never does that");
    opened.close().await;
}

#[tokio::test]
async fn a_purge_beyond_the_end_moves_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    append(&mut opened.store, vec![entry(9, 0, 1), entry(9, 1, 1)]).await.unwrap();
    // A snapshot of an older leader reaches further than entries of a newer term that never committed.
    opened.store.purge(log_id(3, 50)).await.unwrap();
    assert_eq!(opened.store.ends(), (Some(log_id(3, 50)), Some(log_id(3, 50))));
    append(&mut opened.store, vec![entry(9, 51, 1)]).await.unwrap();
    opened.close().await;
    let mut opened = open(dir.path());
    assert_eq!(opened.store.ends(), (Some(log_id(9, 51)), Some(log_id(3, 50))));
    assert_eq!(indices(&mut opened.store).await, [51]);
}

#[tokio::test]
async fn a_limited_read_is_bounded_in_bytes_and_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    let store = &mut opened.store;
    // 100 entries of 200 bytes and more: the ring holds the last few, a read at most four.
    append(store, (0..100).map(|index| entry(1, index, 200)).collect()).await.unwrap();
    append(store, vec![entry(1, 100, 5000)]).await.unwrap();
    for start in [0, 50, 95, 99] {
        let read = store.limited_get_log_entries(start, 101).await.unwrap();
        assert_eq!(read[0].log_id.index, start);
        assert!(read.len() <= 4, "{} entries from {start}", read.len());
    }
    let large = store.limited_get_log_entries(100, 101).await.unwrap();
    assert_eq!(large.len(), 1, "larger than the limit, and still sent");
    assert_eq!(store.try_get_log_entries(0..101).await.unwrap().len(), 101, "an unlimited read is complete");
}

#[tokio::test]
async fn one_sync_serves_all_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let disk = GatedDisk::default();
    let gate = disk.clone();
    let mut opened = open_on(dir.path(), |_| Box::new(disk)).unwrap();
    let first = begin_append(&mut opened.store, vec![entry(1, 0, 1)]).await.unwrap();
    gate.wait_for_sync(1);
    let mut waiting = Vec::new();
    for index in 1..100 {
        waiting.push(begin_append(&mut opened.store, vec![entry(1, index, 1)]).await.unwrap());
    }
    assert!(waiting.iter_mut().all(|wait| wait.try_recv().is_err()), "nothing is durable yet");
    gate.open();
    first.await.unwrap().unwrap();
    for wait in waiting {
        wait.await.unwrap().unwrap();
    }
    assert_eq!(gate.syncs(), 2, "99 appends waited for one sync");
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FailingDisk::default();
    let mut opened = open_on(dir.path(), {
        let disk = disk.clone();
        |_| Box::new(disk)
    })
    .unwrap();
    append(&mut opened.store, vec![entry(1, 0, 1)]).await.unwrap();
    disk.fail.store(true, Ordering::SeqCst);
    append(&mut opened.store, vec![entry(1, 1, 1)]).await.unwrap_err();
    assert!(matches!(opened.fatal.raised().await, FatalReason::LogSync(_)));

    // The disk seems well again. It must not be trusted.
    disk.fail.store(false, Ordering::SeqCst);
    let syncs = disk.syncs.load(Ordering::SeqCst);
    append(&mut opened.store, vec![entry(1, 2, 1)]).await.unwrap_err();
    opened.store.save_vote(&Vote::new(5, 1)).await.unwrap_err();
    assert_eq!(opened.store.read_vote().await.unwrap(), None);
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs, "no fsync is retried");
}

#[tokio::test]
async fn a_hole_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    append(&mut opened.store, vec![entry(1, 0, 1)]).await.unwrap();
    append(&mut opened.store, vec![entry(1, 2, 1)]).await.unwrap_err();
    assert!(matches!(opened.fatal.get(), Some(FatalReason::LogHole { expected: 1, found: 2 })));
}

#[tokio::test]
async fn a_damaged_record_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    append(&mut opened.store, (0..3).map(|index| entry(1, index, 1)).collect()).await.unwrap();
    let mut record = opened.db.read_entry(1).unwrap().unwrap().to_vec();
    record[12] ^= 1;
    let mut batch = WriteBatch::default();
    opened.db.put_entry(&mut batch, 1, &record);
    opened.db.write(batch).unwrap();
    opened.close().await;

    let mut opened = open(dir.path());
    opened.store.try_get_log_entries(0..3).await.unwrap_err();
    assert!(matches!(opened.fatal.get(), Some(FatalReason::LogRecord(_))));
    opened.close().await;

    let mut opened = open(dir.path());
    assert_eq!(opened.store.try_get_log_entries(2..3).await.unwrap().len(), 1);
    let mut batch = WriteBatch::default();
    opened.db.put_entry(&mut batch, 3, &Bytes::from_static(b"not a record at all"));
    opened.db.write(batch).unwrap();
    opened.close().await;
    assert!(matches!(open_on(dir.path(), |db| Box::new(db)), Err(FatalReason::LogRecord(_))));
}

/// Syncs only while it does not fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailingDisk {
    pub(crate) fail: Arc<AtomicBool>,
    pub(crate) syncs: Arc<AtomicU64>,
}

impl DiskSync for FailingDisk {
    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fail.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

/// Holds every sync back until it is opened.
#[derive(Debug, Clone, Default)]
struct GatedDisk {
    state: Arc<(Mutex<(bool, u64)>, Condvar)>,
}

impl GatedDisk {
    fn open(&self) {
        self.state.0.lock().0 = true;
        self.state.1.notify_all();
    }

    fn syncs(&self) -> u64 {
        self.state.0.lock().1
    }

    fn wait_for_sync(&self, count: u64) {
        self.state.1.wait_while(&mut self.state.0.lock(), |(_, syncs)| *syncs < count);
    }
}

impl DiskSync for GatedDisk {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.0.lock();
        state.1 += 1;
        self.state.1.notify_all();
        self.state.1.wait_while(&mut state, |(open, _)| !*open);
        Ok(())
    }
}
