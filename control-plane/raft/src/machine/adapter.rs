//! Presents a [`StateMachine`] to openraft.
//!
//! Applying takes whatever is ready from openraft's stream, up to a bound, hands it to the machine as one batch, on a
//! blocking thread unless it is small, and answers the waiting proposals. Snapshots are checkpoints kept by the [`SnapshotStore`]; the gate
//! keeps a checkpoint and an installation apart, because openraft builds snapshots beside everything else.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};
use parking_lot::Mutex;

use super::{AppliedMark, CommittedEntry, CommittedPayload, Fatal, StateMachine};
use crate::{
    closing::ClosedSignal,
    convert,
    fatal::{FatalCell, FatalReason},
    snapshot::{SnapshotData, SnapshotStore},
    types::{Entry, LogId, Outcome, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};

/// Cheap to clone; the clones share the machine, the snapshots and the gate.
#[derive(Clone)]
pub(crate) struct MachineAdapter {
    machine: Arc<dyn StateMachine>,
    snapshots: Arc<SnapshotStore>,
    fatal: FatalCell,
    /// Held over a checkpoint and over an installation.
    gate: Arc<Mutex<()>>,
    /// Tells when the last clone is gone, and with it every call into the machine.
    _closed: Arc<ClosedSignal>,
}

impl MachineAdapter {
    pub(crate) fn new(machine: Arc<dyn StateMachine>, snapshots: Arc<SnapshotStore>, fatal: FatalCell, closed: ClosedSignal) -> Self {
        Self { machine, snapshots, fatal, gate: Arc::default(), _closed: Arc::new(closed) }
    }

    /// Runs a call of the machine on a blocking thread. The adapter is kept alive until it returns.
    async fn blocking<T: Send + 'static>(&self, call: impl FnOnce(&Self) -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let adapter = self.clone();
        tokio::task::spawn_blocking(move || call(&adapter)).await.map_err(io::Error::other)?
    }

    fn machine_failed(&self, fatal: Fatal) -> io::Error {
        self.fatal.raise(FatalReason::Machine(fatal))
    }

    fn read_mark(&self, mark: &AppliedMark) -> io::Result<(Option<LogId>, StoredMembership)> {
        let membership =
            convert::membership_of_bytes(&mark.membership).map_err(|error| self.fatal.raise(FatalReason::Membership(error)))?;
        Ok((mark.position.map(convert::log_id_at), membership))
    }

    async fn apply_batch(&self, entries: Vec<Entry>, responders: Vec<Option<ApplyResponder<TypeConfig>>>) -> io::Result<()> {
        let outcomes = match entries.len() <= SMALL_BATCH {
            true => self.apply_entries(entries)?,
            false => self.blocking(move |adapter| adapter.apply_entries(entries)).await?,
        };
        for (responder, outcome) in responders.into_iter().zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(Outcome(outcome));
            }
        }
        Ok(())
    }

    /// Blocking.
    fn apply_entries(&self, entries: Vec<Entry>) -> io::Result<Vec<Bytes>> {
        let batch: Vec<CommittedEntry> = entries.into_iter().map(committed).collect();
        let expected = batch.len();
        let outcomes = self.machine.apply(batch).map_err(|fatal| self.machine_failed(fatal))?;
        if outcomes.len() != expected {
            let fatal = Fatal::new("answer every entry", MissingOutcomes { expected, found: outcomes.len() });
            return Err(self.machine_failed(fatal));
        }
        Ok(outcomes)
    }

    /// Blocking. Builds a snapshot of the present state, or returns the current one if it is of the same position.
    fn build(&self) -> io::Result<Snapshot> {
        let _gate = self.gate.lock();
        let stored = self.snapshots.build(|dir| {
            let mark = self.machine.checkpoint(dir).map_err(|fatal| self.machine_failed(fatal))?;
            let (last_log_id, last_membership) = self.read_mark(&mark)?;
            Ok(SnapshotMeta { last_log_id, last_membership })
        })?;
        Ok(Snapshot { meta: stored.meta().clone(), snapshot: SnapshotData::Stored(stored) })
    }

    /// Blocking. Keeps a received snapshot, then replaces the state. A crash in between is repaired at the next start,
    /// when openraft finds the kept snapshot ahead of the state and installs it again.
    fn install(&self, data: SnapshotData) -> io::Result<()> {
        let _gate = self.gate.lock();
        let stored = match data {
            SnapshotData::Stored(stored) => stored,
            SnapshotData::Received(received) => self.snapshots.keep(received)?,
        };
        self.machine.install(&stored.data_dir()).map_err(|fatal| self.machine_failed(fatal))
    }
}

impl RaftStateMachine<TypeConfig> for MachineAdapter {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.blocking(|adapter| {
            let mark = adapter.machine.applied().map_err(|fatal| adapter.machine_failed(fatal))?;
            adapter.read_mark(&mark)
        })
        .await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut entries = entries.fuse();
        while let Some(first) = entries.next().await {
            let (mut batch, mut responders, mut bytes) = (Vec::new(), Vec::new(), 0);
            let mut next = Some(first);
            while let Some(item) = next {
                let (entry, responder) = item?;
                bytes += payload_bytes(&entry);
                batch.push(entry);
                responders.push(responder);
                if batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES {
                    break;
                }
                next = entries.next().now_or_never().flatten();
            }
            self.apply_batch(batch, responders).await?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Self> {
        // Before the first entry there is nothing to snapshot. openraft forces one only where entries were purged.
        let applied = self.applied_state().await;
        let empty = matches!(applied, Ok((None, _)));
        (force || !empty).then(|| self.clone())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        self.blocking(move |adapter| adapter.install(snapshot)).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.snapshots.current();
        Ok(current.map(|stored| Snapshot { meta: stored.meta().clone(), snapshot: SnapshotData::Stored(stored) }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for MachineAdapter {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.blocking(Self::build).await
    }
}

/// The machine returned another number of answers than it got entries.
#[derive(Debug, thiserror::Error)]
#[error("{found} answers to {expected} entries")]
struct MissingOutcomes {
    expected: usize,
    found: usize,
}

/// An entry as the state machine, and whoever follows the log, sees it.
pub(crate) fn committed(entry: Entry) -> CommittedEntry {
    let position = convert::position_of(&entry.log_id);
    let payload = match entry.payload {
        EntryPayload::Blank => CommittedPayload::Blank,
        EntryPayload::Normal(command) => CommittedPayload::Command(command.0),
        EntryPayload::Membership(membership) => {
            let stored = StoredMembership::new(Some(entry.log_id), membership);
            CommittedPayload::Membership(convert::membership_bytes(&stored))
        }
    };
    CommittedEntry { position, payload }
}

fn payload_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(command) => command.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

/// So many entries are applied where they are met, as an append to the log is written where it is met: it takes some ten
/// microseconds each, and the way to another thread and back takes longer than that.
const SMALL_BATCH: usize = 8;
/// One batch is one write of the state machine; these keep its memory and its latency bounded.
const BATCH_ENTRIES: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;
