//! The handle of the store.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::counters::CachedFigures;
use super::disk::Disk;
use super::entry::{Entry, EntryKey};
use super::index::{Found, Index};
use super::peek::Tier;
use super::segment::Segments;
use super::settings::CachedSettings;
use super::shared::{Look, Newness, Parts, Removal, Shared};
use super::stripes::Strike;
use super::writer::{Ended, Writer};
use crate::error::StoreError;
use crate::offload::offload;

/// The evicting store. Cheap to clone; the last clone, as it goes, waits a while for the thread of the disk to end.
#[derive(Clone)]
pub struct Cached {
    shared: Arc<Shared>,
    readers: Arc<Semaphore>,
    ended: watch::Receiver<Ended>,
    _stop: Arc<Stop>,
}

/// What can be said of a key without waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glance {
    /// This is under it.
    Here(Entry),
    /// There is nothing under it.
    Absent,
    /// [`Cached::get`] knows: there may be something on disk, or something is about to become readable.
    Later,
}

/// Ends the thread with the last handle.
struct Stop {
    shared: Arc<Shared>,
    /// Its other half goes with the thread, after everything else of it.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Cached {
    /// Opens the store of a directory, or makes it. Takes no longer with more entries: neither segments nor index are read through. Damage is no
    /// error: a damaged index is thrown away, and the cache with it. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be made or read, or if another process has it.
    pub fn open(dir: &Path, settings: CachedSettings) -> Result<Self, StoreError> {
        let readers = Arc::new(Semaphore::new(settings.readers.max(1)));
        let (done, ended) = watch::channel(Ended::No);
        let (ending, gone) = mpsc::channel::<()>();
        let stop = |shared: &Arc<Shared>| Arc::new(Stop { shared: Arc::clone(shared), ended: Mutex::new(gone) });
        if settings.disk_bytes == 0 {
            done.send_replace(Ended::Yes);
            let shared = Arc::new(Shared::new(settings, None));
            return Ok(Self { _stop: stop(&shared), shared, readers, ended });
        }
        std::fs::create_dir_all(dir).map_err(StoreError::io("create the directory of the cache"))?;
        let (index, state) = Index::open(dir.join("index"))?;
        let (segments, mut found) = Segments::open(dir.join("segments"))?;
        if state == Found::Discarded {
            segments.clear();
            found.clear();
        }
        let totals = index.totals()?;
        let parts = Arc::new(Parts { index, segments });
        let shared = Arc::new(Shared::new(settings, Some(Arc::clone(&parts))));
        let disk = Disk::new(Arc::clone(&shared), parts, found, totals);
        let writer = Writer::new(Arc::clone(&shared), disk, done);
        let thread = std::thread::Builder::new().name("cached-disk".to_owned());
        let run = move || {
            writer.run();
            drop(ending);
        };
        thread.spawn(run).map_err(StoreError::io("start the thread of the cache"))?;
        Ok(Self { _stop: stop(&shared), shared, readers, ended })
    }

    /// What is under the key, verified: from memory, or from the disk. Damage and refusals of the disk are counted and are nothing found. Waits where
    /// a put over an older entry is about to become readable.
    ///
    /// Cancel-safe: a read that has begun completes, and may bring its entry into memory or not.
    ///
    /// # Errors
    /// [`StoreError::ShuttingDown`] if the runtime goes down.
    pub async fn get(&self, key: &EntryKey) -> Result<Option<Entry>, StoreError> {
        for _ in 0..LOOKS {
            if let Some(entry) = self.shared.at_hand(key) {
                return Ok(Some(entry));
            }
            match self.shared.look(key) {
                Look::Found(entry) => {
                    self.shared.counters.hits_memory.add(1);
                    return Ok(Some(entry));
                }
                Look::Absent => break,
                Look::Soon(struck) => {
                    // How it ended shows in the next look.
                    if tokio::time::timeout(STRIKE_WAIT, struck).await.is_err() {
                        break;
                    }
                }
                Look::OnDisk { epoch } => return self.read(*key, epoch).await,
            }
        }
        self.shared.counters.misses.add(1);
        Ok(None)
    }

    /// What can be said of a key without waiting, as [`Cached::get`] would say it.
    #[must_use]
    pub fn glance(&self, key: &EntryKey) -> Glance {
        let glance = self.shared.glance(key);
        if glance == Glance::Absent {
            self.shared.counters.misses.add(1);
        }
        glance
    }

    /// The content of an entry that was in memory under the key, where the kernel can send it from as it lies ([`ncore_pages`]). It is there from
    /// now on for whoever finds the entry in memory; where it cannot be, it is as it was.
    #[must_use]
    pub fn in_pages(&self, key: &EntryKey, bytes: Bytes) -> Bytes {
        self.shared.in_pages(key, bytes)
    }

    /// What is under the key, if that can be said without touching the disk.
    #[must_use]
    pub fn in_memory(&self, key: &EntryKey) -> Option<Entry> {
        self.shared.at_hand(key)
    }

    /// Puts an entry under a key, in place of any that is there. It is in memory at once, unless an older one may be on disk: then it is
    /// once that one is struck out, for which [`Cached::get`] waits. It gets to the disk in the background, or not, which is
    /// counted. Never blocks.
    pub fn put(&self, key: EntryKey, entry: Entry) {
        self.shared.put(key, entry, Newness::Unknown);
    }

    /// The same for a key under which nothing was ever put, which is then not looked for on the disk. If something was, that may be found again.
    pub fn put_new(&self, key: EntryKey, entry: Entry) {
        self.shared.put(key, entry, Newness::New);
    }

    /// Removes what is under the key. When this returns `Ok`, neither a lookup nor a restart after kill -9 brings it back.
    ///
    /// Cancel-safe: the removal goes on.
    ///
    /// # Errors
    /// [`StoreError::NotStruck`] if the index cannot be written: then no lookup brings it back, but a restart might. It is
    /// tried again as long as the process lives. [`StoreError::ShuttingDown`] after the end.
    pub async fn remove(&self, key: &EntryKey) -> Result<(), StoreError> {
        match self.shared.remove(key) {
            Removal::Done => Ok(()),
            Removal::Refused => Err(StoreError::NotStruck),
            Removal::Struck(struck) => match struck.await {
                Ok(Strike::Done) => Ok(()),
                Ok(Strike::Failed) => Err(StoreError::NotStruck),
                Err(_) => Err(StoreError::ShuttingDown),
            },
        }
    }

    /// What is under the key, and where, without a trace of the look: see [`Tier`].
    ///
    /// # Errors
    /// [`StoreError::ShuttingDown`].
    pub async fn peek(&self, key: EntryKey) -> Result<Option<(Tier, Entry)>, StoreError> {
        self.aside(move |shared| shared.peek(&key)).await
    }

    /// Where the entries under these keys are, without a trace of the look. What is on disk is not read.
    ///
    /// # Errors
    /// [`StoreError::ShuttingDown`].
    pub async fn tiers(&self, keys: Vec<EntryKey>) -> Result<Vec<Option<Tier>>, StoreError> {
        self.aside(move |shared| keys.iter().map(|key| shared.tier(key)).collect()).await
    }

    /// Looks, in turn with those who read.
    async fn aside<R: Send + 'static>(&self, look: impl FnOnce(&Shared) -> R + Send + 'static) -> Result<R, StoreError> {
        let turn = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| StoreError::ShuttingDown)?;
        let shared = Arc::clone(&self.shared);
        let looked = offload(move || {
            let found = look(&shared);
            drop(turn);
            found
        });
        Ok(looked.await?)
    }

    /// Figures as of now.
    #[must_use]
    pub fn figures(&self) -> CachedFigures {
        let (memory_entries, memory_bytes) = self.shared.memory.held();
        let queued_bytes = self.shared.stripes.queued_bytes();
        CachedFigures { memory_entries, memory_bytes, queued_bytes, ..self.shared.counters.figures() }
    }

    /// Writes what waits in the queue, and lets go of all files. What comes after is neither kept nor read from the disk.
    pub async fn close(&self) {
        self.shared.jobs.close();
        let mut ended = self.ended.clone();
        // A thread that died has let go of the files as well.
        let _ = ended.wait_for(|ended| *ended == Ended::Yes).await;
    }

    async fn read(&self, key: EntryKey, epoch: u64) -> Result<Option<Entry>, StoreError> {
        let turn = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| StoreError::ShuttingDown)?;
        let shared = Arc::clone(&self.shared);
        let read = offload(move || {
            let found = shared.read(&key).map(|entry| shared.promote(&key, epoch, entry));
            drop(turn);
            found
        });
        let found = read.await?;
        match &found {
            Some(_) => {
                self.shared.hits.count(&key);
                self.shared.counters.hits_disk.add(1);
            }
            None => self.shared.counters.misses.add(1),
        }
        Ok(found)
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Drop for Stop {
    /// A process must not end while RocksDB works: its mutexes are destroyed then, and it aborts.
    fn drop(&mut self) {
        self.shared.jobs.close();
        // Nothing is ever sent. A disk that hangs is left alone.
        let _ = self.ended.lock().recv_timeout(LETS_GO_WITHIN);
    }
}

/// How long the last handle waits for the thread to write what it has, and to end.
const LETS_GO_WITHIN: Duration = Duration::from_secs(5);
/// Looks that one `get` takes, each after the entry became readable and was replaced again meanwhile.
const LOOKS: usize = 4;
/// How long a lookup waits for the strike of a predecessor before it is a miss. Strikes take less than a millisecond, unless the disk hangs.
const STRIKE_WAIT: Duration = Duration::from_millis(250);
