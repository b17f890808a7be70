//! What the store knows about its blobs: a small RocksDB of records and pins.
//!
//! ```text
//! "l"                       layout of the directory, u32
//! "b" hash                  record of a blob
//! "p" hash pin(u128 BE)     record of a pin
//! "v" hash coding           record of a variant of the blob
//! "w" hash source coding    claim: the blob is this variant of that source
//! ```
//!
//! Memory is bounded: 8 MiB of write buffers and 8 MiB of block cache, in which the bloom filters
//! and block indexes lie as well. All functions block; a point lookup takes microseconds, a synced
//! write one fsync, which RocksDB shares among those who write at the same time.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, Direction, IteratorMode, LogLevel, Options, ReadOptions,
    WriteBatch, WriteOptions, perf::get_memory_usage_stats,
};

use crate::durable::Durability;
use crate::error::StoreError;
use crate::pin::PinId;
use crate::record::{BlobRecord, CLAIM_RECORD, PinRecord, VariantRecord};
use crate::variant::VariantKey;

/// The records of all blobs and pins.
pub(crate) struct Index {
    db: DB,
    cache: Cache,
    durability: Arc<Durability>,
}

/// A key and its value.
type Row = (Box<[u8]>, Box<[u8]>);

/// A set of changes that happen together or not at all.
#[derive(Default)]
pub(crate) struct Change {
    batch: WriteBatch,
}

impl Index {
    /// Opens or makes the index, and checks that its directory has a layout that is understood.
    pub(crate) fn open(path: &Path, durability: Arc<Durability>) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let db = DB::open(&options(&cache), path).map_err(failed("open"))?;
        let index = Self { db, cache, durability };
        index.check_layout()?;
        Ok(index)
    }

    fn check_layout(&self) -> Result<(), StoreError> {
        let found = self.db.get_pinned(LAYOUT_KEY).map_err(failed("read"))?;
        let Some(found) = found else {
            let mut change = Change::default();
            change.batch.put(LAYOUT_KEY, LAYOUT.to_le_bytes());
            return self.write(change);
        };
        let found = <[u8; 4]>::try_from(found.as_ref()).map_or(u32::MAX, u32::from_le_bytes);
        if found != LAYOUT {
            return Err(StoreError::Layout { found, supported: LAYOUT });
        }
        Ok(())
    }

    pub(crate) fn blob(&self, hash: &blake3::Hash) -> Result<Option<BlobRecord>, StoreError> {
        let key = blob_key(hash);
        let value = self.db.get_pinned(key).map_err(failed("read"))?;
        value.map(|value| BlobRecord::decode(&key, &value).map_err(StoreError::Record)).transpose()
    }

    pub(crate) fn pin(&self, hash: &blake3::Hash, pin: PinId) -> Result<Option<PinRecord>, StoreError> {
        let key = pin_key(hash, pin);
        let value = self.db.get_pinned(key).map_err(failed("read"))?;
        value.map(|value| PinRecord::decode(&key, &value).map_err(StoreError::Record)).transpose()
    }

    /// Whether any pin holds the blob.
    pub(crate) fn is_pinned(&self, hash: &blake3::Hash) -> Result<bool, StoreError> {
        self.is_any_between(&pin_key(hash, PinId(0)), &pin_key(hash, PinId(u128::MAX)))
    }

    /// Whether the blob is a variant of any source.
    pub(crate) fn is_variant(&self, hash: &blake3::Hash) -> Result<bool, StoreError> {
        let [first, last] = claims_between(hash);
        self.is_any_between(&first, &last)
    }

    fn is_any_between(&self, first: &[u8], last: &[u8]) -> Result<bool, StoreError> {
        match self.between(first, last).next() {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(failed("read")(error)),
        }
    }

    /// Up to `limit` records in the order of their hashes, after the given one.
    pub(crate) fn blobs(&self, after: Option<&blake3::Hash>, limit: usize) -> Result<Vec<(blake3::Hash, BlobRecord)>, StoreError> {
        let after = after.map(blob_key);
        self.scan(BLOB, after.as_ref().map(<[u8; 33]>::as_slice), limit, |key, value| {
            let hash = hash_in(key).ok_or(MALFORMED_KEY)?;
            Ok((hash, BlobRecord::decode(key, value)?))
        })
    }

    /// Up to `limit` pins in the order of their blobs and ids, after the given one.
    pub(crate) fn pins(
        &self,
        after: Option<(&blake3::Hash, PinId)>,
        limit: usize,
    ) -> Result<Vec<(blake3::Hash, PinId, PinRecord)>, StoreError> {
        let after = after.map(|(hash, pin)| pin_key(hash, pin));
        self.scan(PIN, after.as_ref().map(<[u8; 49]>::as_slice), limit, |key, value| {
            let hash = hash_in(key).ok_or(MALFORMED_KEY)?;
            let id = key.get(33..).and_then(|id| id.try_into().ok());
            let id = PinId(u128::from_be_bytes(id.ok_or(MALFORMED_KEY)?));
            Ok((hash, id, PinRecord::decode(key, value)?))
        })
    }

    pub(crate) fn variant(&self, key: &VariantKey) -> Result<Option<VariantRecord>, StoreError> {
        let key = variant_key(key);
        let value = self.db.get_pinned(key).map_err(failed("read"))?;
        value.map(|value| VariantRecord::decode(&key, &value).map_err(StoreError::Record)).transpose()
    }

    /// Up to `limit` variants in the order of their sources, after the given one.
    pub(crate) fn variants(&self, after: Option<&VariantKey>, limit: usize) -> Result<Vec<(VariantKey, VariantRecord)>, StoreError> {
        let after = after.map(variant_key);
        self.scan(VARIANT, after.as_ref().map(<[u8; 34]>::as_slice), limit, |key, value| {
            let source = hash_in(key).ok_or(MALFORMED_KEY)?;
            let coding = *key.get(33).ok_or(MALFORMED_KEY)?;
            Ok((VariantKey { source, coding }, VariantRecord::decode(key, value)?))
        })
    }

    /// The variants that there are of a source.
    pub(crate) fn variants_of(&self, source: &blake3::Hash) -> Result<Vec<VariantKey>, StoreError> {
        let key = |coding| variant_key(&VariantKey { source: *source, coding });
        self.keys_between(&key(0), &key(u8::MAX), |key| Some(VariantKey { source: *source, coding: *key.get(33)? }))
    }

    /// What the blob is a variant of, and which.
    pub(crate) fn claims_of(&self, hash: &blake3::Hash) -> Result<Vec<VariantKey>, StoreError> {
        let [first, last] = claims_between(hash);
        self.keys_between(&first, &last, |key| {
            let source: [u8; 32] = key.get(33..65)?.try_into().ok()?;
            Some(VariantKey { source: blake3::Hash::from_bytes(source), coding: *key.get(65)? })
        })
    }

    /// Reads the keys of a range that has few of them, both ends included.
    fn keys_between<R>(&self, first: &[u8], last: &[u8], read: impl Fn(&[u8]) -> Option<R>) -> Result<Vec<R>, StoreError> {
        let read = |entry: Result<Row, rocksdb::Error>| {
            let (key, _) = entry.map_err(failed("read"))?;
            read(&key).ok_or(StoreError::Record(MALFORMED_KEY))
        };
        self.between(first, last).map(read).collect()
    }

    fn between(&self, first: &[u8], last: &[u8]) -> impl Iterator<Item = Result<Row, rocksdb::Error>> {
        let mut read = ReadOptions::default();
        // The bound is exclusive; one more byte makes it include the last key.
        read.set_iterate_upper_bound([last, &[0]].concat());
        self.db.iterator_opt(IteratorMode::From(first, Direction::Forward), read)
    }

    /// Walks the keys of one kind. `after` is a key and is left out.
    fn scan<R>(
        &self,
        kind: u8,
        after: Option<&[u8]>,
        limit: usize,
        decode: impl Fn(&[u8], &[u8]) -> Result<R, crate::error::RecordError>,
    ) -> Result<Vec<R>, StoreError> {
        let start = after.map_or_else(|| vec![kind], |after| [after, &[0]].concat());
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound([kind + 1]);
        // A walk over everything is no reason to drop the blocks that lookups need.
        read.fill_cache(false);
        let mode = IteratorMode::From(&start, Direction::Forward);
        self.db
            .iterator_opt(mode, read)
            .take(limit)
            .map(|entry| {
                let (key, value) = entry.map_err(failed("read"))?;
                decode(&key, &value).map_err(StoreError::Record)
            })
            .collect()
    }

    /// Bytes of memory that records take which are in no file yet, and that parts of files take.
    pub(crate) fn memory(&self) -> Result<(u64, u64), StoreError> {
        let used = get_memory_usage_stats(Some(&[&self.db]), Some(&[&self.cache])).map_err(failed("add up the memory of"))?;
        Ok((used.mem_table_total, used.cache_total + used.mem_table_readers_total))
    }

    /// Makes a change durable. When this returns an error other than [`StoreError::Full`], the
    /// change may or may not be there after a restart, and the process must stop.
    pub(crate) fn write(&self, change: Change) -> Result<(), StoreError> {
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        self.write_with(change, &synced)?;
        #[cfg(test)]
        self.durability.synced.lock().push("index log");
        Ok(())
    }

    /// Makes a change that may be forgotten in a power cut, though not by a crash of the process.
    pub(crate) fn write_unsynced(&self, change: Change) -> Result<(), StoreError> {
        self.write_with(change, &WriteOptions::default())
    }

    fn write_with(&self, change: Change, options: &WriteOptions) -> Result<(), StoreError> {
        self.durability.guard()?;
        self.db.write_opt(change.batch, options).map_err(|error| {
            // RocksDB keeps no errno. It also refuses every write after one to its log has failed,
            // so that whatever is not a full disk means to start again.
            let text: &str = error.as_ref();
            if text.contains("No space left") || text.contains("quota exceeded") {
                return StoreError::Full;
            }
            self.durability.fail("index log", std::io::Error::other(error))
        })
    }
}

impl Change {
    pub(crate) fn put_blob(mut self, hash: &blake3::Hash, record: &BlobRecord) -> Self {
        let key = blob_key(hash);
        self.batch.put(key, record.encode(&key));
        self
    }

    pub(crate) fn delete_blob(mut self, hash: &blake3::Hash) -> Self {
        self.batch.delete(blob_key(hash));
        self
    }

    pub(crate) fn put_pin(mut self, hash: &blake3::Hash, pin: PinId, record: &PinRecord) -> Self {
        let key = pin_key(hash, pin);
        self.batch.put(key, record.encode(&key));
        self
    }

    pub(crate) fn put_variant(mut self, key: &VariantKey, record: &VariantRecord) -> Self {
        let key = variant_key(key);
        self.batch.put(key, record.encode(&key));
        self
    }

    pub(crate) fn delete_variant(mut self, key: &VariantKey) -> Self {
        self.batch.delete(variant_key(key));
        self
    }

    pub(crate) fn put_claim(mut self, hash: &blake3::Hash, key: &VariantKey) -> Self {
        self.batch.put(claim_key(hash, key), CLAIM_RECORD);
        self
    }

    pub(crate) fn delete_claim(mut self, hash: &blake3::Hash, key: &VariantKey) -> Self {
        self.batch.delete(claim_key(hash, key));
        self
    }

    pub(crate) fn delete_pin(mut self, hash: &blake3::Hash, pin: PinId) -> Self {
        self.batch.delete(pin_key(hash, pin));
        self
    }
}

const LAYOUT: u32 = 1;
const LAYOUT_KEY: &[u8] = b"l";
const BLOB: u8 = b'b';
const PIN: u8 = b'p';
const VARIANT: u8 = b'v';
const CLAIM: u8 = b'w';
const WRITE_BUFFER_BYTES: usize = 4 << 20;
const BLOCK_CACHE_BYTES: usize = 8 << 20;
const MALFORMED_KEY: crate::error::RecordError = crate::error::RecordError::Length { found: 0 };

fn options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In small parts. Those of a large file, in one piece, can be larger than a shard of the cache, and would be read anew each time.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 << 10);
    table.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(16 << 20);
    options.set_max_open_files(64);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options
}

fn failed(op: &'static str) -> impl FnOnce(rocksdb::Error) -> StoreError {
    move |source| StoreError::Index { op, source }
}

fn blob_key(hash: &blake3::Hash) -> [u8; 33] {
    let mut key = [BLOB; 33];
    key[1..].copy_from_slice(hash.as_bytes());
    key
}

fn pin_key(hash: &blake3::Hash, pin: PinId) -> [u8; 49] {
    let mut key = [PIN; 49];
    key[1..33].copy_from_slice(hash.as_bytes());
    key[33..].copy_from_slice(&pin.0.to_be_bytes());
    key
}

fn variant_key(key: &VariantKey) -> [u8; 34] {
    let mut bytes = [VARIANT; 34];
    bytes[1..33].copy_from_slice(key.source.as_bytes());
    bytes[33] = key.coding;
    bytes
}

fn claim_key(hash: &blake3::Hash, key: &VariantKey) -> [u8; 66] {
    let mut bytes = [CLAIM; 66];
    bytes[1..33].copy_from_slice(hash.as_bytes());
    bytes[33..65].copy_from_slice(key.source.as_bytes());
    bytes[65] = key.coding;
    bytes
}

/// The first and the last claim that there can be on a blob.
fn claims_between(hash: &blake3::Hash) -> [[u8; 66]; 2] {
    [0, u8::MAX].map(|byte| claim_key(hash, &VariantKey { source: blake3::Hash::from_bytes([byte; 32]), coding: byte }))
}

fn hash_in(key: &[u8]) -> Option<blake3::Hash> {
    let hash: [u8; 32] = key.get(1..33)?.try_into().ok()?;
    Some(blake3::Hash::from_bytes(hash))
}
