//! One open RocksDB with the tables of the model.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use ncore_model::{ReadTables, Row, Table, TableError};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, Direction, IteratorMode,
    Options, ReadOptions, WriteBufferManager, WriteOptions, checkpoint::Checkpoint, perf::get_memory_usage_stats,
};

use crate::error::ReplicaError;

/// The column family of what is the replica's own and not part of the state.
const META: &str = "meta";
/// How far the state reaches: index (u64 BE), then whatever Raft wants kept with it.
const MARK: &[u8] = b"mark";

/// Memory for blocks read from disk, with the indexes and filters of all files, and for rows not yet written to a file, in bytes.
const BLOCK_CACHE: usize = 64 << 20;
/// The part of it that rows not yet written may take, in bytes, over all tables.
const WRITE_BUFFERS: usize = 32 << 20;
/// Memory for blocks of a checkpoint, in bytes, which is mostly read once from end to end, beside the state that is at work.
const ONE_LOOK_CACHE: usize = 4 << 20;
/// Bytes of a new file after which the system is asked to write them. Left to itself it keeps them until the file is made durable,
/// and then every other sync, the log's among them, waits for all of it.
const WRITE_AHEAD: u64 = 1 << 20;

/// What the state takes of memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateMemory {
    /// Rows that are in no file yet.
    pub unwritten: u64,
    /// Parts of files, with their indexes and filters.
    pub blocks: u64,
}

/// An open database.
pub(crate) struct Database {
    db: DB,
    cache: Cache,
    /// Behind `db`, so that the database is closed before its directory goes.
    files: Files,
}

impl Database {
    /// Opens the database in `dir`, or creates an empty one.
    pub(crate) fn create(dir: &Path) -> Result<Self, ReplicaError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        Self::open_with(options, dir)
    }

    /// Opens the database in `dir`, which must be there.
    pub(crate) fn open(dir: &Path) -> Result<Self, ReplicaError> {
        Self::open_with(Options::default(), dir)
    }

    fn open_with(mut options: Options, dir: &Path) -> Result<Self, ReplicaError> {
        options.create_missing_column_families(true);
        options.set_max_total_wal_size(64 << 20);
        options.set_max_open_files(256);
        options.set_keep_log_file_num(4);
        options.set_bytes_per_sync(WRITE_AHEAD);
        let cache = Cache::new_lru_cache(BLOCK_CACHE);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(WRITE_BUFFERS, false, cache.clone());
        options.set_write_buffer_manager(&buffers);
        let families = Table::ALL
            .iter()
            .map(|table| table.as_str())
            .chain([META])
            .map(|name| ColumnFamilyDescriptor::new(name, table_options(&cache)));
        let db = DB::open_cf_descriptors(&options, dir, families).map_err(|source| ReplicaError::Database { action: "open", source })?;
        let database = Self { db, cache, files: Files { dir: dir.to_owned(), retired: AtomicBool::new(false) } };
        for table in Table::ALL {
            database.family_named(table.as_str())?;
        }
        database.family_named(META)?;
        Ok(database)
    }

    /// Opens the database in `dir` for reading. Nothing of it changes.
    pub(crate) fn open_to_read(dir: &Path) -> Result<Self, ReplicaError> {
        let cache = Cache::new_lru_cache(ONE_LOOK_CACHE);
        let names = Table::ALL.iter().map(|table| table.as_str()).chain([META]);
        let families = names.map(|name| ColumnFamilyDescriptor::new(name, table_options(&cache)));
        let mut options = Options::default();
        options.set_max_open_files(256);
        let db = DB::open_cf_descriptors_read_only(&options, dir, families, false)
            .map_err(|source| ReplicaError::Database { action: "open a checkpoint", source })?;
        Ok(Self { db, cache, files: Files { dir: dir.to_owned(), retired: AtomicBool::new(false) } })
    }

    /// The mark of the database in `dir`, of which nothing changes.
    pub(crate) fn mark_in(dir: &Path) -> Result<Option<Vec<u8>>, ReplicaError> {
        let failed = |source| ReplicaError::Database { action: "open a checkpoint", source };
        let meta = [ColumnFamilyDescriptor::new(META, Options::default())];
        let db = DB::open_cf_descriptors_read_only(&Options::default(), dir, meta, false).map_err(failed)?;
        let family = db.cf_handle(META).ok_or(ReplicaError::MissingTable { name: META })?;
        db.get_cf(family, MARK).map_err(failed)
    }

    /// Has the directory removed as soon as nobody reads the database any more. RocksDB opens its files when it needs them, so
    /// to remove them under a reader would fail the read.
    pub(crate) fn retire(&self) {
        self.files.retired.store(true, Ordering::Release);
    }

    /// Writes rows and the mark together.
    pub(crate) fn write(
        &self,
        rows: impl IntoIterator<Item = ((Table, Vec<u8>), Option<Vec<u8>>)>,
        mark: &[u8],
    ) -> Result<(), ReplicaError> {
        let mut batch = rocksdb::WriteBatch::default();
        for ((table, key), value) in rows {
            let family = self.family_named(table.as_str())?;
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        batch.put_cf(self.family_named(META)?, MARK, mark);
        let mut options = WriteOptions::default();
        // The rows of a table come in the order of their keys, so the place of one is near that of the one before.
        options.set_memtable_insert_hint_per_batch(true);
        self.db.write_opt(batch, &options).map_err(|source| ReplicaError::Database { action: "write", source })
    }

    pub(crate) fn mark(&self) -> Result<Option<Vec<u8>>, ReplicaError> {
        self.db.get_cf(self.family_named(META)?, MARK).map_err(|source| ReplicaError::Database { action: "read its mark", source })
    }

    pub(crate) fn sync(&self) -> Result<(), ReplicaError> {
        self.db.flush_wal(true).map_err(|source| ReplicaError::Database { action: "sync", source })
    }

    pub(crate) fn memory(&self) -> Result<StateMemory, ReplicaError> {
        let used = get_memory_usage_stats(Some(&[&self.db]), Some(&[&self.cache]))
            .map_err(|source| ReplicaError::Database { action: "add up its memory", source })?;
        // Room for what is not in a file yet is taken out of the cache.
        let blocks = used.cache_total.saturating_sub(used.mem_table_total) + used.mem_table_readers_total;
        Ok(StateMemory { unwritten: used.mem_table_total, blocks })
    }

    pub(crate) fn checkpoint(&self, dir: &Path) -> Result<(), ReplicaError> {
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
            .map_err(|source| ReplicaError::Database { action: "make a checkpoint", source })
    }

    /// A view of one moment, for as long as `read` runs.
    pub(crate) fn at_one_moment<T>(&self, read: impl FnOnce(&Moment<'_>) -> T) -> T {
        read(&Moment { database: self, snapshot: self.db.snapshot() })
    }

    fn family_named(&self, name: &'static str) -> Result<&ColumnFamily, ReplicaError> {
        self.db.cf_handle(name).ok_or(ReplicaError::MissingTable { name })
    }

    fn family(&self, table: Table) -> Result<&ColumnFamily, TableError> {
        self.family_named(table.as_str()).map_err(|source| storage(table, source))
    }

    fn scan_with(&self, mut options: ReadOptions, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        if let Some(end) = successor(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let start = from.max(prefix);
        self.db
            .iterator_cf_opt(self.family(table)?, options, IteratorMode::From(start, Direction::Forward))
            .take(limit)
            .map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())).map_err(|source| storage(table, source)))
            .collect()
    }
}

/// The directory of a database.
struct Files {
    dir: PathBuf,
    retired: AtomicBool,
}

impl Drop for Files {
    fn drop(&mut self) {
        if !self.retired.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(path = %self.dir.display(), %error, "cannot remove a replaced state; the next start will");
        }
    }
}

impl ReadTables for Database {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.db.get_cf(self.family(table)?, key).map_err(|source| storage(table, source))
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        self.scan_with(ReadOptions::default(), table, prefix, from, limit)
    }
}

/// The database as it was at one moment.
pub(crate) struct Moment<'a> {
    database: &'a Database,
    snapshot: rocksdb::Snapshot<'a>,
}

impl Moment<'_> {
    pub(crate) fn mark(&self) -> Result<Option<Vec<u8>>, ReplicaError> {
        self.snapshot
            .get_cf(self.database.family_named(META)?, MARK)
            .map_err(|source| ReplicaError::Database { action: "read its mark", source })
    }
}

impl ReadTables for Moment<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.snapshot.get_cf(self.database.family(table)?, key).map_err(|source| storage(table, source))
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        self.database.scan_with(options, table, prefix, from, limit)
    }
}

fn table_options(cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In small parts. Those of a large file, in one piece, can be larger than a shard of the cache, and would be read anew each time.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(4 << 10);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(8 << 20);
    options
}

fn storage(table: Table, source: impl std::error::Error + Send + Sync + 'static) -> TableError {
    TableError::Storage { table, source: Box::new(source) }
}

/// The smallest key that is greater than every key with this prefix; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
