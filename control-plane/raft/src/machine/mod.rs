//! What this crate asks of a state machine.
//!
//! The machine applies committed entries and hands out copies of its state. It knows nothing of Raft but positions, and
//! this crate knows nothing of commands but their bytes.

mod adapter;

use std::{error::Error, path::Path, sync::Arc};

use bytes::Bytes;

pub(crate) use adapter::{MachineAdapter, committed};

/// The replicated state. Implemented elsewhere; here it is driven.
///
/// Every call blocks and runs on a thread made for that, unless it applies a few entries only: that is made on the runtime. Calls that change the state never overlap each other, and
/// `checkpoint` never overlaps `install`; it does overlap `apply`.
///
/// The state need not be fsynced by `apply`: a crash may lose the newest entries as long as what remains is a state that
/// existed, together with its mark. They are applied again from the log.
pub trait StateMachine: Send + Sync + 'static {
    /// How far the state is, as stored with it.
    fn applied(&self) -> Result<AppliedMark, Fatal>;

    /// Applies entries in order and returns one answer per entry.
    ///
    /// The whole batch and its mark become visible, and survive a crash, together or not at all. The mark's position is
    /// that of the last entry; its membership is that of the last membership entry, or the previous one.
    fn apply(&self, batch: Vec<CommittedEntry>) -> Result<Vec<Bytes>, Fatal>;

    /// Writes a consistent copy of the state to `dir`, which does not exist yet, and returns the mark read from the copy.
    ///
    /// `dir` may hold plain files only. They may be hard links to files that never change again.
    fn checkpoint(&self, dir: &Path) -> Result<AppliedMark, Fatal>;

    /// Replaces the state by the checkpoint in `dir`, durably, and so that a crash leaves either the old or the new one.
    ///
    /// `dir` stays as it is: hard-link what never changes and copy the rest.
    fn install(&self, dir: &Path) -> Result<(), Fatal>;
}

/// Where an entry stands in the log: who wrote it, and at which index. Ordered as Raft orders logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Term of the leader that wrote the entry.
    pub term: u64,
    /// Node id of that leader.
    pub node: u64,
    /// Index of the entry, counted from zero without holes.
    pub index: u64,
}

/// How far a state is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliedMark {
    /// The last applied entry; `None` before the first.
    pub position: Option<LogPosition>,
    /// The bytes of the last [`CommittedPayload::Membership`]; empty before the first. Opaque to the machine.
    pub membership: Bytes,
}

/// An entry to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEntry {
    /// Where it stands.
    pub position: LogPosition,
    /// What it says.
    pub payload: CommittedPayload,
}

/// What a committed entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommittedPayload {
    /// Nothing. A new leader writes one; only the mark moves.
    Blank,
    /// A command, as it was proposed.
    Command(Bytes),
    /// A new membership, to be kept in the mark as it is.
    Membership(Bytes),
}

/// A state machine cannot go on: the node must stop.
///
/// The disk failed, the state is corrupt, or an entry cannot be understood. Nothing is retried.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the state machine failed to {operation}")]
pub struct Fatal {
    operation: &'static str,
    #[source]
    source: Arc<dyn Error + Send + Sync>,
}

impl Fatal {
    /// `operation` completes the sentence "the state machine failed to ...".
    pub fn new(operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { operation, source: Arc::from(source.into()) }
    }
}
