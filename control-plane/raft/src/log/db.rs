//! The log's RocksDB: its options, its two column families and their keys.
//!
//! `logs` maps an index (big-endian, so that order on disk is order in the log) to an entry's record; `meta` holds the
//! vote, the purge and commit positions and the identity. Calls block; none of them syncs except [`LogDb::sync`].
//!
//! The write-ahead log is recycled: overwriting a file that has its blocks already costs one disk write a sync, where
//! growing a file costs two. That is why nothing here may bypass it.

use std::{io, path::Path};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, Direction, IteratorMode, Options, ReadOptions,
    WriteBatch, perf::get_memory_usage_stats,
};

use super::flusher::DiskSync;
use crate::closing::ClosedSignal;

/// The database. Dropping the last reference closes it, then gives the signal.
pub(crate) struct LogDb {
    db: DB,
    cache: Cache,
    _closed: ClosedSignal,
}

/// What the `meta` column family holds, one record each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaKey {
    Vote,
    Purged,
    Committed,
    Identity,
}

impl LogDb {
    /// Opens or creates the database in `dir`.
    pub(crate) fn open(dir: &Path, closed: ClosedSignal) -> Result<Self, rocksdb::Error> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE);
        let families = [ColumnFamilyDescriptor::new(LOGS, logs_options(&cache)), ColumnFamilyDescriptor::new(META, meta_options(&cache))];
        let db = DB::open_cf_descriptors(&db_options(), dir, families)?;
        Ok(Self { db, cache, _closed: closed })
    }

    /// Writes `batch` to the write-ahead log, not yet durable.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), rocksdb::Error> {
        self.db.write(batch)
    }

    pub(crate) fn put_entry(&self, batch: &mut WriteBatch, index: u64, record: &[u8]) {
        batch.put_cf(self.logs(), index.to_be_bytes(), record);
    }

    pub(crate) fn put_meta(&self, batch: &mut WriteBatch, key: MetaKey, record: &[u8]) {
        batch.put_cf(self.meta(), key.name(), record);
    }

    /// Deletes the entries of `start..end` one by one. For the end of the log, where new entries take their place.
    pub(crate) fn delete_entries(&self, batch: &mut WriteBatch, start: u64, end: u64) {
        for index in start..end {
            batch.delete_cf(self.logs(), index.to_be_bytes());
        }
    }

    /// Deletes all entries before `end` with one mark. For the beginning of the log, which nobody writes again.
    pub(crate) fn delete_entries_before(&self, batch: &mut WriteBatch, end: u64) {
        batch.delete_range_cf(self.logs(), 0u64.to_be_bytes(), end.to_be_bytes());
    }

    pub(crate) fn read_meta(&self, key: MetaKey) -> Result<Option<Bytes>, rocksdb::Error> {
        Ok(self.db.get_cf(self.meta(), key.name())?.map(Bytes::from))
    }

    pub(crate) fn read_entry(&self, index: u64) -> Result<Option<Bytes>, rocksdb::Error> {
        Ok(self.db.get_cf(self.logs(), index.to_be_bytes())?.map(Bytes::from))
    }

    /// The record of the last entry.
    pub(crate) fn last_entry(&self) -> Result<Option<Bytes>, rocksdb::Error> {
        let mut newest_first = self.db.iterator_cf(self.logs(), IteratorMode::End);
        Ok(newest_first.next().transpose()?.map(|(_, record)| Bytes::from(record)))
    }

    /// The records of `start..end` in order, as they are at this moment.
    pub(crate) fn entries(&self, start: u64, end: u64) -> impl Iterator<Item = Result<Bytes, rocksdb::Error>> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end.to_be_bytes());
        let from = start.to_be_bytes();
        self.db
            .iterator_cf_opt(self.logs(), options, IteratorMode::From(&from, Direction::Forward))
            .map(|item| item.map(|(_, record)| Bytes::from(record)))
    }

    /// About how many bytes on disk the entries of `start..end` take. Entries still in memory do not count.
    pub(crate) fn approximate_bytes(&self, start: u64, end: u64) -> u64 {
        let (start, end) = (start.to_be_bytes(), end.to_be_bytes());
        let ranges = [rocksdb::Range::new(&start, &end)];
        self.db.get_approximate_sizes_cf(self.logs(), &ranges).iter().sum()
    }

    /// Bytes of memory that entries take which are in no file yet, and that parts of files take.
    pub(crate) fn memory(&self) -> Result<(u64, u64), rocksdb::Error> {
        let used = get_memory_usage_stats(Some(&[&self.db]), Some(&[&self.cache]))?;
        Ok((used.mem_table_total, used.cache_total + used.mem_table_readers_total))
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<(), rocksdb::Error> {
        self.db.flush_wal(true)
    }

    fn logs(&self) -> &ColumnFamily {
        self.db.cf_handle(LOGS).expect("opened with this family")
    }

    fn meta(&self) -> &ColumnFamily {
        self.db.cf_handle(META).expect("opened with this family")
    }
}

impl DiskSync for std::sync::Arc<LogDb> {
    fn sync(&self) -> io::Result<()> {
        LogDb::sync(self).map_err(io::Error::other)
    }
}

impl MetaKey {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Vote => b"vote",
            Self::Purged => b"purged",
            Self::Committed => b"committed",
            Self::Identity => b"identity",
        }
    }
}

fn db_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_recycle_log_file_num(4);
    options.set_max_total_wal_size(4 * WRITE_BUFFER as u64);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(4);
    options.set_max_open_files(256);
    options
}

fn logs_options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(WRITE_BUFFER);
    options.set_max_write_buffer_number(3);
    // Most entries are purged before a compaction would profit; and sizes on disk stay the sizes of the records.
    options.set_compression_type(DBCompressionType::None);
    options
}

fn meta_options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(1 << 20);
    options
}

/// Bytes of entries in memory until they are written to a file: a few seconds of all that a disk can take, three times at most.
/// It also bounds what is read again from the write-ahead log at a start.
const WRITE_BUFFER: usize = 4 << 20;
/// Entries are read once, in order, long after the ring forgot them: hardly worth a cache.
const BLOCK_CACHE: usize = 8 << 20;
const LOGS: &str = "logs";
const META: &str = "meta";
