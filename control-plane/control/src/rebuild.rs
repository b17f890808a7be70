//! A cluster of one, built from what is left of another: from the disk of a survivor, or from a backup.
//!
//! ```text
//!   the survivor's state ─► checkpoint ─┐                                          ┌─► state/  in a new lineage
//!                    or its snapshot    ├─► a new replica ─► committed entries ────┤
//!   a backup ───────────────────────────┘      (and the tail, if asked for)        └─► raft/   begun anew, one voter
//! ```
//!
//! Everything is built in a directory of its own, beside what it is built from, of which nothing changes. Whoever calls decides
//! when the new takes the place of the old. All calls block, and are for a node that does not run.

mod recover;
mod restore;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ncore_identity::NodeIdentity;
use ncore_model::{BeginLineage, Begun, Founder, NodeId, Query, Revision, TableError};
use ncore_raft::{Fatal, NewLog, OpenError, begin_log};
use ncore_replica::{Replica, ReplicaError};

use crate::machine::{mark_of, write_mark};

pub use recover::{Recovered, Recovery, Tail, TailChoice, recover};
pub use restore::{Restoration, restore};

/// The name of the new log in the directory that is built.
pub const RAFT: &str = "raft";
/// The name of the new state in the directory that is built.
pub const STATE: &str = "state";

/// How far behind the old end the new lineage begins. More than any log had under way when its quorum was lost: so no index, and
/// no node id, which is one, means two things.
const GAP: u64 = 1_000_000;
/// How many versions are read at a time.
const PAGE: usize = 1_000;

/// A cluster of one that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The last revision of the old lineage that is part of the new one.
    pub base: Revision,
    /// The time of the log at the base, in Unix milliseconds.
    pub log_time_ms: u64,
    /// Where the new lineage begins.
    pub index: u64,
    /// How many assets there are whose present content the node has not reported to hold. What it does not hold has to be
    /// uploaded again, unless a machine that holds it joins.
    pub unverified: u64,
    /// The new lineage, and who is not part of it.
    pub begun: Begun,
}

/// Why no cluster could be built. What it was to be built from is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A log cannot be read, or cannot be begun.
    #[error("the log cannot be used")]
    Log(#[source] OpenError),
    /// The state cannot be read, or no lineage can begin from it.
    #[error("the state cannot be used")]
    State(#[source] ReplicaError),
    /// An entry cannot be applied.
    #[error("the entries of the log cannot be applied")]
    Machine(#[source] Fatal),
    /// A row cannot be read.
    #[error("the state cannot be read")]
    Table(#[source] TableError),
    /// A directory cannot be used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no state to begin with.
    #[error("there is no state of a cluster here")]
    Empty,
    /// The log is not that of this node.
    #[error("the log is that of another node or cluster")]
    OtherNode,
}

/// The index, which is also the id of a new first node, at which a lineage begins whose base is this.
#[must_use]
pub fn beginning_after(base: u64) -> u64 {
    base.saturating_add(GAP)
}

/// What a lineage begins with.
struct Beginning<'a> {
    /// Where the new directories are.
    target: &'a Path,
    identity: &'a NodeIdentity,
    /// Where other nodes reach the node: `host:port`.
    address: String,
    founder: Founder,
    /// The number of the lineage; that after the state's if there is none.
    number: Option<u32>,
    /// The highest term that was seen.
    term: u64,
    /// The highest index that was seen.
    last: u64,
    at_ms: u64,
}

/// Begins the lineage from a replica that is complete otherwise, and its log.
fn begin(replica: &Replica, beginning: Beginning<'_>) -> Result<Rebuilt, RebuildError> {
    let base = replica.revision();
    let cluster = replica.cluster().map_err(RebuildError::Table)?.ok_or(RebuildError::Empty)?;
    let index = beginning_after(base.index.max(beginning.last));
    let log = NewLog {
        node_id: beginning.identity.node_id(),
        cluster_id: beginning.identity.cluster_id().0,
        address: beginning.address,
        term: beginning.term.saturating_add(1),
        index,
    };
    let mark = begin_log(&beginning.target.join(RAFT), &log).map_err(RebuildError::Log)?;
    let begin = BeginLineage {
        number: beginning.number.unwrap_or(base.lineage.saturating_add(1)),
        base: base.index,
        at_ms: beginning.at_ms,
        founder: beginning.founder,
    };
    let begun = replica.begin_lineage(index, &begin, &write_mark(&mark)).map_err(RebuildError::State)?;
    let unverified = unverified(replica, begun.lineage.node).map_err(RebuildError::Table)?;
    Ok(Rebuilt { base, log_time_ms: cluster.log_time_ms, index, unverified, begun })
}

/// The versions above the watermark of a node's report, and those that it excepts.
fn unverified(replica: &Replica, node: NodeId) -> Result<u64, TableError> {
    let report = replica.report(node)?;
    let mut count = report.as_ref().map_or(0, |report| report.exceptions.len()) as u64;
    let mut from = report.map_or(0, |report| report.watermark) + 1;
    loop {
        let page = replica.versions_from(from, PAGE)?;
        count += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE => from = last.version + 1,
            _ => return Ok(count),
        }
    }
}

/// A new replica in `target`, with the state of a checkpoint. The checkpoint stays as it is.
fn replica_of(target: &Path, checkpoint: &Path) -> Result<Arc<Replica>, RebuildError> {
    let replica = Replica::open(&target.join(STATE)).map_err(RebuildError::State)?;
    replica.install(checkpoint).map_err(RebuildError::State)?;
    Ok(Arc::new(replica))
}

fn applied(replica: &Arc<Replica>) -> Result<ncore_raft::LogPosition, RebuildError> {
    let mark = mark_of(replica).map_err(RebuildError::Machine)?;
    mark.position.ok_or(RebuildError::Empty)
}

fn remove(dir: &Path) -> Result<(), RebuildError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RebuildError::Directory { path: dir.to_owned(), source: error }),
        _ => Ok(()),
    }
}
