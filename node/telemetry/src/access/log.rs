//! The log of a node.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::{
    counts::{Counts, PublicCount},
    file::AccessFile,
    inbox::Inbox,
    kept::{Followed, Kept, Overtaken},
    query::AccessQuery,
    record::AccessRecord,
};

/// The access log of a node. By default it keeps nothing but counts.
#[derive(Debug)]
pub struct AccessLog {
    inbox: Inbox,
    kept: Kept,
    counts: Counts,
    newest: watch::Sender<u64>,
    taken: AtomicU64,
    file_errors: AtomicU64,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self::new(0)
    }
}

impl AccessLog {
    /// A log that keeps the newest `keep` records. It is empty until an [`AccessWriter`](super::AccessWriter) works for it.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        let (newest, _) = watch::channel(0);
        Self {
            inbox: Inbox::default(),
            kept: Kept::new(keep),
            counts: Counts::default(),
            newest,
            taken: AtomicU64::new(0),
            file_errors: AtomicU64::new(0),
        }
    }

    /// Adds the record of a request whose answer has ended. It never waits: too many at once, and the oldest are dropped.
    pub fn record(&self, record: AccessRecord) {
        self.inbox.push(record);
    }

    /// The newest records that are wanted, the newest first. `node` is the id of this node.
    #[must_use]
    pub fn find(&self, query: &AccessQuery, node: u64, max: usize) -> Vec<AccessRecord> {
        self.kept.find(query, node, max)
    }

    /// What is wanted of the records after the one with this number; with a number from [`newest`](Self::newest) a follower begins.
    ///
    /// # Errors
    /// [`Overtaken`].
    pub fn since(&self, after: u64, query: &AccessQuery, node: u64) -> Result<Followed, Overtaken> {
        self.kept.since(after, query, node)
    }

    /// The number of the newest record.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.kept.newest()
    }

    /// When the oldest record that is kept ended, in microseconds of the Unix epoch.
    #[must_use]
    pub fn oldest_us(&self) -> Option<u64> {
        self.kept.oldest_us()
    }

    /// The number of the newest record, whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// What anybody may see: the newest counts, the newest first.
    #[must_use]
    pub fn public(&self, max: usize) -> Vec<PublicCount> {
        self.counts.newest(max)
    }

    /// How many records came so far as to be kept.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many were dropped because too many came at once.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inbox.dropped()
    }

    /// How often the file could not be written.
    #[must_use]
    pub fn file_errors(&self) -> u64 {
        self.file_errors.load(Ordering::Relaxed)
    }

    /// From now on this thread is the one that [collects](Self::collect): it is unparked when there is much to do.
    pub(super) fn collected_by_this_thread(&self) {
        self.inbox.taken_by_this_thread();
    }

    /// Takes what has come, to where it belongs. `batch` is empty before and afterwards, and keeps its memory.
    pub(super) fn collect(&self, batch: &mut Vec<AccessRecord>, file: Option<&mut AccessFile>) {
        self.inbox.take(batch);
        if batch.is_empty() {
            return;
        }
        if let Some(file) = file
            && let Err(error) = file.write(batch)
            && self.file_errors.fetch_add(1, Ordering::Relaxed) == 0
        {
            // Said once: the figure says how often.
            tracing::error!(%error, "the access log cannot be written");
        }
        self.counts.add(batch);
        self.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let newest = self.kept.extend(batch.drain(..));
        self.newest.send_replace(newest);
    }
}
