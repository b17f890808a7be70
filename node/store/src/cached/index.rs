//! Which record is an entry's: a RocksDB of its own.
//!
//! ```text
//! "l"          layout of the directory, u32
//! "t"          totals: entries u64, bytes u64, next segment u32
//! "e" key      segment u32, offset u32, length u32, CRC32C u32, fill u64
//! ```
//!
//! Why RocksDB and not a table in memory: that costs 40 to 80 bytes an entry in memory for ever, and a scan at each start. Here an entry costs 45
//! bytes on disk and about 10 bits of filter. Memory is bounded: 8 MiB of write buffers and 8 MiB of blocks, filters and block indexes included.
//!
//! Written by one thread, without sync: what was written outlives the process, not the machine. One who wants to know whether a key can be
//! there at all asks [`Index::may_exist`], which reads nothing from the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, Direction, ErrorKind, IteratorMode, LogLevel, Options,
    ReadOptions, WriteBatch,
};

use super::entry::EntryKey;
use super::record::Location;
use crate::error::{RecordError, StoreError};

/// The places of all entries.
pub(super) struct Index {
    path: PathBuf,
    cache: Cache,
    /// Empty while it is being opened anew, and after it was closed.
    db: RwLock<Option<Arc<DB>>>,
    #[cfg(test)]
    pub(super) broken: std::sync::atomic::AtomicBool,
}

/// What is in the index, kept with each change of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) entries: u64,
    /// Bytes of the entries, without headers.
    pub(super) bytes: u64,
    /// The number of the next segment: none that the index names is as high.
    pub(super) next_segment: u32,
}

/// Changes that happen together or not at all.
pub(super) struct Changes {
    batch: WriteBatch,
    totals: Totals,
}

/// Whether the index was as it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there, or there never was one.
    Whole,
    /// It was damaged, or of another layout, and was thrown away. No segment is of any use.
    Discarded,
}

impl Index {
    /// Opens or makes the index. A damaged one is replaced by an empty one. Blocks.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Found), StoreError> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let (db, found) = match open(&path, &cache) {
            Ok(db) => (db, Found::Whole),
            Err(Refused::Useless(why)) => {
                // Only whoever holds its lock gets to know that it is damaged, so it is nobody else's.
                tracing::warn!(why, "the index of the cache is of no use, the cache starts empty");
                std::fs::remove_dir_all(&path).map_err(StoreError::io("remove the index of the cache"))?;
                (open(&path, &cache).map_err(Refused::into_error)?, Found::Discarded)
            }
            Err(refused) => return Err(refused.into_error()),
        };
        let index = Self {
            path,
            cache,
            db: RwLock::new(Some(Arc::new(db))),
            #[cfg(test)]
            broken: std::sync::atomic::AtomicBool::new(false),
        };
        Ok((index, found))
    }

    /// False only if the key is not there. Reads nothing from the disk.
    pub(super) fn may_exist(&self, key: &EntryKey) -> bool {
        self.db().is_none_or(|db| db.key_may_exist(entry_key(key)))
    }

    /// Where the entry lies. Blocks.
    pub(super) fn get(&self, key: &EntryKey) -> Result<Option<Location>, StoreError> {
        let Some(db) = self.db() else { return Ok(None) };
        let value = db.get_pinned(entry_key(key)).map_err(failed("read"))?;
        value.map(|value| location(&value).ok_or(MALFORMED)).transpose()
    }

    /// What is in it, as of the last change. Blocks.
    pub(super) fn totals(&self) -> Result<Totals, StoreError> {
        let Some(db) = self.db() else { return Ok(Totals::default()) };
        let value = db.get_pinned(TOTALS_KEY).map_err(failed("read"))?;
        value.map_or(Ok(Totals::default()), |value| totals(&value).ok_or(MALFORMED))
    }

    /// Makes changes, and gives the totals after them. When it fails, they may be there or not after it was opened anew, which has to
    /// happen before anything else is written. Blocks.
    pub(super) fn commit(&self, mut changes: Changes) -> Result<Totals, StoreError> {
        #[cfg(test)]
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(broken_by_a_test());
        }
        let db = self.db().ok_or(StoreError::ShuttingDown)?;
        changes.batch.put(TOTALS_KEY, encode_totals(&changes.totals));
        db.write(changes.batch).map_err(failed("write"))?;
        Ok(changes.totals)
    }

    /// What a write has left behind of which that is seen only once the index was opened anew.
    #[cfg(test)]
    pub(super) fn bring_back(&self, key: &EntryKey, location: &Location) -> Result<(), StoreError> {
        let db = self.db().ok_or(StoreError::ShuttingDown)?;
        db.put(entry_key(key), encode_location(location)).map_err(failed("write"))
    }

    /// Forgets all entries. The number of the next segment stays. Blocks.
    pub(super) fn clear(&self, next_segment: u32) -> Result<Totals, StoreError> {
        let mut changes = Changes { batch: WriteBatch::default(), totals: Totals { next_segment, ..Totals::default() } };
        changes.batch.delete_range([ENTRY].as_slice(), [ENTRY + 1].as_slice());
        self.commit(changes)
    }

    /// Up to `limit` entries in the order of their keys, after the given one. Blocks.
    pub(super) fn entries(&self, after: Option<&EntryKey>, limit: usize) -> Result<Vec<(EntryKey, Location)>, StoreError> {
        let Some(db) = self.db() else { return Ok(Vec::new()) };
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound([ENTRY + 1]);
        read.fill_cache(false);
        let start = after.map_or_else(|| vec![ENTRY], |after| [entry_key(after).as_slice(), &[0]].concat());
        let rows = db.iterator_opt(IteratorMode::From(&start, Direction::Forward), read).take(limit);
        rows.map(|row| {
            let (key, value) = row.map_err(failed("read"))?;
            let key = key.get(1..).and_then(|key| key.try_into().ok()).map(EntryKey::from_bytes);
            key.zip(location(&value)).ok_or(MALFORMED)
        })
        .collect()
    }

    /// Opens it anew, as has to be done after a write failed: RocksDB refuses all others then. Readers find nothing meanwhile. Blocks, up to a
    /// second for readers to be done.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(broken_by_a_test());
        }
        self.close();
        let db = open(&self.path, &self.cache).map_err(Refused::into_error)?;
        *self.db.write() = Some(Arc::new(db));
        Ok(())
    }

    /// Lets go of it. Blocks, up to a second for readers to be done.
    pub(super) fn close(&self) {
        let Some(mut db) = self.db.write().take() else { return };
        let until = Instant::now() + READERS_GONE;
        while let Err(shared) = Arc::try_unwrap(db) {
            if Instant::now() > until {
                // Opening fails as long as a reader holds it, and is tried again.
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
            db = shared;
        }
    }

    fn db(&self) -> Option<Arc<DB>> {
        self.db.read().clone()
    }
}

impl Changes {
    pub(super) fn to(totals: Totals) -> Self {
        Self { batch: WriteBatch::default(), totals }
    }

    /// Adds an entry that is not there.
    pub(super) fn add(&mut self, key: &EntryKey, location: &Location) {
        self.totals.entries += 1;
        self.totals.bytes += u64::from(location.len);
        self.batch.put(entry_key(key), encode_location(location));
    }

    /// Moves an entry that is there.
    pub(super) fn relocate(&mut self, key: &EntryKey, location: &Location) {
        self.batch.put(entry_key(key), encode_location(location));
    }

    /// Strikes out an entry that lies at a place.
    pub(super) fn strike(&mut self, key: &EntryKey, location: &Location) {
        self.totals.entries = self.totals.entries.saturating_sub(1);
        self.totals.bytes = self.totals.bytes.saturating_sub(location.len.into());
        self.batch.delete(entry_key(key));
    }

    /// Strikes out whatever is there, if it cannot be read.
    pub(super) fn strike_unread(&mut self, key: &EntryKey) {
        self.batch.delete(entry_key(key));
    }

    pub(super) fn set_next_segment(&mut self, next: u32) {
        self.totals.next_segment = next;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }
}

/// Why the index did not open.
enum Refused {
    /// Its content is of no use to this version.
    Useless(&'static str),
    /// The operating system or another process does not let it.
    Failed(rocksdb::Error),
}

impl Refused {
    fn into_error(self) -> StoreError {
        match self {
            Self::Useless(_) => MALFORMED,
            Self::Failed(error) => failed("open")(error),
        }
    }
}

fn open(path: &Path, cache: &Cache) -> Result<DB, Refused> {
    let refused = |error: rocksdb::Error| match error.kind() {
        ErrorKind::Corruption => Refused::Useless("damaged"),
        _ => Refused::Failed(error),
    };
    let db = DB::open(&options(cache), path).map_err(refused)?;
    match db.get_pinned(LAYOUT_KEY).map_err(refused)? {
        None => db.put(LAYOUT_KEY, LAYOUT.to_le_bytes()).map_err(refused)?,
        Some(found) if *found == LAYOUT.to_le_bytes() => {}
        Some(_) => return Err(Refused::Useless("of another layout")),
    }
    Ok(db)
}

const LAYOUT: u32 = 1;
const LAYOUT_KEY: &[u8] = b"l";
const TOTALS_KEY: &[u8] = b"t";
const ENTRY: u8 = b'e';
const WRITE_BUFFER_BYTES: usize = 4 << 20;
/// What a filter of it takes beside it: 20 bits for each of the 40 000 entries that it holds.
const WRITE_BUFFER_FILTER: f64 = 0.025;
const BLOCK_CACHE_BYTES: usize = 8 << 20;
const READERS_GONE: Duration = Duration::from_secs(1);
const MALFORMED: StoreError = StoreError::Record(RecordError::Length { found: 0 });

fn options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In small parts: those of a large file, in one piece, can be larger than a shard of the cache.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 << 10);
    table.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    // Keys are random and places nearly so: nothing would be gained.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    // Most keys that are looked for are not there: what was written last says so without a walk through it.
    options.set_memtable_prefix_bloom_ratio(WRITE_BUFFER_FILTER);
    options.set_memtable_whole_key_filtering(true);
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

#[cfg(test)]
fn broken_by_a_test() -> StoreError {
    StoreError::Io { op: "write the index", source: std::io::Error::other("broken by a test") }
}

fn entry_key(key: &EntryKey) -> [u8; 17] {
    let mut bytes = [ENTRY; 17];
    bytes[1..].copy_from_slice(key.as_bytes());
    bytes
}

fn encode_location(location: &Location) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (place, number) in bytes.chunks_exact_mut(4).zip([location.segment, location.offset, location.len, location.crc]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes[16..].copy_from_slice(&location.fill.to_le_bytes());
    bytes
}

fn location(bytes: &[u8]) -> Option<Location> {
    let bytes: &[u8; 24] = bytes.try_into().ok()?;
    let number = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).ok();
    Some(Location {
        segment: number(0)?,
        offset: number(4)?,
        len: number(8)?,
        crc: number(12)?,
        fill: u64::from_le_bytes(bytes[16..].try_into().ok()?),
    })
}

fn encode_totals(totals: &Totals) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&totals.entries.to_le_bytes());
    bytes[8..16].copy_from_slice(&totals.bytes.to_le_bytes());
    bytes[16..].copy_from_slice(&totals.next_segment.to_le_bytes());
    bytes
}

fn totals(bytes: &[u8]) -> Option<Totals> {
    let bytes: &[u8; 20] = bytes.try_into().ok()?;
    Some(Totals {
        entries: u64::from_le_bytes(bytes[..8].try_into().ok()?),
        bytes: u64::from_le_bytes(bytes[8..16].try_into().ok()?),
        next_segment: u32::from_le_bytes(bytes[16..].try_into().ok()?),
    })
}
