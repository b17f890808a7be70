//! The evicting store of cached entries: a memory tier and a disk tier behind one handle.
//!
//! An entry is up to 1 MiB of bytes (and some KiB for what the caller puts before them) under a key of 128 bits, with the revision that it was
//! made under. What an entry means is the caller's matter: this store knows nothing of HTTP, of zones, or of freshness. It is not
//! [`crate::BlobStore`]: it may lose anything at any time, and must only never give back anything else than what was put.
//!
//! # On disk
//!
//! ```text
//! <dir>/index/                     RocksDB: key -> where the record lies; totals
//! <dir>/segments/new-<id>.slab     records one after the other: the probationary log
//! <dir>/segments/kept-<id>.slab    records one after the other: the main log
//! ```
//!
//! A record is a header (magic, length, key, fill, CRC32C over all of it) and the bytes. Segments are only ever appended to, by one thread, and
//! go as a whole. Their numbers are never used again, so a place that the index names can be gone, but never be another's.
//!
//! # Eviction
//!
//! S3-FIFO over segments. What is new goes to the probationary log. When the disk is full and that log is more than a tenth of it, its oldest
//! segment goes: entries that were asked for since they came move to the main log, the others leave a fingerprint in a ghost table. What is put
//! again while its fingerprint is there goes to the main log at once. The oldest segment of the main log goes in the same way, but at most half of
//! it, what was hit most, is written again: so each byte put is written at most about three times (once, once for the move, and once for each
//! reinsertion, which has to be earned by a further hit), and a scan of objects that are asked for once passes through the probationary log
//! without touching the main one. Hits are counted in a table by hash, in memory, for both tiers alike.
//!
//! # Invariants
//!
//! 1. **What comes back is what was put last, or nothing.** While the process lives, after kill -9, after an orderly stop.
//! 2. **Nothing that is read from the disk is handed out unverified**: key, fill and bytes against the record's CRC32C, and that against the index.
//!    Damage is a miss; it is counted and the entry dropped.
//! 3. **A removed entry does not come back** once [`Cached::remove`] returned: not in this process, and not after kill -9.
//! 4. **An overwritten entry does not come back** once the new one was readable. So a new entry whose key may be on disk becomes readable only after
//!    the old one was struck out of the index; [`Cached::get`] waits for that moment, [`Cached::in_memory`] does not.
//! 5. **The index never names bytes that were not written**: data first, then the index. What a crash leaves behind the last indexed record of a
//!    segment is not looked at, and segments of an earlier run are never appended to.
//! 6. **The disk tier takes at most `disk_bytes`** in segments (and the index beside it, about 45 bytes an entry), the memory tier at most
//!    `memory_bytes`, the queue between them `queue_bytes`.
//! 7. **No failure of the disk is an error of a reader or of `put`**, and none stops the process: what cannot be written is dropped and counted, what
//!    cannot be read is a miss, and writing goes on once it works again.
//! 8. **No fsync on the way of a hit or a fill**, no file I/O on a thread that polls futures, and no lock held over any I/O.
//!
//! # What a power cut may do
//!
//! Nothing is synced, so after a power cut (or a crash of the kernel) the index may be at an earlier state than it was, by what the kernel had not
//! written yet: typically seconds. Records whose bytes did not reach the disk fail their checksum and are misses. An entry that was removed or
//! overwritten in those seconds may be there again, as it was. For purges that is harmless, because a purge is not a removal: it is a revision in the
//! replicated state, and an entry whose fill is below the newest purge that matches it is refused by the caller whatever the disk says. For
//! an overwritten entry it means an older response within its own lifetime, as any cache may hold it. Damage to the index's own log can do the same.
//!
//! # Threads
//!
//! One thread does all that changes the disk: it strikes, writes and evicts, in small steps, so that nobody else needs a lock or has to wait for
//! more than a step. Reads run on tokio's blocking pool, at most `readers` at a time.

mod absent;
mod counters;
mod disk;
mod entry;
mod evict;
mod ghost;
mod handle;
mod hands;
mod hits;
mod index;
mod jobs;
mod log;
mod memory;
mod peek;
mod pending;
mod record;
mod segment;
mod settings;
mod shared;
mod stripes;
#[cfg(test)]
mod tests;
mod writer;

pub use self::counters::CachedFigures;
pub use self::entry::{Entry, EntryKey, MAX_ENTRY_BYTES};
pub use self::handle::{Cached, Glance};
pub use self::peek::Tier;
pub use self::settings::CachedSettings;
