//! The snapshots of this node: the current one, those somebody still reads, and what is being received.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ncore_throttle::Throttle;
use parking_lot::Mutex;

use super::{
    disk::{self, DiskError},
    manifest::{self, FileDigest},
    received::{self, ReceivedSnapshot},
    stored::{DATA, Description, StoredSnapshot},
};
use crate::{
    fatal::{FatalCell, FatalReason},
    types::SnapshotMeta,
};

/// Directories `snap` and `incoming`. One for a node; shared by all that build, send and receive snapshots.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    snap: PathBuf,
    incoming: PathBuf,
    fatal: FatalCell,
    held: Mutex<Held>,
    /// Bytes of snapshot files given to the network since the start.
    sent: AtomicU64,
    /// What bounds them, over all that are being sent.
    throttle: Throttle,
}

#[derive(Debug, Default)]
struct Held {
    current: Option<Arc<StoredSnapshot>>,
    /// Replaced, but perhaps still being sent.
    retired: Vec<Arc<StoredSnapshot>>,
}

impl SnapshotStore {
    /// Opens the snapshots below `dir`, removing what a crash left half-built. Blocking.
    pub(crate) fn open(dir: &Path, fatal: FatalCell, rate_bytes_s: u64) -> Result<Self, FatalReason> {
        let (snap, incoming) = (dir.join("snap"), dir.join("incoming"));
        disk::create_dir(&snap)?;
        disk::create_dir(&incoming)?;
        disk::sync(dir)?;
        let mut newest: Option<(u64, PathBuf)> = None;
        for path in disk::list(&snap)? {
            let index = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
            let surplus = match index {
                Some(index) if newest.as_ref().is_none_or(|(best, _)| *best < index) => newest.replace((index, path)).map(|(_, path)| path),
                _ => Some(path),
            };
            surplus.map_or(Ok(()), |path| disk::remove_dir(&path))?;
        }
        let current = newest.map(|(_, path)| StoredSnapshot::open(path).map(Arc::new)).transpose()?;
        let held = Mutex::new(Held { current, retired: Vec::new() });
        Ok(Self { snap, incoming, fatal, held, sent: AtomicU64::new(0), throttle: Throttle::new(rate_bytes_s) })
    }

    pub(crate) fn current(&self) -> Option<Arc<StoredSnapshot>> {
        self.held.lock().current.clone()
    }

    /// A snapshot that is current, or was and is still read by somebody.
    pub(crate) fn by_reference(&self, reference: &str) -> Option<Arc<StoredSnapshot>> {
        let held = self.held.lock();
        held.current.iter().chain(&held.retired).find(|stored| stored.reference() == reference).cloned()
    }

    /// Waits until `bytes` may be sent.
    pub(crate) async fn may_send(&self, bytes: u64) {
        self.throttle.take(bytes).await;
    }

    pub(crate) fn count_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Builds a snapshot with `checkpoint`, which writes a directory and says where in the log it stands. Blocking.
    ///
    /// If the current snapshot stands at the same place or beyond, that one is returned and the new one discarded.
    pub(crate) fn build(&self, checkpoint: impl FnOnce(&Path) -> io::Result<SnapshotMeta>) -> io::Result<Arc<StoredSnapshot>> {
        let building = self.snap.join("new.tmp");
        let prepare = || {
            disk::remove_dir(&building)?;
            disk::create_dir(&building)
        };
        prepare().map_err(|error| self.failed(error))?;
        let meta = checkpoint(&building.join(DATA))?;
        let current = self.current();
        if let Some(current) = &current
            && current.meta().last_log_id >= meta.last_log_id
        {
            disk::remove_dir(&building).map_err(|error| self.failed(error))?;
            return Ok(Arc::clone(current));
        }
        self.finish(&building, meta, current.as_deref()).map_err(|error| self.failed(error))
    }

    /// Moves a received snapshot to the kept ones and makes it the current one. Blocking.
    pub(crate) fn keep(&self, received: ReceivedSnapshot) -> io::Result<Arc<StoredSnapshot>> {
        let settled = received.seal().and_then(|(path, description)| self.settle(&path, description));
        settled.map_err(|error| self.failed(error))
    }

    /// Begins or resumes receiving a snapshot, taking over files this node already has. Blocking.
    pub(crate) fn receive(&self, description: Description) -> Result<ReceivedSnapshot, DiskError> {
        let received = ReceivedSnapshot::open(&self.incoming, description)?;
        let given_up: Vec<PathBuf> = disk::list(&self.incoming)?.into_iter().filter(|path| path != received.path()).collect();
        let candidates = self.reusable(&given_up);
        for file in &received.description().files {
            if !received.has(file)
                && let Some(from) = candidates.get(&(file.size, file.hash))
            {
                received.reuse(file, from);
            }
        }
        disk::sync(&received.data_dir())?;
        given_up.iter().try_for_each(|path| disk::remove_dir(path))?;
        Ok(received)
    }

    /// Drops what was received but not installed. Blocking.
    pub(crate) fn discard(&self, reference: &str) -> Result<(), DiskError> {
        disk::remove_dir(&self.incoming.join(reference))
    }

    /// Removes replaced snapshots that nobody reads any more. What cannot be removed is tried again at the next start. Blocking.
    pub(crate) fn sweep(&self) {
        let unread: Vec<_> = self.held.lock().retired.extract_if(.., |stored| Arc::strong_count(stored) == 1).collect();
        for stored in unread {
            if let Err(error) = disk::remove_dir(stored.path()) {
                tracing::warn!(path = %error.path.display(), error = %error.source, "an old snapshot could not be removed");
            }
        }
    }

    fn finish(&self, building: &Path, meta: SnapshotMeta, previous: Option<&StoredSnapshot>) -> Result<Arc<StoredSnapshot>, DiskError> {
        let known = previous.map(|previous| (previous.data_dir(), previous.files()));
        let known = known.as_ref().map(|(dir, files)| (dir.as_path(), *files));
        let files = manifest::digest_dir(&building.join(DATA), known)?;
        let description = Description::new(meta, files);
        description.write_to(building)?;
        self.settle(building, description)
    }

    /// Gives a complete directory its final name and makes it the current snapshot.
    fn settle(&self, from: &Path, description: Description) -> Result<Arc<StoredSnapshot>, DiskError> {
        let index = description.meta.last_log_id.map_or(0, |last| last.index);
        let path = self.snap.join(format!("{index:020}"));
        disk::remove_dir(&path)?;
        disk::rename_dir(from, &path)?;
        let stored = Arc::new(StoredSnapshot::new(path, description));
        let mut held = self.held.lock();
        let replaced = held.current.replace(Arc::clone(&stored));
        held.retired.extend(replaced.filter(|replaced| replaced.path() != stored.path()));
        Ok(stored)
    }

    /// Files on this disk whose content is known, by size and hash.
    fn reusable(&self, given_up: &[PathBuf]) -> HashMap<(u64, blake3::Hash), PathBuf> {
        let kept = self.current().into_iter().flat_map(|stored| {
            let dir = stored.data_dir();
            stored.files().iter().map(|file| (dir.join(&file.name), file.clone())).collect::<Vec<(PathBuf, FileDigest)>>()
        });
        let left = given_up.iter().flat_map(|path| received::leftovers(path));
        kept.chain(left).map(|(path, file)| ((file.size, file.hash), path)).collect()
    }

    fn failed(&self, error: DiskError) -> io::Error {
        self.fatal.raise(error.into())
    }
}
