//! The replica as the state machine that Raft or a hub drives.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use ncore_model::{Applied, encode};
use ncore_raft::{AppliedMark, CommittedEntry, CommittedPayload, Fatal, LogPosition, StateMachine};
use ncore_replica::{Entry, Replica, ReplicaError};
use parking_lot::Mutex;

use crate::hub::Ring;

/// The length of a position in the mark: term, node and index.
const POSITION_LEN: usize = 24;

/// The replica, fed by Raft or by a hub, and feeding those that follow this node. One for the life of the process, whoever feeds it.
pub(crate) struct ReplicaMachine {
    replica: Arc<Replica>,
    ring: Arc<Ring>,
    /// That of the state, so that it is not read for each batch.
    mark: Mutex<AppliedMark>,
}

impl ReplicaMachine {
    pub(crate) fn new(replica: Arc<Replica>) -> Result<Self, Fatal> {
        let mark = mark_of(&replica)?;
        let ring = Arc::new(Ring::new(next_after(mark.position)));
        Ok(Self { replica, ring, mark: Mutex::new(mark) })
    }

    /// Index of the first entry that was not applied.
    pub(crate) fn next(&self) -> u64 {
        next_after(self.position())
    }

    /// Where the last applied entry stands.
    pub(crate) fn position(&self) -> Option<LogPosition> {
        self.mark.lock().position
    }

    pub(crate) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }
}

/// How far a replica is.
pub(crate) fn mark_of(replica: &Replica) -> Result<AppliedMark, Fatal> {
    let mark = replica.mark().map_err(|error| Fatal::new("read its mark", error))?;
    mark.map_or_else(|| Ok(AppliedMark::default()), |mark| read_mark(&mark))
}

fn next_after(position: Option<LogPosition>) -> u64 {
    position.map_or(0, |last| last.index + 1)
}

impl StateMachine for ReplicaMachine {
    fn applied(&self) -> Result<AppliedMark, Fatal> {
        mark_of(&self.replica)
    }

    fn apply(&self, batch: Vec<CommittedEntry>) -> Result<Vec<Bytes>, Fatal> {
        let mut mark = self.mark.lock().clone();
        for entry in &batch {
            mark.position = Some(entry.position);
            if let CommittedPayload::Membership(membership) = &entry.payload {
                mark.membership = membership.clone();
            }
        }
        let entries: Vec<Entry<'_>> = batch
            .iter()
            .map(|entry| Entry {
                index: entry.position.index,
                proposal: match &entry.payload {
                    CommittedPayload::Command(bytes) => Some(bytes),
                    CommittedPayload::Blank | CommittedPayload::Membership(_) => None,
                },
            })
            .collect();
        let applied = self.replica.apply(&entries, &write_mark(&mark)).map_err(|error| Fatal::new("apply entries", error))?;
        *self.mark.lock() = mark;
        self.ring.push(&batch);
        applied
            .into_iter()
            .map(|applied| match applied {
                None => Ok(Bytes::new()),
                Some(applied) => answer(&applied),
            })
            .collect()
    }

    fn checkpoint(&self, dir: &Path) -> Result<AppliedMark, Fatal> {
        self.replica.checkpoint(dir).map_err(|error| Fatal::new("make a checkpoint", error))?;
        let mark = Replica::mark_of_checkpoint(dir).map_err(|error| Fatal::new("read the mark of a checkpoint", error))?;
        mark.map_or_else(|| Ok(AppliedMark::default()), |mark| read_mark(&mark))
    }

    fn install(&self, dir: &Path) -> Result<(), Fatal> {
        self.replica.install(dir).map_err(|error| Fatal::new("install a checkpoint", error))?;
        let mark = self.applied()?;
        let position = mark.position;
        *self.mark.lock() = mark;
        self.ring.reset(next_after(position));
        Ok(())
    }
}

/// What the leader answers a proposal with: where it was first applied, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) lineage: u32,
    pub(crate) index: u64,
    pub(crate) outcome: Bytes,
}

impl Answer {
    /// `None` if it is not one.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let (lineage, rest) = bytes.split_first_chunk::<4>()?;
        let (index, _) = rest.split_first_chunk::<8>()?;
        Some(Self { lineage: u32::from_be_bytes(*lineage), index: u64::from_be_bytes(*index), outcome: bytes.slice(12..) })
    }
}

fn answer(applied: &Applied) -> Result<Bytes, Fatal> {
    let outcome = encode(&applied.outcome).map_err(|error| Fatal::new("encode an outcome", error))?;
    Ok([applied.lineage.to_be_bytes().as_slice(), &applied.index.to_be_bytes(), &outcome].concat().into())
}

/// Position (24 bytes, zero for none: no entry has term 0 and node 0), then the membership.
pub(crate) fn write_mark(mark: &AppliedMark) -> Vec<u8> {
    let position = mark.position.unwrap_or(LogPosition { term: 0, node: 0, index: 0 });
    let numbers = [position.term, position.node, position.index];
    numbers.iter().flat_map(|number| number.to_be_bytes()).chain(mark.membership.iter().copied()).collect()
}

fn read_mark(mark: &[u8]) -> Result<AppliedMark, Fatal> {
    let Some((position, membership)) = mark.split_at_checked(POSITION_LEN) else {
        return Err(Fatal::new("read its mark", ReplicaError::Mark));
    };
    let number = |at: usize| position[at..at + 8].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let position = LogPosition { term: number(0), node: number(8), index: number(16) };
    let empty = position.node == 0 && position.term == 0;
    Ok(AppliedMark { position: (!empty).then_some(position), membership: Bytes::copy_from_slice(membership) })
}

#[cfg(test)]
mod tests {
    use super::{AppliedMark, LogPosition, read_mark, write_mark};

    #[test]
    fn marks_come_back() {
        let marks = [
            AppliedMark::default(),
            AppliedMark { position: Some(LogPosition { term: 0, node: 1, index: 0 }), membership: vec![1, 2].into() },
            AppliedMark { position: Some(LogPosition { term: u64::MAX, node: 7, index: 1 << 40 }), membership: vec![].into() },
        ];
        for mark in marks {
            assert_eq!(read_mark(&write_mark(&mark)).expect("reads"), mark);
        }
        assert!(read_mark(&[0; 23]).is_err());
    }
}
