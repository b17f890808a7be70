//! The log of a node that does not run: what recovery reads of it, and the new log that it begins.
//!
//! openraft has no way to make a cluster of one out of a node that knows others as voters. So the log is begun anew: empty, with
//! a position far behind the old end that counts as applied and purged, at a term that no leader can have had, and with the node
//! as the only voter. The state that goes with it has the mark that [`begin_log`] gives. Nothing of the old log is changed here.
//!
//! Calls block.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use ncore_proto::raft::v1 as pb;
use rocksdb::WriteBatch;

use crate::{
    closing, convert,
    error::OpenError,
    fatal::FatalReason,
    log::{LogDb, MetaKey, decode_entry, read_meta},
    machine::{AppliedMark, CommittedEntry, LogPosition, committed},
    record::{self, Identity, Kind},
    snapshot::StoredSnapshot,
    types::{LeaderId, Membership, Node, StoredMembership, Vote},
};

/// The log and the snapshots of a stopped node, for reading.
pub struct StoppedLog {
    dir: PathBuf,
    db: LogDb,
    extent: LogExtent,
}

/// Whose log it is, and from where to where it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogExtent {
    /// The node.
    pub node_id: u64,
    /// Its cluster, 16 bytes.
    pub cluster_id: Vec<u8>,
    /// The last position that was dropped from the beginning, because a snapshot has it.
    pub purged: Option<LogPosition>,
    /// The last entry that the node knows to be committed.
    pub committed: Option<LogPosition>,
    /// The last entry, or what was purged if there is none.
    pub last: Option<LogPosition>,
    /// The highest term that the node has seen.
    pub term: u64,
}

impl StoppedLog {
    /// Opens the log in a node's directory. There must be one.
    ///
    /// # Errors
    /// [`OpenError`], also while the node runs.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOG);
        // To open a database that is not there would make one.
        fs::metadata(path.join("CURRENT")).map_err(|source| OpenError::Directory { path: path.clone(), source })?;
        let (signal, _) = closing::closing();
        let db = LogDb::open(&path, signal).map_err(OpenError::Database)?;
        let extent = extent(&db).map_err(OpenError::Data)?;
        Ok(Self { dir: dir.to_owned(), db, extent })
    }

    /// From where to where it reaches.
    #[must_use]
    pub fn extent(&self) -> &LogExtent {
        &self.extent
    }

    /// The newest snapshot: where it stands, and the directory of its checkpoint.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn snapshot(&self) -> Result<Option<(LogPosition, PathBuf)>, OpenError> {
        let dir = self.dir.join("snap");
        let listed = match fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            listed => listed.and_then(Iterator::collect::<Result<Vec<_>, _>>),
        };
        let entries = listed.map_err(|source| OpenError::Directory { path: dir, source })?;
        let complete = entries.into_iter().filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u64>().ok()?, entry.path())));
        let Some((_, path)) = complete.max() else { return Ok(None) };
        let stored = StoredSnapshot::open(path).map_err(OpenError::Data)?;
        let position = stored.meta().last_log_id.as_ref().map(convert::position_of);
        Ok(position.map(|position| (position, stored.data_dir())))
    }

    /// The entries of `from..=to`, in order, each as the state machine gets it. What is missing is an error.
    pub fn entries(&self, from: u64, to: u64) -> impl Iterator<Item = Result<CommittedEntry, OpenError>> {
        let mut records = self.db.entries(from, to.saturating_add(1));
        (from..=to).map(move |expected| {
            let record = match records.next() {
                Some(record) => record.map_err(|error| OpenError::Data(FatalReason::LogRead(Arc::new(error))))?,
                None => return Err(OpenError::Data(FatalReason::LogHole { expected, found: to.saturating_add(1) })),
            };
            let entry = decode_entry(&record).map_err(OpenError::Data)?;
            match entry.log_id.index {
                found if found == expected => Ok(committed(entry)),
                found => Err(OpenError::Data(FatalReason::LogHole { expected, found })),
            }
        })
    }
}

/// The log that a node begins anew.
#[derive(Debug, Clone)]
pub struct NewLog {
    /// The node, which is the only voter.
    pub node_id: u64,
    /// Its cluster.
    pub cluster_id: [u8; 16],
    /// Where other nodes reach it (host:port).
    pub address: String,
    /// The term of the position at which it begins: higher than any that was seen.
    pub term: u64,
    /// The index of that position. Everything up to it counts as applied.
    pub index: u64,
}

/// Begins a log in `dir`, which has none, durably. Gives the mark of the state that goes with it.
///
/// # Errors
/// [`OpenError`].
pub fn begin_log(dir: &Path, new: &NewLog) -> Result<AppliedMark, OpenError> {
    let path = dir.join(LOG);
    let failed = |source| OpenError::Directory { path: path.clone(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    // The database must not be there: what it holds would be taken for this log.
    fs::create_dir(&path).map_err(failed)?;
    let position = LogPosition { term: new.term, node: new.node_id, index: new.index };
    let at = convert::log_id_at(position);
    let vote = Vote { leader_id: LeaderId { term: new.term, node_id: new.node_id }, committed: true };
    let identity = Identity { cluster_id: Bytes::copy_from_slice(&new.cluster_id), node: new.node_id };

    let (signal, _) = closing::closing();
    let db = LogDb::open(&path, signal).map_err(OpenError::Database)?;
    let mut batch = WriteBatch::default();
    db.put_meta(&mut batch, MetaKey::Identity, &record::encode(Kind::Identity, &identity));
    db.put_meta(&mut batch, MetaKey::Vote, &record::encode(Kind::Vote, &convert::vote_to(&vote)));
    db.put_meta(&mut batch, MetaKey::Purged, &record::encode(Kind::Purged, &convert::log_id_to(&at)));
    db.put_meta(&mut batch, MetaKey::Committed, &record::encode(Kind::Committed, &convert::log_id_to(&at)));
    db.write(batch).and_then(|()| db.sync()).map_err(OpenError::Database)?;

    let members = BTreeMap::from([(new.node_id, Node::new(&new.address))]);
    let membership = Membership::new(vec![BTreeSet::from([new.node_id])], members);
    let membership = membership.expect("a voter that is a member is a membership");
    let stored = StoredMembership::new(Some(at), membership);
    Ok(AppliedMark { position: Some(position), membership: convert::membership_bytes(&stored) })
}

fn extent(db: &LogDb) -> Result<LogExtent, FatalReason> {
    let position = |id: pb::LogId| convert::position_of(&convert::log_id_from(id));
    let identity: Identity = read_meta(db, MetaKey::Identity)?.ok_or(FatalReason::LogRecord(record::RecordError::Field("identity")))?;
    let purged = read_meta::<pb::LogId>(db, MetaKey::Purged)?.map(position);
    let committed = read_meta::<pb::LogId>(db, MetaKey::Committed)?.map(position);
    let vote = read_meta::<pb::Vote>(db, MetaKey::Vote)?.map_or(0, |vote| vote.term);
    let newest = db.last_entry().map_err(|error| FatalReason::LogRead(Arc::new(error)))?;
    let newest = newest.map(|record| decode_entry(&record)).transpose()?.map(|entry| convert::position_of(&entry.log_id));
    let last = newest.or(purged);
    let term = vote.max(last.map_or(0, |last| last.term));
    Ok(LogExtent { node_id: identity.node, cluster_id: identity.cluster_id.into(), purged, committed, last, term })
}

const LOG: &str = "log";
