//! The replica itself: apply, read, announce, checkpoint, install.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use ncore_model::{
    Applied, BeginLineage, Begun, ClusterState, NotBegun, Proposal, Query, ReadTables, Revision, Row, Table, TableError, apply,
    begin_lineage, decode,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    database::{Database, StateMemory},
    directory::{Directory, Present},
    error::ReplicaError,
    observer::{Change, Observer},
    overlay::{Looks, Overlay},
    view::View,
};

/// An entry of the log.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its index.
    pub index: u64,
    /// The record of a [`Proposal`]; `None` for an entry that is Raft's own.
    pub proposal: Option<&'a [u8]>,
}

/// The state on this machine. All calls block for as long as the disk needs.
pub struct Replica {
    directory: Directory,
    database: ArcSwap<Database>,
    /// Held while a batch is applied or a checkpoint installed: there is one writer. It keeps what it read and did not change.
    writing: Mutex<Looks>,
    revision: watch::Sender<Revision>,
    observers: Mutex<Vec<Arc<dyn Observer>>>,
    syncs: AtomicU64,
}

impl Replica {
    /// Opens the replica in `dir`, or creates an empty one.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn open(dir: &Path) -> Result<Self, ReplicaError> {
        let (directory, present) = Directory::open(dir)?;
        let database = match present {
            Present::PerhapsNew(path) => Database::create(&path)?,
            Present::Installed(path) => Database::open(&path)?,
        };
        directory.remove_leftovers()?;
        let revision = revision_of(database.mark()?.as_deref(), &database)?;
        Ok(Self {
            directory,
            database: ArcSwap::from_pointee(database),
            writing: Mutex::default(),
            revision: watch::Sender::new(revision),
            observers: Mutex::new(Vec::new()),
            syncs: AtomicU64::new(0),
        })
    }

    /// Applies entries in the order of their indices, and keeps `mark` with them. Gives what became of each; `None` for an entry
    /// that is not ours or that was applied before.
    ///
    /// # Errors
    /// [`ReplicaError`]: then nothing of the batch was written, and the node must stop.
    pub fn apply(&self, entries: &[Entry<'_>], mark: &[u8]) -> Result<Vec<Option<Applied>>, ReplicaError> {
        let mut looks = self.writing.lock();
        let database = self.database.load_full();
        let Revision { lineage, index: mut reached } = self.revision();
        let mut overlay = Overlay::with(&*database, std::mem::take(&mut looks));
        let mut applied = Vec::with_capacity(entries.len());
        for entry in entries {
            let new = entry.index > reached;
            reached = reached.max(entry.index);
            applied.push(match entry.proposal.filter(|_| new) {
                Some(bytes) => Some(apply_entry(&mut overlay, entry.index, bytes)?),
                None => None,
            });
        }
        let (rows, unchanged) = overlay.into_parts();
        let changes: Vec<Change> = rows.keys().map(|(table, key)| Change { table: *table, key: key.clone() }).collect();
        let mark = [reached.to_be_bytes().as_slice(), mark].concat();
        database.write(rows, &mark)?;
        *looks = unchanged;
        // No entry begins a lineage.
        self.announce(Revision { lineage, index: reached }, Announcement::Changes(&changes));
        Ok(applied)
    }

    /// Begins a lineage at `index`, which is then the last that the state includes, and keeps `mark` with it; durable when this
    /// returns. For the node that the lineage begins with, while it takes no part in the cluster.
    ///
    /// # Errors
    /// [`ReplicaError`]: then nothing was written.
    pub fn begin_lineage(&self, index: u64, begin: &BeginLineage, mark: &[u8]) -> Result<Begun, ReplicaError> {
        let mut looks = self.writing.lock();
        let database = self.database.load_full();
        let reached = index_of(database.mark()?.as_deref())?;
        if begin.base != reached || index <= reached {
            return Err(ReplicaError::Lineage(NotBegun::NotAfter { index, base: reached }));
        }
        *looks = Looks::default();
        let mut overlay = Overlay::with(&*database, Looks::default());
        let begun = begin_lineage(&mut overlay, index, begin).map_err(ReplicaError::Begin)?.map_err(ReplicaError::Lineage)?;
        database.write(overlay.into_parts().0, &[index.to_be_bytes().as_slice(), mark].concat())?;
        database.sync()?;
        self.announce(Revision { lineage: lineage_of(&*database)?, index }, Announcement::Replaced);
        Ok(begun)
    }

    /// What was last given to [`apply`](Self::apply) as the mark; `None` for a state that is still empty.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn mark(&self) -> Result<Option<Vec<u8>>, ReplicaError> {
        let mark = self.database.load().mark()?;
        mark.map(|mark| mark.get(8..).map(<[u8]>::to_vec).ok_or(ReplicaError::Mark)).transpose()
    }

    /// The mark that a checkpoint in `dir` has. Nothing of the checkpoint changes.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn mark_of_checkpoint(dir: &Path) -> Result<Option<Vec<u8>>, ReplicaError> {
        let mark = Database::mark_in(dir)?;
        mark.map(|mark| mark.get(8..).map(<[u8]>::to_vec).ok_or(ReplicaError::Mark)).transpose()
    }

    /// The last entry that the state includes.
    #[must_use]
    pub fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// Announces every new revision. Whoever sees one can read it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Adds an observer. It is told of what changes from now on.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.lock().push(observer);
    }

    /// Reads the state at one moment.
    ///
    /// # Errors
    /// [`ReplicaError`] from the replica, or what `read` gives.
    pub fn read<T, E: From<ReplicaError>>(&self, read: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        read_at_one_moment(&self.database.load_full(), read)
    }

    /// Reads the state of a checkpoint in `dir`. Nothing of the checkpoint changes.
    ///
    /// # Errors
    /// [`ReplicaError`] from the checkpoint, or what `read` gives.
    pub fn read_checkpoint<T, E: From<ReplicaError>>(dir: &Path, read: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        read_at_one_moment(&Database::open_to_read(dir)?, read)
    }

    /// Makes everything that was applied durable.
    ///
    /// # Errors
    /// [`ReplicaError`]: the sync is not to be tried again.
    pub fn sync(&self) -> Result<(), ReplicaError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.database.load().sync()
    }

    /// How often the state was synced since it was opened.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// What the state takes of memory.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn memory(&self) -> Result<StateMemory, ReplicaError> {
        self.database.load().memory()
    }

    /// Writes a checkpoint of the present state to `dir`, which must not exist.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn checkpoint(&self, dir: &Path) -> Result<(), ReplicaError> {
        self.database.load().checkpoint(dir)
    }

    /// Replaces the state by a checkpoint. The directory of the checkpoint stays as it is.
    ///
    /// # Errors
    /// [`ReplicaError`]: then the state is the old one.
    pub fn install(&self, checkpoint: &Path) -> Result<(), ReplicaError> {
        let mut looks = self.writing.lock();
        let prepared = self.directory.prepare(checkpoint)?;
        // Opened before it takes over: a checkpoint that cannot be opened must not become the state.
        let database = Arc::new(Database::open(prepared.path())?);
        let index = index_of(database.mark()?.as_deref())?;
        let revision = Revision { lineage: lineage_of(&*database)?, index };
        self.directory.take_over(&prepared)?;
        *looks = Looks::default();
        self.database.swap(database).retire();
        self.announce(revision, Announcement::Replaced);
        Ok(())
    }

    fn announce(&self, revision: Revision, announcement: Announcement<'_>) {
        for observer in self.observers.lock().iter() {
            match announcement {
                Announcement::Changes(changes) => observer.changed(revision, changes),
                Announcement::Replaced => observer.replaced(revision),
            }
        }
        self.revision.send_replace(revision);
    }
}

impl ReadTables for Replica {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.database.load().get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        self.database.load().scan(table, prefix, from, limit)
    }
}

#[derive(Clone, Copy)]
enum Announcement<'a> {
    Changes(&'a [Change]),
    Replaced,
}

fn read_at_one_moment<T, E: From<ReplicaError>>(database: &Database, read: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
    database.at_one_moment(|moment| {
        let revision = moment.mark().and_then(|mark| revision_of(mark.as_deref(), moment))?;
        read(&View { moment, revision })
    })
}

fn apply_entry(overlay: &mut Overlay<'_, Database>, index: u64, bytes: &[u8]) -> Result<Applied, ReplicaError> {
    let proposal: Proposal = decode(bytes).map_err(|source| ReplicaError::Entry { index, source })?;
    apply(overlay, index, &proposal).map_err(|source| ReplicaError::Apply { index, source })
}

fn revision_of(mark: Option<&[u8]>, tables: &impl ReadTables) -> Result<Revision, ReplicaError> {
    Ok(Revision { lineage: lineage_of(tables)?, index: index_of(mark)? })
}

fn lineage_of(tables: &impl ReadTables) -> Result<u32, ReplicaError> {
    let cluster: Option<ClusterState> = tables.cluster().map_err(ReplicaError::Table)?;
    Ok(cluster.map_or(Revision::FIRST_LINEAGE, |cluster| cluster.lineage))
}

fn index_of(mark: Option<&[u8]>) -> Result<u64, ReplicaError> {
    match mark {
        None => Ok(0),
        Some(mark) => mark.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(ReplicaError::Mark),
    }
}
