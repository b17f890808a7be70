//! The log store as openraft drives it.
//!
//! openraft is the only writer and never writes two things at once; readers run beside it on other tasks. What they ask
//! for most (the ends of the log, the vote, the newest entries) is answered from memory. An append is a write into the
//! page cache and is made on the calling task: it costs microseconds, and blocks longer only when RocksDB itself holds
//! writers back. Reads that reach the disk run on blocking threads.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use ncore_proto::raft::v1 as pb;
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use parking_lot::RwLock;
use rocksdb::WriteBatch;

use super::{
    db::{LogDb, MetaKey},
    flusher::Flusher,
    ring::Ring,
};
use crate::{
    convert,
    fatal::{FatalCell, FatalReason},
    record::{self, Identity, Kind, RecordError},
    types::{Entry, LogId, TypeConfig, Vote},
};

/// Cheap to clone: every replication task reads through a clone.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

/// Bounds of memory and of single reads. Bytes are those of records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogLimits {
    /// The newest entries kept in memory.
    pub(crate) ring_bytes: usize,
    /// What one limited read returns at most, unless a single entry is larger.
    pub(crate) read_bytes: usize,
}

struct Shared {
    db: Arc<LogDb>,
    flusher: Flusher,
    fatal: FatalCell,
    limits: LogLimits,
    state: RwLock<State>,
    appended_bytes: AtomicU64,
}

/// What is on disk, or on its way there, as far as it is asked for all the time.
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// Whether `committed` is still to be written.
    committed_waits: bool,
    purged: Option<LogId>,
    last: Option<LogId>,
    ring: Ring,
}

impl LogStore {
    /// Reads the state from `db`. Blocking.
    pub(crate) fn open(db: Arc<LogDb>, flusher: Flusher, fatal: FatalCell, limits: LogLimits) -> Result<Self, FatalReason> {
        let purged = read_meta::<pb::LogId>(&db, MetaKey::Purged)?.map(convert::log_id_from);
        let committed = read_meta::<pb::LogId>(&db, MetaKey::Committed)?.map(convert::log_id_from);
        let vote = read_meta::<pb::Vote>(&db, MetaKey::Vote)?.map(convert::vote_from);
        let newest = db.last_entry().map_err(read_failed)?.map(|record| decode_entry(&record)).transpose()?;
        let last = newest.map(|entry| entry.log_id).or(purged);
        let state = State { vote, committed, committed_waits: false, purged, last, ring: Ring::new(limits.ring_bytes) };
        let shared = Shared { db, flusher, fatal, limits, state: RwLock::new(state), appended_bytes: AtomicU64::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whose log this is, if it was ever used.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, FatalReason> {
        read_meta(&self.shared.db, MetaKey::Identity)
    }

    /// Makes the log the given node's, durably.
    pub(crate) async fn claim(&self, identity: &Identity) -> io::Result<()> {
        self.put_meta(MetaKey::Identity, &record::encode(Kind::Identity, identity))?;
        self.shared.flusher.barrier().await
    }

    /// Makes everything written so far durable.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        self.shared.flusher.barrier().await
    }

    /// The last position in the log, and the last one purged from its beginning.
    pub(crate) fn ends(&self) -> (Option<LogId>, Option<LogId>) {
        let state = self.shared.state.read();
        (state.last, state.purged)
    }

    /// Bytes of records appended since the store was opened.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.shared.appended_bytes.load(Ordering::Relaxed)
    }

    /// How often the disk was told to sync since the store was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.shared.flusher.syncs()
    }

    /// Bytes of memory of the log's database, as [`LogDb::memory`] has them; zeros if it does not tell.
    pub(crate) fn memory(&self) -> (u64, u64) {
        self.shared.db.memory().unwrap_or_default()
    }

    /// The smallest index such that the entries from it to `end` take at most about `limit` bytes of disk, or `None` if
    /// all entries do. Blocking.
    pub(crate) fn index_within(&self, end: u64, limit: u64) -> Option<u64> {
        let (_, purged) = self.ends();
        let (mut low, mut high) = (purged.map_or(0, |purged| purged.index + 1), end);
        if self.shared.db.approximate_bytes(low, end) <= limit {
            return None;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.shared.db.approximate_bytes(middle, end) <= limit {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Some(low)
    }

    /// Entries of `start..end` that are in the log, in order: all of them, or as many as fit `max_bytes` but at least one.
    pub(crate) async fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(Vec::new());
        }
        if let Some(entries) = self.shared.state.read().ring.read(start, end, max_bytes) {
            return Ok(entries);
        }
        let shared = Arc::clone(&self.shared);
        let read = move || shared.read_from_disk(start, end, max_bytes).map_err(|reason| shared.fatal.raise(reason));
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    /// Entries of `start..end` as [`Self::read`] gives them, as many as fit one message.
    pub(crate) async fn read_batch(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, self.shared.limits.read_bytes).await
    }

    fn put_meta(&self, key: MetaKey, record: &[u8]) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        self.shared.db.put_meta(&mut batch, key, record);
        self.write(batch)
    }

    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.shared.db.write(batch).map_err(|error| self.shared.fatal.raise(FatalReason::LogWrite(Arc::new(error))))
    }

    /// Writes entries and remembers them. They are readable at once and durable after the next sync.
    fn write_entries(&self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        self.shared.put_committed(&mut batch);
        let mut next = self.shared.state.read().last.map(|last| last.index + 1);
        let mut written = Vec::new();
        for entry in entries {
            let found = entry.log_id.index;
            let expected = *next.get_or_insert(found);
            if found != expected {
                return Err(self.shared.fatal.raise(FatalReason::LogHole { expected, found }));
            }
            next = Some(found + 1);
            let record = record::encode(Kind::Entry, &convert::entry_to(&entry));
            self.shared.db.put_entry(&mut batch, found, &record);
            written.push((entry, record.len()));
        }
        self.write(batch)?;
        let mut state = self.shared.state.write();
        for (entry, size) in written {
            self.shared.appended_bytes.fetch_add(size as u64, Ordering::Relaxed);
            state.last = Some(entry.log_id);
            state.ring.push(entry, size);
        }
        Ok(())
    }

    /// The position of the entry at `index`, which must be in the log or be the last purged one. Blocking.
    fn log_id_of(&self, index: u64) -> io::Result<Option<LogId>> {
        let purged = self.shared.state.read().purged;
        if purged.is_some_and(|purged| purged.index >= index) {
            return Ok(purged);
        }
        let read = || self.shared.db.read_entry(index).map_err(read_failed)?.map(|record| decode_entry(&record)).transpose();
        Ok(read().map_err(|reason| self.shared.fatal.raise(reason))?.map(|entry| entry.log_id))
    }
}

impl Shared {
    /// Adds the position of the last committed entry, if it waits to be written.
    fn put_committed(&self, batch: &mut WriteBatch) -> bool {
        let mut state = self.state.write();
        let Some(committed) = state.committed.filter(|_| state.committed_waits) else { return false };
        state.committed_waits = false;
        drop(state);
        self.db.put_meta(batch, MetaKey::Committed, &record::encode(Kind::Committed, &convert::log_id_to(&committed)));
        true
    }

    fn read_from_disk(&self, start: u64, end: u64, max_bytes: usize) -> Result<Vec<Entry>, FatalReason> {
        let (mut entries, mut bytes) = (Vec::<Entry>::new(), 0);
        for record in self.db.entries(start, end) {
            let record = record.map_err(read_failed)?;
            bytes += record.len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            let entry = decode_entry(&record)?;
            if let Some(previous) = entries.last()
                && previous.log_id.index + 1 != entry.log_id.index
            {
                return Err(FatalReason::LogHole { expected: previous.log_id.index + 1, found: entry.log_id.index });
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut batch = WriteBatch::default();
        if self.put_committed(&mut batch)
            && let Err(error) = self.db.write(batch)
        {
            tracing::warn!(%error, "how far the log is committed could not be kept; the leader will tell it anew");
        }
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(&mut self, range: RB) -> io::Result<Vec<Entry>> {
        let (start, end) = half_open(&range);
        self.read(start, end, usize::MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.state.read().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read_batch(start, end).await
    }

    /// Reads piece by piece, so that applying a long stretch of log does not bring it all into memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = half_open(&range);
        let (log, max_bytes) = (self.clone(), self.shared.limits.read_bytes);
        stream::unfold((start, Vec::new().into_iter()), move |(mut next, mut piece)| {
            let log = log.clone();
            async move {
                if piece.len() == 0 {
                    match log.read(next, end, max_bytes).await {
                        Ok(entries) => piece = entries.into_iter(),
                        Err(error) => return Some((Err(error), (end, Vec::new().into_iter()))),
                    }
                }
                let entry: Entry = piece.next()?;
                next = entry.log_id.index + 1;
                Some((Ok(entry), (next, piece)))
            }
        })
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (last_log_id, last_purged_log_id) = self.ends();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.put_meta(MetaKey::Vote, &record::encode(Kind::Vote, &convert::vote_to(vote)))?;
        self.shared.flusher.barrier().await?;
        self.shared.state.write().vote = Some(*vote);
        Ok(())
    }

    /// Written with the next entries, or when the store is closed: a write of its own would cost as much as one of entries, for what
    /// the state, which is written at once, tells as well.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else { return Ok(()) };
        let mut state = self.shared.state.write();
        state.committed = Some(committed);
        state.committed_waits = true;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.state.read().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.write_entries(entries)?;
        self.shared.flusher.appended(callback).await
    }

    /// Durable on return: an installed snapshot must never meet the conflicting entries again that were cut off for it.
    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let first_cut = last_log_id.map_or(0, |last| last.index + 1);
        let Some(last) = self.shared.state.read().last.filter(|last| last.index >= first_cut) else { return Ok(()) };
        let mut batch = WriteBatch::default();
        self.shared.db.delete_entries(&mut batch, first_cut, last.index + 1);
        self.write(batch)?;
        let new_last = match last_log_id {
            Some(last) => self.log_id_of(last.index)?,
            None => None,
        };
        {
            let mut state = self.shared.state.write();
            state.ring.truncate_from(first_cut);
            state.last = new_last;
        }
        self.shared.flusher.barrier().await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        self.shared.db.put_meta(&mut batch, MetaKey::Purged, &record::encode(Kind::Purged, &convert::log_id_to(&log_id)));
        self.shared.db.delete_entries_before(&mut batch, log_id.index + 1);
        self.write(batch)?;
        let mut state = self.shared.state.write();
        state.purged = Some(log_id);
        // A snapshot may reach beyond the log. Then the log ends where the snapshot does, whoever wrote its old end.
        if state.last.is_none_or(|last| last.index <= log_id.index) {
            state.last = Some(log_id);
        }
        state.ring.purge_to(log_id.index);
        Ok(())
    }
}

/// What is kept under `key`, if anything. Blocking.
pub(crate) fn read_meta<M: prost::Message + Default>(db: &LogDb, key: MetaKey) -> Result<Option<M>, FatalReason> {
    let kind = match key {
        MetaKey::Vote => Kind::Vote,
        MetaKey::Purged => Kind::Purged,
        MetaKey::Committed => Kind::Committed,
        MetaKey::Identity => Kind::Identity,
    };
    let record = db.read_meta(key).map_err(read_failed)?;
    record.map(|record| record::decode(kind, &record)).transpose().map_err(FatalReason::LogRecord)
}

/// The entry in a record.
pub(crate) fn decode_entry(record: &Bytes) -> Result<Entry, FatalReason> {
    let decode = || -> Result<Entry, RecordError> { convert::entry_from(record::decode(Kind::Entry, record)?) };
    decode().map_err(FatalReason::LogRecord)
}

fn read_failed(error: rocksdb::Error) -> FatalReason {
    FatalReason::LogRead(Arc::new(error))
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
