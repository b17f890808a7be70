//! From the disk of a survivor.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use ncore_identity::NodeIdentity;
use ncore_model::{Founder, NodeId, Proposal, decode};
use ncore_raft::{CommittedEntry, CommittedPayload, StateMachine, StoppedLog};
use ncore_replica::Replica;

use super::{Beginning, RebuildError, Rebuilt, applied, begin, remove, replica_of};
use crate::machine::{ReplicaMachine, mark_of};

/// How many entries, and how many bytes of them, are applied at a time.
const BATCH_ENTRIES: usize = 1_024;
const BATCH_BYTES: usize = 4 << 20;

/// What to recover, and how.
pub struct Recovery<'a> {
    /// Where the survivor's log and snapshots are.
    pub raft_dir: &'a Path,
    /// Where its state is.
    pub state_dir: &'a Path,
    /// An empty directory, on the same file system, for what is built.
    pub target: &'a Path,
    /// Who the survivor is.
    pub identity: &'a NodeIdentity,
    /// Where other nodes reach it: `host:port`.
    pub address: String,
    /// What to do with the end of the log.
    pub tail: TailChoice,
    /// The number of the new lineage; by default the one after the present.
    pub number: Option<u32>,
    /// Now, in Unix milliseconds.
    pub at_ms: u64,
}

/// What becomes of the entries that the survivor has and does not know to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailChoice {
    /// They are left out. Some of them may have been acknowledged.
    Drop,
    /// They are applied. Some of them may never have been agreed on, or may have been reported as not done.
    Include,
}

impl TailChoice {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "dropped",
            Self::Include => "included",
        }
    }
}

/// The entries that the survivor has and does not know to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// What became of them.
    pub choice: TailChoice,
    /// How many there are.
    pub entries: u64,
    /// Which commands they are: how many by name. Entries of Raft's own are none.
    pub commands: BTreeMap<&'static str, u64>,
}

/// A cluster of one, from a survivor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The cluster.
    pub rebuilt: Rebuilt,
    /// How many committed entries the state lacked and the log had.
    pub replayed: u64,
    /// What came after them.
    pub tail: Tail,
}

/// Builds a cluster of one from what a node that was a member of a larger one has on disk.
///
/// # Errors
/// [`RebuildError`]. The directory of the target is to be removed then.
pub fn recover(recovery: &Recovery<'_>) -> Result<Recovered, RebuildError> {
    let log = StoppedLog::open(recovery.raft_dir).map_err(RebuildError::Log)?;
    let extent = log.extent().clone();
    let identity = recovery.identity;
    if extent.node_id != identity.node_id() || extent.cluster_id != identity.cluster_id().0 {
        return Err(RebuildError::OtherNode);
    }
    let replica = newest_state(recovery, &log)?;
    let state = applied(&replica)?;
    let last = extent.last.map_or(0, |last| last.index);
    let committed = extent.committed.map_or(0, |committed| committed.index).min(last).max(state.index);
    apply(&replica, log.entries(state.index + 1, committed))?;

    let commands = commands_of(log.entries(committed + 1, last))?;
    let tail = Tail { choice: recovery.tail, entries: last.saturating_sub(committed), commands };
    if recovery.tail == TailChoice::Include {
        apply(&replica, log.entries(committed + 1, last))?;
    }
    let beginning = Beginning {
        target: recovery.target,
        identity,
        address: recovery.address.clone(),
        founder: Founder::Survivor(NodeId(identity.node_id())),
        number: recovery.number,
        term: extent.term.max(state.term),
        last,
        at_ms: recovery.at_ms,
    };
    Ok(Recovered { rebuilt: begin(&replica, beginning)?, replayed: committed - state.index, tail })
}

/// A replica with the survivor's state, or with its snapshot: that can be ahead, if a crash came before it was installed.
fn newest_state(recovery: &Recovery<'_>, log: &StoppedLog) -> Result<Arc<Replica>, RebuildError> {
    let snapshot = log.snapshot().map_err(RebuildError::Log)?;
    // To open a state that is not there would make one.
    if recovery.state_dir.join("CURRENT").exists() {
        let checkpoint = recovery.target.join("checkpoint");
        remove(&checkpoint)?;
        let old = Arc::new(Replica::open(recovery.state_dir).map_err(RebuildError::State)?);
        let reached = mark_of(&old).map_err(RebuildError::Machine)?.position;
        if reached.is_some() && snapshot.as_ref().is_none_or(|(position, _)| Some(*position) <= reached) {
            old.checkpoint(&checkpoint).map_err(RebuildError::State)?;
            let replica = replica_of(recovery.target, &checkpoint)?;
            remove(&checkpoint)?;
            return Ok(replica);
        }
    }
    let (_, data) = snapshot.ok_or(RebuildError::Empty)?;
    replica_of(recovery.target, &data)
}

fn apply(replica: &Arc<Replica>, entries: impl Iterator<Item = Result<CommittedEntry, ncore_raft::OpenError>>) -> Result<(), RebuildError> {
    let machine = ReplicaMachine::new(Arc::clone(replica)).map_err(RebuildError::Machine)?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        let entry = entry.map_err(RebuildError::Log)?;
        bytes += match &entry.payload {
            CommittedPayload::Command(command) => command.len(),
            CommittedPayload::Blank | CommittedPayload::Membership(_) => 0,
        };
        batch.push(entry);
        if batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES {
            machine.apply(std::mem::take(&mut batch)).map_err(RebuildError::Machine)?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        machine.apply(batch).map_err(RebuildError::Machine)?;
    }
    Ok(())
}

fn commands_of(
    entries: impl Iterator<Item = Result<CommittedEntry, ncore_raft::OpenError>>,
) -> Result<BTreeMap<&'static str, u64>, RebuildError> {
    let mut commands = BTreeMap::new();
    for entry in entries {
        let CommittedPayload::Command(bytes) = entry.map_err(RebuildError::Log)?.payload else { continue };
        let name = decode::<Proposal>(&bytes).map_or("unreadable", |proposal| proposal.command.as_str());
        *commands.entry(name).or_default() += 1;
    }
    Ok(commands)
}
